"""Stands in for torch, so that what only imports it can be tested without its 200 MB.

silero_vad.utils_vad: the one function used, get_speech_timestamps_from_probs, works on lists of floats.
espnet3.parallel: providers and runners work on whatever they are given; torch is asked for GPUs, and by
the log of an env for the classes of what is in it.
"""

from types import SimpleNamespace


class Tensor:
    """Only named in annotations."""


def no_grad():
    """A decorator that does nothing."""
    return lambda function: function


def device(name):
    """Only a default argument."""
    return name


def set_num_threads(_count):
    """Called when silero_vad is imported."""


class _Nobody:
    """A class that nothing is of."""


utils = SimpleNamespace(data=SimpleNamespace(Dataset=_Nobody))
nn = SimpleNamespace(Module=_Nobody)
