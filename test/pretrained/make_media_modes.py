#!/usr/bin/env python3
"""Writes media-modes.json beside this file: what transformers' processors make of unusual pictures and of a sound.

  pip install numpy torch transformers pillow && python3 make_media_modes.py

The pictures have odd sizes, one channel, or alpha. They are those of `pictureOf` in media-modes.test.ts. The sound is `sound` below at
the rate of each model. It has frequencies below 3.6 kHz only. So a recording of the same sound at 8 kHz, with its parts in two channels,
has the same features. Of each result there are some numbers.
"""
import importlib
import json
import pathlib

import numpy as np
import PIL.Image
import transformers

# The PIL version of each processor: its file and settings.
IMAGES = {
    "ViT": ("vit", {"size": {"height": 16, "width": 18}}),
    "CLIP": ("clip", {"size": {"shortest_edge": 20}, "crop_size": {"height": 16, "width": 16}}),
    "Siglip": ("siglip", {"size": {"height": 17, "width": 17}}),
    "Bit": ("bit", {"size": {"shortest_edge": 20}, "crop_size": {"height": 17, "width": 15}}),
    "Beit": ("beit", {"size": {"height": 18, "width": 12}}),
    "ConvNext": ("convnext", {"size": {"shortest_edge": 17}}),
    "DPT": ("dpt", {"size": {"height": 20, "width": 18}, "keep_aspect_ratio": True, "ensure_multiple_of": 5, "do_pad": True, "size_divisor": 7}),
    "DeiT": ("deit", {"size": {"height": 20, "width": 20}, "crop_size": {"height": 17, "width": 13}}),
    "Donut": ("donut", {"size": {"height": 30, "width": 22}}),
    "Siglip2": ("siglip2", {"patch_size": 4, "max_num_patches": 15}),
    "LayoutLMv3": ("layoutlmv3", {"size": {"height": 16, "width": 18}, "apply_ocr": False}),
    "MobileViT": ("mobilevit", {"size": {"shortest_edge": 20}, "crop_size": {"height": 17, "width": 23}}),
    "GLPN": ("glpn", {"size_divisor": 8}),
    "Swin2SR": ("swin2sr", {"size_divisor": 5}),
    "Segformer": ("segformer", {"size": {"height": 16, "width": 20}}),
    "Sam": ("sam", {"size": {"longest_edge": 24}, "pad_size": {"height": 24, "width": 24}}),
    "Detr": ("detr", {"size": {"shortest_edge": 21, "longest_edge": 40}}),
    "Yolos": ("yolos", {"size": {"shortest_edge": 32, "longest_edge": 64}}),
    "RTDetr": ("rt_detr", {"size": {"height": 32, "width": 24}}),
    "OwlViT": ("owlvit", {"size": {"height": 18, "width": 18}}),
    "Owlv2": ("owlv2", {"size": {"height": 24, "width": 24}}),
}
SIZES = [(1, 1), (7, 5), (3, 61), (33, 34)]
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
SOUNDS = {
    "WhisperFeatureExtractor": {"feature_size": 40, "chunk_length": 1},
    "Wav2Vec2FeatureExtractor": {"do_normalize": True},
    "ParakeetFeatureExtractor": {},
    "SeamlessM4TFeatureExtractor": {},
    "ASTFeatureExtractor": {"max_length": 48},
    "ClapFeatureExtractor": {"max_length_s": 1, "truncation": "rand_trunc"},
}
SECONDS = 0.5
HIGHEST = 3700  # a little above the last tone


def words(count, seed):
    """A linear congruential generator's upper bits, from 0 to 65535."""
    state, out = seed, np.empty(count, np.int64)
    for i in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        out[i] = state >> 16
    return out


def picture(width, height, channels):
    """Slopes with a third of noise."""
    noise = words(width * height * channels, 8).reshape(height, width, channels) % 85
    y, x, c = np.mgrid[:height, :width, :channels]
    return ((x * 7 + y * 3 + c * 50) % 171 + noise).astype(np.uint8)


def sound(rate):
    """Tones every 100 Hz, which rise and fall as a whole."""
    t = np.arange(int(SECONDS * rate)) / rate
    tones = sum(np.sin(2 * np.pi * 100 * k * t + k * k) / 40 for k in range(1, 37))
    return (tones * np.sin(np.pi * t / SECONDS) ** 2).astype(np.float32)


def images():
    for name, (file, settings) in IMAGES.items():
        module = importlib.import_module(f"transformers.models.{file}.image_processing_pil_{file}")
        processor = getattr(module, f"{name}ImageProcessorPil")(**settings)
        results = []
        for width, height in SIZES:
            for channels, mode in MODES.items():
                pixels = picture(width, height, channels)
                image = PIL.Image.fromarray(pixels[..., 0] if channels == 1 else pixels, mode)
                try:
                    # Some processors refuse grey pictures and alpha without this option.
                    made = processor(image, do_convert_rgb=True, return_tensors="np")["pixel_values"].astype(np.float64)
                except ValueError:  # a side of no pixels
                    results.append([width, height, channels, None])
                    continue
                some = made.ravel()[np.linspace(0, made.size - 1, 4).astype(int)]
                results.append([width, height, channels, list(made.shape), *(round(float(v), 5) for v in [made.mean(), *some])])
        yield {"processor": name, "settings": settings, "results": results}


def low_bins(extractor, shape):
    """Places of values that only frequencies below HIGHEST change."""
    if not hasattr(extractor, "mel_filters"):
        return np.arange(np.prod(shape))
    filters = np.asarray(extractor.mel_filters)
    if filters.shape[0] < filters.shape[1]:
        filters = filters.T  # [frequencies, bins]
    filters = filters[:, : extractor.feature_size]
    frequencies = np.linspace(0, extractor.sampling_rate / 2, len(filters))
    low = [row.any() and frequencies[row > 0].max() < HIGHEST for row in filters.T]
    axis = next(i for i, size in enumerate(shape) if size % len(low) == 0)
    bins = np.arange(shape[axis]) % len(low)
    marks = np.moveaxis(np.broadcast_to(np.array(low)[bins], np.moveaxis(np.empty(shape), axis, -1).shape), -1, axis)
    return np.flatnonzero(marks)


def sounds():
    for name, settings in SOUNDS.items():
        extractor = getattr(transformers, name)(**settings)
        rate = extractor.sampling_rate
        values = extractor(sound(rate), sampling_rate=rate, return_tensors="np")
        made = np.asarray(values[extractor.model_input_names[0]][0], np.float64)
        if name == "ParakeetFeatureExtractor":
            made = made[values["attention_mask"][0] == 1]
        places = low_bins(extractor, made.shape)
        places = places[np.linspace(0, len(places) - 1, 60).astype(int)]
        pairs = [[int(place), round(float(made.ravel()[place]), 4)] for place in places]
        yield {"extractor": name, "settings": settings, "shape": list(made.shape), "values": pairs}


if __name__ == "__main__":
    path = pathlib.Path(__file__).with_name("media-modes.json")
    path.write_text(json.dumps({"images": list(images()), "sounds": list(sounds())}) + "\n")
