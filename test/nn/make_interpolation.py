"""Writes interpolation.json: what torch's bicubic interpolation makes of small grids. Needs torch."""

import json
from pathlib import Path

import torch

cases = []
for source, target, features in [((4, 4), (7, 5), 2), ((5, 5), (3, 9), 1)]:
    height, width = source
    x = torch.arange(height * width * features, dtype=torch.float64).mul(1.7).sin().reshape(height, width, features)
    y = torch.nn.functional.interpolate(x.permute(2, 0, 1)[None], size=target, mode="bicubic", align_corners=False)
    values = [round(value, 9) for value in y[0].permute(1, 2, 0).flatten().tolist()]
    cases.append({"from": source, "to": target, "features": features, "values": values})
Path(__file__).with_name("interpolation.json").write_text(json.dumps(cases) + "\n")
