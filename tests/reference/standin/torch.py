"""Stands in for torch, so that silero_vad.utils_vad can be imported without its 200 MB.

The one function used from there, get_speech_timestamps_from_probs, works on lists of floats.
"""


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
