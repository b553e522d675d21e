"""Adds images resized by Pillow to raw-images.json (make_raw_images.mjs)."""

import json
from pathlib import Path

from PIL import Image

here = Path(__file__).parent
names = ["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"]
picture = Image.open(here / "programs/square.png").convert("RGB")
resized = {}
for number, name in enumerate(names):
    for width, height in [(5, 3), (4, 26)]:
        resized[f"{name} {width} {height}"] = list(picture.resize((width, height), number).tobytes())
path = here / "raw-images.json"
path.write_text(json.dumps({**json.loads(path.read_text()), "resized": resized}, separators=(",", ":")) + "\n")

# An image that Swin2SR enlarges. The model is one of variants.json, whose weights come from a formula.
import numpy as np  # noqa: E402
import torch  # noqa: E402
from transformers import Swin2SRConfig, Swin2SRForImageSuperResolution, Swin2SRImageProcessorPil  # noqa: E402

variants = json.loads((here / "../pretrained/variants.json").read_text())
variant = next(each for each in variants if each["name"] == "Swin2SR of few parameters")
model = Swin2SRForImageSuperResolution(Swin2SRConfig(**variant["config"])).eval()
stored = {}
for index, (name, shape) in enumerate(variant["shapes"].items()):
    state, values = index * 7919 + 1, []
    for _ in range(np.prod(shape)):
        state = (state * 1664525 + 1013904223) % 2**32
        values.append((state >> 16) / 65536 - 0.5)
    stored[name] = torch.tensor(values).reshape(shape)
model.load_state_dict(stored, strict=True)
small = picture.crop((3, 5, 9, 10))
with torch.no_grad():
    made = model(**Swin2SRImageProcessorPil()(small, return_tensors="pt")).reconstruction[0, :, : 2 * small.height, : 2 * small.width]
enlarged = (made.clamp(0, 1) * 255).round().permute(1, 2, 0).to(torch.uint8)
path.write_text(json.dumps({**json.loads(path.read_text()), "enlarged": enlarged.flatten().tolist()}, separators=(",", ":")) + "\n")
