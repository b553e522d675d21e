#!/usr/bin/env python3
"""Writes filter-banks.json beside this file: what transformers' feature extractors give for a sound of sines.

  pip install torch transformers && python3 make_filter_banks.py
"""
import json
import pathlib

import numpy as np
from transformers import ASTFeatureExtractor, ParakeetFeatureExtractor, SeamlessM4TFeatureExtractor


def sound(count):
    i = np.arange(count, dtype=np.float64)
    return (0.3 * np.sin(0.05 * i) + 0.1 * np.sin(0.31 * i + 1) + 0.02 * np.sin(0.001 * i * i)).astype(np.float32)


cases = [
    ("ParakeetFeatureExtractor", ParakeetFeatureExtractor, dict(), 4321),
    ("ParakeetFeatureExtractor", ParakeetFeatureExtractor, dict(feature_size=16, n_fft=256, win_length=200, hop_length=100, preemphasis=None), 2000),
    ("SeamlessM4TFeatureExtractor", SeamlessM4TFeatureExtractor, dict(), 4321),
    ("SeamlessM4TFeatureExtractor", SeamlessM4TFeatureExtractor, dict(num_mel_bins=20, feature_size=20, stride=3), 4000),
    ("AstFeatureExtractor", ASTFeatureExtractor, dict(max_length=20), 4321),
    ("AstFeatureExtractor", ASTFeatureExtractor, dict(num_mel_bins=16, max_length=30, do_normalize=False), 4000),
]
found = []
for name, kind, config, count in cases:
    result = kind(**config)(sound(count), sampling_rate=16000, return_tensors="np")
    rows = result["input_values"][0] if name.startswith("Ast") else result["input_features"][0][result["attention_mask"][0] == 1]
    found.append(dict(name=name, config=config, samples=count, shape=list(rows.shape), values=[round(float(x), 5) for x in rows.flatten()[:: 7]]))
(pathlib.Path(__file__).parent / "filter-banks.json").write_text(json.dumps(found) + "\n")
