#!/usr/bin/env python3
"""Saves the weights of bert-zip, gpt2-zip and t5-zip in all other ways that files on the hub have.

  pip install torch && python3 make_bin.py [--out FOLDER] [NAME ...]

Writes the files of folders beside this script, or below FOLDER. describe.py compares their tensors with expected.json. The zip files are
random weights of transformers' classes for their config.json, saved by torch.save(model.state_dict()). Licence: MIT, as the rest of this
repository.
"""
import argparse
import collections
import io
import json
import pathlib
import shutil
import warnings
import zipfile

import torch

warnings.simplefilter("ignore")  # about pickle protocols other than 2
HERE = pathlib.Path(__file__).parent
FILE = "pytorch_model.bin"
MASK = torch.tril(torch.ones(1, 1, 40, 40, dtype=torch.bool))


def read(model):
    return torch.load(HERE / f"{model}-zip" / FILE, weights_only=True)


def named(pairs):
    return collections.OrderedDict(pairs)


def views(state):
    """Transposed matrices, one storage of all vectors, and every second row of a table."""
    vectors = [key for key, value in state.items() if value.ndim == 1]
    joined = torch.cat([state[key] for key in vectors])
    ends = torch.tensor([len(state[key]) for key in vectors]).cumsum(0).tolist()
    found = dict(zip(vectors, (joined[start:end] for start, end in zip([0, *ends], ends))))
    for key, value in state.items():
        if value.ndim == 2 and "wpe" in key:
            found[key] = torch.stack([value, torch.zeros_like(value)], 1).flatten(0, 1)[::2]
        elif value.ndim == 2 and "wte" not in key and "lm_head" not in key:
            found[key] = value.T.contiguous().T
    return {key: found.get(key, value) for key, value in state.items()}


def flat(state):
    """Slices of one storage."""
    joined = torch.cat([value.flatten() for value in state.values()])
    start, found = 0, {}
    for key, value in state.items():
        found[key] = joined[start : start + value.numel()].view(value.shape)
        start += value.numel()
    return found


def old_names(state):
    """The names of bert-base-uncased."""
    rename = lambda key: key.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
    return named((rename(key), value) for key, value in state.items() if key != "cls.predictions.decoder.bias")


def with_positions(state):
    buffers = {"bert.embeddings.position_ids": torch.arange(40)[None], "bert.embeddings.token_type_ids": torch.zeros(1, 40, dtype=torch.long)}
    return named([("bert.embeddings.position_ids", buffers["bert.embeddings.position_ids"]), *state.items(), ("bert.embeddings.token_type_ids", buffers["bert.embeddings.token_type_ids"])])


def with_buffers(state):
    """Masks and other tensors that are no weights."""
    buffers = {}
    for i in range(2):
        buffers |= {f"transformer.h.{i}.attn.bias": MASK.clone(), f"transformer.h.{i}.attn.masked_bias": torch.tensor(-1e4)}
    buffers["empty"] = torch.zeros(0, 4)
    buffers |= {f"small.i{bits}": torch.arange(-3, 3).to(getattr(torch, f"int{bits}")) for bits in (8, 16, 32)}
    buffers["small.bool"] = torch.tensor([True, False, True])
    return named([*state.items(), *buffers.items()])


def mixed(state):
    kinds = {".attn.": torch.float16, ".mlp.": torch.bfloat16, ".ln_f.": torch.float64}
    return {key: value.to(next((kind for part, kind in kinds.items() if part in key), torch.float32)) for key, value in state.items()}


def with_protocol(protocol):
    return lambda state, path, legacy: torch.save(state, path, pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy)


def save(state, path, legacy):
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)


def save_shards(state, path, _):
    """Three files in turn and their index. The first file is in the format before torch 1.6."""
    keys = list(state)
    files = [path.with_name(f"pytorch_model-{i + 1:05}-of-00003.bin") for i in range(3)]
    for i, file in enumerate(files):
        save({key: state[key] for key in keys[i::3]}, file, legacy=i == 0)
    size = sum(value.numel() * value.element_size() for value in state.values())
    weights = {key: files[i % 3].name for i, key in enumerate(keys)}
    path.with_name(f"{FILE}.index.json").write_text(json.dumps(dict(metadata=dict(total_size=size), weight_map=weights), indent=1))


def save_rezipped(state, path, _):
    """An ordinary zip program: stored, not aligned, with another root."""
    content = io.BytesIO()
    torch.save(state, content)
    with zipfile.ZipFile(content) as given, zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as written:
        for name in given.namelist():
            written.writestr(zipfile.ZipInfo(f"archive/{name.split('/', 1)[1]}"), given.read(name))


def same(state):
    return state


def without(prefix, heads=()):
    return lambda state: named((key.removeprefix(prefix), value) for key, value in state.items() if not key.startswith(heads))


def wrapped(state):
    best = dict(loss=0.5, shape=torch.Size([2, 3]), dtype=torch.float32, device=torch.device("cpu"))
    return dict(epoch=3, state_dict=state, best=best, lr=1e-3, done=False, names=["a", "b"], none=None)


# The model, the change of its state dict, how it is saved, and True for the format before torch 1.6.
CASES = {
    "bert-zip": ("bert", same, save, False),
    "gpt2-zip": ("gpt2", same, save, False),
    "t5-zip": ("t5", same, save, False),
    "bert-legacy": ("bert", same, save, True),
    "gpt2-legacy": ("gpt2", same, save, True),
    "t5-legacy": ("t5", same, save, True),
    "bert-sharded": ("bert", same, save_shards, False),
    "t5-sharded": ("t5", same, save_shards, False),
    "bert-f16": ("bert", lambda state: {key: value.half() for key, value in state.items()}, save, True),
    "t5-bf16": ("t5", lambda state: {key: value.bfloat16() for key, value in state.items()}, save, False),
    "gpt2-mixed": ("gpt2", mixed, save, False),
    "gpt2-views": ("gpt2", views, save, False),
    "gpt2-views-legacy": ("gpt2", views, save, True),
    "bert-flat": ("bert", flat, save, False),
    "bert-position-ids": ("bert", with_positions, save, False),
    "gpt2-buffers": ("gpt2", with_buffers, save, False),
    "gpt2-noprefix": ("gpt2", without("transformer.", ("lm_head",)), save, False),
    "bert-gamma-beta": ("bert", old_names, save, True),
    "bert-noprefix": ("bert", without("bert.", ("cls",)), save, False),
    "bert-module-prefix": ("bert", lambda state: named((f"module.{key}", value) for key, value in state.items()), save, False),
    "bert-wrapped": ("bert", wrapped, save, False),
    "t5-parameters": ("t5", lambda state: named((key, torch.nn.Parameter(value)) for key, value in state.items()), save, False),
    "gpt2-protocol3": ("gpt2", dict, with_protocol(3), True),
    "gpt2-protocol4": ("gpt2", dict, with_protocol(4), False),
    "bert-rezipped": ("bert", same, save_rezipped, False),
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=HERE)
    parser.add_argument("names", nargs="*", choices=[*CASES, []], metavar="NAME")
    options = parser.parse_args()
    for name in options.names or CASES:
        model, change, write, legacy = CASES[name]
        folder = options.out / name
        folder.mkdir(parents=True, exist_ok=True)
        if folder.resolve() != (HERE / name).resolve():
            shutil.copy(HERE / name / "config.json", folder)
        write(change(read(model)), folder / FILE, legacy)
        print(name)
