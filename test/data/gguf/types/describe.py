#!/usr/bin/env python3
"""Dequantizes the .gguf files beside this file, describes each tensor again, and compares with the .json files.

  pip install gguf numpy && python3 describe.py [--write] [TYPE ...]

A description is the type, the shape (rows first), the sum and the sum of absolute values in float64, and the SHA-256 of the values as
little-endian float32, row by row. --write replaces the stored descriptions. "error" is kept, because it needs the unquantized weights.
The .gguf files come from llama.cpp, as SOURCE.txt says.
"""
import argparse
import hashlib
import json
import pathlib

import gguf
import numpy

HERE = pathlib.Path(__file__).parent


def description(tensor):
    values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype("<f4")
    wide = values.astype(numpy.float64)
    return {
        "type": tensor.tensor_type.name,
        "shape": [int(n) for n in reversed(tensor.shape)],
        "sum": float(wide.sum()),
        "sum_abs": float(numpy.abs(wide).sum()),
        "sha256": hashlib.sha256(values.tobytes()).hexdigest(),
    }


def differences(stored, found):
    """Fields that differ. Sums depend on the order of additions, so they may differ in their last digits."""
    close = lambda a, b: abs(a - b) <= 1e-9 * max(abs(a), abs(b), 1)
    return [
        key
        for key, value in found.items()
        if not (close(stored[key], value) if isinstance(value, float) else stored[key] == value)
    ]


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--write", action="store_true")
parser.add_argument("types", nargs="*")
given = parser.parse_args()
for path in sorted(HERE.glob("*.gguf")):
    if given.types and path.stem.split(".")[1] not in given.types:
        continue
    file = path.with_suffix(".json")
    content = json.loads(file.read_text())
    tensors = content
    found = {tensor.name: description(tensor) for tensor in gguf.GGUFReader(path).tensors}
    wrong = [f"{name}.{key}" for name, each in found.items() for key in differences(tensors[name], each)]
    print(f"{path.name}: {len(found)} tensors, {len(wrong)} differences {wrong[:3]}", flush=True)
    if given.write:
        for name, each in found.items():
            tensors[name].update(each)
        file.write_text(json.dumps(content, indent=1))
