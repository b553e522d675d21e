#!/usr/bin/env python3
"""Computes reference.safetensors of folders again, and compares.

  pip install torch transformers && python3 compute.py [--write] [FOLDER ...]

Without FOLDER, all folders beside this file. The weights and inputs are those of the
folders; transformers computes outputs and gradients in float64. For each folder the largest difference is printed, relative to the
largest value of its tensor. --write replaces the stored outputs and gradients.

If the class has no loss, "projection.OUTPUT" is stored, and the loss is the sum of output * projection over these outputs.
"""
import argparse
import inspect
import json
import pathlib

import torch
import transformers
from safetensors.torch import load_file, save_file

HERE = pathlib.Path(__file__).parent


def tensors_of(folder, stored):
    kind = getattr(transformers, json.loads((folder / "reference.json").read_text())["class"])
    model = kind.from_pretrained(folder, attn_implementation="eager", dtype=torch.float64).eval()
    for buffer in model.buffers():
        if buffer.is_floating_point():
            buffer.data = buffer.data.double()
    accepted = inspect.signature(model.forward).parameters
    inputs = {k: v.double() if v.is_floating_point() else v.long() for k, v in stored.items() if k in accepted}
    options = dict(return_loss=True) if "return_loss" in accepted and "loss" in stored else {}
    output = model(**inputs, **options, output_hidden_states=True, output_attentions=True)
    found = {}
    for name, value in output.items():
        if torch.is_tensor(value):
            found[name] = value
        elif isinstance(value, tuple):
            found.update({f"{name}.{i}": each for i, each in enumerate(value) if torch.is_tensor(each)})
    projected = [found[k.removeprefix("projection.")] * v for k, v in stored.items() if k.startswith("projection.")]
    loss = sum(each.sum() for each in projected) if projected else output.get("loss")
    if loss is not None:
        found["loss"] = loss
        loss.backward()
        found.update({f"grad.{name}": p.grad for name, p in model.named_parameters() if p.grad is not None})
    return {name: value.detach().float() for name, value in found.items() if name in stored}


def distance(stored, found):
    """The largest difference, relative to the largest value of the tensor. Gradients below 1e-9 count as zero."""
    largest = 0.0
    for name, value in found.items():
        size = max(stored[name].abs().max().item(), 1e-9)
        largest = max(largest, (value - stored[name]).abs().max().item() / size if size > 1e-9 else 0.0)
    return largest


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--write", action="store_true")
parser.add_argument("folders", nargs="*", type=pathlib.Path)
given = parser.parse_args()
for folder in given.folders or sorted(path for path in HERE.iterdir() if path.is_dir()):
    file = folder / "reference.safetensors"
    stored = load_file(file)
    found = tensors_of(folder, stored)
    print(f"{folder.name}: {len(found)} of {len(stored)} tensors, largest difference {distance(stored, found):.1e}", flush=True)
    if given.write:
        save_file({**stored, **{name: value.contiguous() for name, value in found.items()}}, file)
