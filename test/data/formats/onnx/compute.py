#!/usr/bin/env python3
"""Runs the ONNX files beside this file and their original classes again, and compares the outputs with expected.safetensors.

  pip install onnx onnxruntime torch==2.13.0 transformers==5.24.0 safetensors && python3 compute.py [FOLDER ...]

ONNX Runtime runs each file. The original class gets the weights of the first files that keep all of its tensors in float32, and
computes in float64. For each folder, the largest differences are printed, relative to the largest value of a tensor. The decoder's
file of an encoder-decoder gets the encoder's stored output. Pasts are empty.
"""
import argparse
import hashlib
import json
import pathlib

import numpy as np
import onnx
import onnxruntime
import torch
import transformers
from onnx import numpy_helper
from safetensors.numpy import load_file

HERE = pathlib.Path(__file__).parent
TYPES = {"tensor(int64)": np.int64, "tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(bool)": np.bool_}
# Outputs of the encoder are inputs of a decoder's file.
ENCODED = {"encoder_hidden_states": "original.encoder_last_hidden_state", "encoder_attention_mask": "input.attention_mask"}


def run(file, stored):
    """The outputs of a file by name."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    feeds = {}
    for given in session.get_inputs():
        name, own = given.name, f"input.decoder_{given.name}"
        source = ENCODED.get(name, own if file.stem.startswith("decoder") and own in stored else f"input.{name}")
        if source in stored:
            feeds[name] = stored[source].astype(TYPES[given.type])
        elif name == "use_cache_branch":
            feeds[name] = np.zeros(1, bool)
        elif name == "position_ids":
            feeds[name] = np.maximum(stored["input.attention_mask"].cumsum(-1) - 1, 0).astype(np.int64)
        else:  # a past of no tokens
            batch = len(next(value for key, value in stored.items() if key.startswith("input.")))
            shape = [batch if axis == 0 else size if isinstance(size, int) else 0 for axis, size in enumerate(given.shape)]
            feeds[name] = np.zeros(shape, TYPES[given.type])
    return dict(zip((output.name for output in session.get_outputs()), session.run(None, feeds)))


def state_dict(folder, expected):
    """The tensors of the original class that files have in float32. SHA-256 tells that a tensor is the original one."""
    found = {}
    for name, description in expected["files"].items():
        model = onnx.load(folder / "onnx" / name)
        tensors = {each.name: numpy_helper.to_array(each) for each in tensors_of(model.graph)}
        for weight, (tensor, transposed, *_) in (description.get("weights") or {}).items():
            value = tensors.get(tensor)
            if value is None or value.dtype != np.float32:
                continue
            value = np.array(value.T if transposed else value, order="C")
            _, shape, digest = expected["state_dict"].get(weight, (None, None, None))
            if list(value.shape) == shape and hashlib.sha256(value.tobytes()).hexdigest() == digest:
                found[weight] = torch.from_numpy(value)
    return found


def tensors_of(graph):
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                attribute.t.name = node.output[0]
                yield attribute.t
            if attribute.HasField("g"):
                yield from tensors_of(attribute.g)


def difference(stored, found):
    return np.abs(stored - found).max() / max(np.abs(stored).max(), 1e-9)


def original(folder, expected, stored):
    """The largest difference of the original class; None if no file has all of its weights."""
    kind = getattr(transformers, expected["class"])
    model = kind(transformers.AutoConfig.from_pretrained(folder, attn_implementation="eager")).eval().double()
    state = state_dict(folder, expected)
    missing = model.load_state_dict(state, strict=False).missing_keys
    tied = [key for key in missing if key in (model._tied_weights_keys or {})]
    lost = [key for key in missing if key not in tied and "position_ids" not in key and "pooler" not in key]
    if lost or not state:
        return f"{len(lost) or 'all'} weights are in no file"
    model.tie_weights()
    inputs = {key[6:]: torch.from_numpy(value) for key, value in stored.items() if key.startswith("input.")}
    inputs = {key: value.double() if value.is_floating_point() else value.long() for key, value in inputs.items()}
    with torch.no_grad():
        outputs = model(**inputs)
    names = [key[9:] for key in stored if key.startswith("original.") and key[9:] in outputs and "pooler" not in key]
    return max(difference(stored[f"original.{name}"], outputs[name].numpy()) for name in names)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("folders", nargs="*", type=pathlib.Path)
given = parser.parse_args()
for folder in given.folders or sorted(path for path in HERE.iterdir() if path.is_dir()):
    expected = json.loads((folder / "expected.json").read_text())
    stored = load_file(folder / "expected.safetensors")
    differences = {}
    for file in sorted((folder / "onnx").glob("*.onnx")):
        outputs = run(file, stored)
        names = [name for name in outputs if f"{file.stem}.{name}" in stored]
        differences[file.stem] = max(difference(stored[f"{file.stem}.{name}"], outputs[name]) for name in names)
    by_file = ", ".join(f"{name} {value:.0e}" for name, value in differences.items())
    of_class = original(folder, expected, stored)
    print(f"{folder.name}: {by_file}; {expected['class']} {of_class if isinstance(of_class, str) else f'{of_class:.0e}'}", flush=True)
