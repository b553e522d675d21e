#!/usr/bin/env python3
"""Writes files of torch.save that hold more than plain tensors, and expected.json: the tensors, or why a file is refused.

  pip install torch && python3 make_extra.py
"""
import collections
import json
import pathlib

import torch

HERE = pathlib.Path(__file__).parent
tensor = torch.arange(6, dtype=torch.float32).reshape(2, 3)
parameter, view = torch.nn.Parameter(tensor), tensor[:, ::2]
parameter.note, view.note = "parameter", {"tag": 1}
inner = {"w": tensor}
FILES = {
    "attributes": {"w": parameter, "v": view},
    "inside-of-two": {"step": torch.tensor(5), "model": {"state_dict": inner}},
    "beside-a-number": {"epoch": torch.tensor(3), "state_dict": inner, "schedule": {"milestones": collections.Counter([1, 1, 2])}},
    "without-crc": inner,
    "complex": {"w": torch.zeros(2, dtype=torch.complex64)},
    "quantized": {"w": torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8)},
    "sparse": {"w": tensor.to_sparse()},
}
REFUSED = {"complex": "complex numbers: save torch.view_as_real", "quantized": "a quantized tensor: save tensor.dequantize", "sparse": "a sparse tensor: save tensor.to_dense"}

expected = {}
for name, value in FILES.items():
    torch.serialization.set_crc32_options(name != "without-crc")
    torch.save(value, HERE / f"{name}.bin")
    names = ["w", "v"] if name == "attributes" else ["w"]
    given = {"w": tensor, "v": view}
    expected[name] = REFUSED.get(name) or {key: given[key].tolist() for key in names}
(HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
