"""Writes detection-loss.json: the loss of transformers' DETR for targets, and the norm of each gradient. Needs torch, transformers, scipy."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import DetrForObjectDetection

here = Path(__file__).parent
folder = here / "../data/reference3/detr"
pixels = load_file(folder / "reference.safetensors")["pixel_values"]
torch.manual_seed(3)
targets = []
for count in [3, 1]:
    centre, size = torch.rand(count, 2) * 0.5 + 0.25, torch.rand(count, 2) * 0.4 + 0.1
    boxes = torch.cat([centre, size], 1)
    targets.append({"class_labels": torch.randint(0, 4, (count,)), "boxes": boxes})
cases = []
for auxiliary, wanted in [(False, targets), (True, targets), (False, [targets[0], {"class_labels": torch.zeros(0, dtype=torch.long), "boxes": torch.zeros(0, 4)}])]:
    model = DetrForObjectDetection.from_pretrained(folder, auxiliary_loss=auxiliary).eval()
    labels = [{"class_labels": each["class_labels"], "boxes": each["boxes"]} for each in wanted]
    output = model(pixel_values=pixels, labels=labels)
    output.loss.backward()
    norms = {name: p.grad.norm().item() for name, p in model.named_parameters() if p.grad is not None}
    picked = {name.replace(".o_proj.", ".out_proj.").replace(".mlp.", "."): norm for name, norm in norms.items() if "backbone" not in name}
    cases.append({
        "auxiliary": auxiliary,
        "labels": [{"classLabels": each["class_labels"].tolist(), "boxes": each["boxes"].tolist()} for each in wanted],
        "loss": output.loss.item(),
        "norms": picked,
    })
(here / "detection-loss.json").write_text(json.dumps(cases) + "\n")
print([each["loss"] for each in cases])
