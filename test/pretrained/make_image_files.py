#!/usr/bin/env python3
"""Writes image-files.json beside this file: small image files of many kinds, and the pixels that transformers' `load_image` reads.

  pip install numpy pillow transformers torch && python3 make_image_files.py
"""
import base64
import io
import json
import pathlib
import struct
import zlib

import numpy as np
import PIL.Image
from PIL import ImageCms
from transformers.image_utils import load_image

random = np.random.default_rng(0)
WIDTH, HEIGHT = 13, 7
y, x, c = np.mgrid[:HEIGHT, :WIDTH, :3]
noisy = PIL.Image.fromarray(((x * 17 + y * 23 + c * 50) % 171 + random.integers(0, 85, (HEIGHT, WIDTH, 3))).astype(np.uint8))
smooth = PIL.Image.fromarray((128 + 100 * np.sin(x / 5 + c) * np.cos(y / 4)).astype(np.uint8))
alpha = random.integers(0, 256, (HEIGHT, WIDTH)).astype(np.uint8)
rgba = PIL.Image.fromarray(np.dstack([np.array(noisy), alpha]))
files = {}


def add(name, image, **options):
    out = io.BytesIO()
    image.save(out, {"jpg": "JPEG"}.get(name.split(".")[1], name.split(".")[1].upper()), **options)
    files[name] = out.getvalue()


def png16(colour, channels):
    """A PNG file of 16 bits, which Pillow cannot write for each type of colour."""
    values = random.integers(0, 65536, (HEIGHT, WIDTH, channels)).astype(">u2")
    if channels == 1:
        values[:, ::2] %= 300
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def rotated(orientation):
    exif = PIL.Image.Exif()
    exif[0x112] = orientation
    return exif


add("rgb.png", noisy)
add("grey.png", noisy.convert("L"))
add("black-and-white.png", noisy.convert("1"))
add("alpha.png", rgba)
add("grey-alpha.png", rgba.convert("LA"))
add("palette.png", noisy.quantize(16))
add("palette-transparent.png", noisy.quantize(16), transparency=3)
add("transparent-colour.png", noisy, transparency=noisy.getpixel((2, 1)))
for name, colour, channels in [("grey", 0, 1), ("rgb", 2, 3), ("grey-alpha", 4, 2), ("alpha", 6, 4)]:
    files[f"{name}-16.png"] = png16(colour, channels)
for orientation in range(2, 9):
    add(f"orientation-{orientation}.jpg", smooth, exif=rotated(orientation), quality=50)
add("orientation.png", noisy, exif=rotated(6))
add("orientation.webp", noisy, exif=rotated(8), lossless=True)
add("subsampled.jpg", noisy, subsampling=2)
add("progressive.jpg", noisy, progressive=True)
add("grey.jpg", noisy.convert("L"))
add("cmyk.jpg", smooth.convert("CMYK"))
cmyk = np.array(smooth.convert("CMYK"))
cmyk[..., 3] = alpha // 2
add("cmyk-black.jpg", PIL.Image.fromarray(cmyk, "CMYK"), exif=rotated(6))
profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
swapped = profile.replace(b"rXYZ", b"tmp!", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"tmp!", b"bXYZ", 1)
add("profile.png", noisy, icc_profile=swapped)  # red and blue change places for readers that apply it
add("lossy.webp", noisy)
add("alpha.webp", rgba, lossless=True)
add("animated.webp", noisy, save_all=True, append_images=[smooth], duration=100, lossless=True)
add("animated.gif", noisy, save_all=True, append_images=[smooth])
add("animated.png", noisy, save_all=True, append_images=[smooth])
add("grey.avif", smooth.convert("L"))
add("full.avif", smooth, subsampling="4:4:4")

result = []
for name, data in files.items():
    image = load_image(base64.b64encode(data).decode())
    entry = {"name": name, "file": data, "width": image.width, "height": image.height, "pixels": image.tobytes()}
    result.append({k: base64.b64encode(v).decode() if isinstance(v, bytes) else v for k, v in entry.items()})
lines = ",\n".join(json.dumps(entry) for entry in result)
pathlib.Path(__file__).with_name("image-files.json").write_text(f"[\n{lines}\n]\n")
