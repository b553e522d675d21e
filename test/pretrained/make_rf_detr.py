"""Writes rf-detr.json: what RF-DETR of ../data/families predicts in training, where it has several groups of queries.

Needs torch and transformers. The arithmetic is float64.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import RfDetrForObjectDetection

here = Path(__file__).parent
folder = here / "../data/families/rf_detr"
model = RfDetrForObjectDetection.from_pretrained(folder, attn_implementation="eager").double().train()
pixels = load_file(folder / "reference.safetensors")["pixel_values"].double()
with torch.no_grad():
    output = model(pixel_values=pixels)
names = ["logits", "pred_boxes", "enc_outputs_class", "enc_outputs_coord_logits"]
found = {name: {"shape": list(output[name].shape), "data": [float(f"{x:.9g}") for x in output[name].flatten().tolist()]} for name in names}
(here / "rf-detr.json").write_text(json.dumps(found) + "\n")
print({name: each["shape"] for name, each in found.items()})
