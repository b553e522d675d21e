"""Writes samplers.json: the tokens that transformers' warpers keep of random scores.

    pip install torch transformers; python test/generate/make_samplers.py
"""
import json
from pathlib import Path

import torch
from transformers.generation.logits_process import (
    EpsilonLogitsWarper,
    EtaLogitsWarper,
    TopHLogitsWarper,
    TypicalLogitsWarper,
)

torch.manual_seed(7)
WARPERS = {
    'topH': TopHLogitsWarper,
    'typicalP': TypicalLogitsWarper,
    'epsilonCutoff': EpsilonLogitsWarper,
    'etaCutoff': EtaLogitsWarper,
}
VALUES = {
    'topH': [0.05, 0.2, 0.4, 0.7, 0.95],
    'typicalP': [0.05, 0.2, 0.5, 0.9, 0.99],
    'epsilonCutoff': [3e-4, 0.01, 0.1, 0.6],
    'etaCutoff': [3e-4, 0.01, 0.1, 0.6],
}

cases = []
for spread in (0.5, 2.0, 6.0):
    for tokens, forbidden in ((50, 0), (50, 20), (140, 0)):  # top-H considers 100 tokens
        scores = torch.randn(tokens) * spread
        scores[torch.randperm(tokens)[:forbidden]] = -torch.inf
        kept = [
            [name, value, (warp(value)(None, scores[None].double())[0] > -torch.inf).nonzero().flatten().tolist()]
            for name, warp in WARPERS.items()
            for value in VALUES[name]
        ]
        cases.append({'scores': [s if s > -torch.inf else None for s in scores.tolist()], 'kept': kept})
lines = ',\n'.join(json.dumps(case) for case in cases)
Path(__file__).with_name('samplers.json').write_text(f'[\n{lines}\n]\n')
