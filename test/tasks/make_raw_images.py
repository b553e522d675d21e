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
