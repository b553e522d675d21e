#!/usr/bin/env python3
"""Writes zero-shot-audio.json beside this file: features of transformers' ClapFeatureExtractor, and scores of the CLAP of ../data/families.

  pip install torch transformers && python3 make_zero_shot_audio.py

Where transformers takes random places, it takes those in the middle here.
"""
import json
import pathlib
from unittest import mock

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import ClapFeatureExtractor, ClapModel

here = pathlib.Path(__file__).parent


def sound(count):
    i = np.arange(count, dtype=np.float64)
    return (0.3 * np.sin(0.05 * i) + 0.1 * np.sin(0.31 * i + 1) + 0.02 * np.sin(0.001 * i * i)).astype(np.float32)


def features(config, count):
    with mock.patch("numpy.random.randint", lambda low, high: (low + high - 1) // 2), mock.patch("numpy.random.choice", lambda places: places[(len(places) - 1) // 2]):
        extractor = ClapFeatureExtractor(**config)
        return extractor(sound(count), sampling_rate=extractor.sampling_rate, return_tensors="pt")


small = dict(feature_size=16, sampling_rate=8000, hop_length=160, max_length_s=1, fft_window_size=256, frequency_min=50, frequency_max=3800, truncation="rand_trunc")
fused = dict(small, feature_size=64, fft_window_size=512, truncation="fusion")
cases = [
    (dict(truncation="rand_trunc"), 100000),
    (small, 8000), (small, 3000), (small, 1), (small, 12345),
    (dict(small, padding="repeat"), 3000), (dict(small, padding="pad"), 3000), (dict(small, padding="repeat"), 4000),
    (fused, 3000), (fused, 8100), (fused, 8160), (fused, 8330), (fused, 25000),
]
found = []
for config, count in cases:
    values = features(config, count)["input_features"].numpy()
    step = max(1, values.size // 300) | 1
    found.append(dict(config=config, samples=count, shape=list(values.shape), step=step, values=[round(float(x), 4) for x in values.flatten()[::step]]))

vocab = {"<s>": 0, "<pad>": 1, "</s>": 2, **{f"w{i}": i for i in range(3, 97)}}
tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="w9"))
tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer.add_special_tokens(["<s>", "<pad>", "</s>"])
tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])

model = ClapModel.from_pretrained(here / "../data/families/clap").double().eval()
labels = ["w15", "w20 w30 w40", "w50 w51"]
template = "w5 w6 {}"
rows = [tokenizer.encode(template.format(label)).ids for label in labels]
longest = max(map(len, rows))
ids = torch.tensor([row + [1] * (longest - len(row)) for row in rows])
scores = []
for count in (3000, 12345):
    heard = features(small, count)["input_features"].double()
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=(ids != 1).long(), input_features=heard).logits_per_audio
    scores.append(dict(samples=count, scores=logits.softmax(-1)[0].tolist()))
result = dict(features=found, processor=dict(small, feature_extractor_type="ClapFeatureExtractor"), tokenizer=json.loads(tokenizer.to_str()), labels=labels, template=template, sounds=scores)
(here / "zero-shot-audio.json").write_text(json.dumps(result) + "\n")
