#!/usr/bin/env python3
"""Reads the checkpoints beside this file with torch.load(weights_only=True), describes their tensors again, and compares with expected.json.

  pip install torch && python3 describe.py [--write] [--from FOLDER] [NAME ...]

A description is the dtype, the shape, the SHA-256 of the row-major little-endian bytes, and the sum in float64. --write replaces the
stored descriptions. Adapters (lora-*) and the folder hostile are left out.
"""
import argparse
import hashlib
import json
import pathlib
import pickle
import warnings

import torch

warnings.simplefilter("ignore")  # about pickle protocols other than 2
HERE = pathlib.Path(__file__).parent


def description(tensor):
    tensor = tensor.detach().contiguous()
    data = tensor.reshape(-1).view(torch.uint8).numpy().tobytes()
    return [str(tensor.dtype).removeprefix("torch."), list(tensor.shape), hashlib.sha256(data).hexdigest(), tensor.double().sum().item()]


def tensors_of(content, prefix=""):
    """All tensors of nested dictionaries by their keys."""
    for key, value in content.items():
        if torch.is_tensor(value):
            yield str(key), value
        elif isinstance(value, dict):
            yield from tensors_of(value)


def close(stored, found):
    return stored[:3] == found[:3] and abs(stored[3] - found[3]) <= 1e-9 * max(abs(stored[3]), 1)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--write", action="store_true")
parser.add_argument("--from", dest="folder", type=pathlib.Path, default=HERE, help="where the files lie; default: here")
parser.add_argument("names", nargs="*")
given = parser.parse_args()
file = HERE / "expected.json"
content = json.loads(file.read_text())
for name, case in content["cases"].items():
    if (given.names and name not in given.names) or not isinstance(case.get("tensors"), dict):
        continue
    found = {}
    try:
        for path in sorted((given.folder / name).glob("*.bin")):
            found.update(tensors_of(torch.load(path, weights_only=True)))
    except pickle.UnpicklingError:
        print(f"{name}: torch.load(weights_only=True) refuses it")
        continue
    known = {key: description(value) for key, value in found.items() if key in case["tensors"]}
    wrong = [key for key, each in known.items() if not close(case["tensors"][key], each)]
    print(f"{name}: {len(known)} of {len(case['tensors'])} tensors, {len(wrong)} differences {wrong[:3]}", flush=True)
    if given.write:
        case["tensors"].update(known)
if given.write:
    file.write_text(json.dumps(content, indent=1))
