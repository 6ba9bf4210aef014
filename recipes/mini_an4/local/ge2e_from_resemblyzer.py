#!/usr/bin/env python3
"""Takes the GE2E speaker encoder out of Resemblyzer's checkpoint, into a safetensors file.

usage: local/ge2e_from_resemblyzer.py PRETRAINED_PT GE2E_SAFETENSORS

The checkpoint is a PyTorch file of before version 1.6: pickles, then the bytes of all storages. A pickle
can name any function and have it called, so only the three names that tensors need are let through,
and none of them is PyTorch's own code. The optimiser's state, two thirds of the file, is left out.
"""

import collections
import json
import os
import pickle
import struct
import sys
from pathlib import Path

# The first pickle of such a file (torch/serialization.py: MAGIC_NUMBER, PROTOCOL_VERSION).
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
HIDDEN, EMBEDDING, MELS = 256, 256, 40

Tensor = collections.namedtuple("Tensor", "storage offset shape strides")


def shapes() -> dict:
    """What the encoder must have: PyTorch's names, and the order of gates is PyTorch's too."""
    wanted = {"linear.weight": (EMBEDDING, HIDDEN), "linear.bias": (EMBEDDING,)}
    for layer, inputs in enumerate([MELS, HIDDEN, HIDDEN]):
        wanted[f"lstm.weight_ih_l{layer}"] = (4 * HIDDEN, inputs)
        wanted[f"lstm.weight_hh_l{layer}"] = (4 * HIDDEN, HIDDEN)
        wanted[f"lstm.bias_ih_l{layer}"] = wanted[f"lstm.bias_hh_l{layer}"] = (4 * HIDDEN,)
    return wanted


class Unpickler(pickle.Unpickler):
    """Reads dicts, lists, numbers, text and descriptions of tensors, and nothing else."""

    ALLOWED = {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("torch", "FloatStorage"): "float32",
        ("torch._utils", "_rebuild_tensor_v2"):
            lambda storage, offset, shape, strides, *_: Tensor(storage, offset, shape, strides),
    }

    def find_class(self, module, name):
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"`{module}.{name}` has no place in this file")
        return self.ALLOWED[module, name]

    def persistent_load(self, pid):
        kind, dtype, key, *_ = pid
        if (kind, dtype) != ("storage", "float32"):
            raise pickle.UnpicklingError(f"`{kind}` of `{dtype}` has no place in this file")
        return key


def read(path: Path) -> dict:
    """Returns {name: (shape, bytes)} of the encoder's tensors."""
    with open(path, "rb") as file:
        magic, protocol, system, checkpoint, keys = (Unpickler(file).load() for _ in range(5))
        if (magic, protocol, system.get("little_endian")) != (MAGIC, PROTOCOL, True):
            sys.exit(f"{path}: not a little-endian PyTorch checkpoint in the old form")
        storages = {}
        for key in keys:
            (count,) = struct.unpack("<q", file.read(8))
            storages[key] = file.read(4 * count)
    tensors = {}
    for name, shape in shapes().items():
        tensor = checkpoint["model_state"][name]
        # Row by row and without gaps: all of them are.
        strides = tuple(shape[1:]) + (1,)
        if tuple(tensor.shape) != shape or tuple(tensor.strides) != strides:
            sys.exit(f"{path}: {name} is {tensor.shape} by {tensor.strides}, expected {shape}")
        size = 4 * shape[0] * strides[0]
        data = storages[tensor.storage][4 * tensor.offset:][:size]
        if len(data) != size:
            sys.exit(f"{path}: {name} is cut off")
        tensors[name] = (shape, data)
    return tensors


def write(path: Path, tensors: dict) -> None:
    """A safetensors file: the length of the header, the header, the data. By rename."""
    header, end = {}, 0
    for name, (shape, data) in sorted(tensors.items()):
        start, end = end, end + len(data)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    temporary = path.with_suffix(".tmp")
    with open(temporary, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, (_, data) in sorted(tensors.items()):
            file.write(data)
    os.replace(temporary, path)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    write(Path(sys.argv[2]), read(Path(sys.argv[1])))
