"""Parameters after some steps of torch's SGD and AdamW, of transformers' Adafactor, and of Lion by its paper's formula:
writes optimizers.json.

    python test/train/make_optimizers.py
"""

import json
from pathlib import Path

import torch
from transformers.optimization import Adafactor

torch.manual_seed(11)
SHAPES = [(4, 6), (5,), (3, 2)]
STEPS = 4


class Lion:
    """arXiv 2302.06675, algorithm 2."""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        self.params, self.lr, self.betas, self.decay = params, lr, betas, weight_decay
        self.means = [torch.zeros_like(p) for p in params]

    @torch.no_grad()
    def step(self):
        first, second = self.betas
        for p, m in zip(self.params, self.means):
            update = torch.sign(first * m + (1 - first) * p.grad) + self.decay * p
            m.mul_(second).add_(p.grad, alpha=1 - second)
            p.sub_(self.lr * update)


CASES = [
    ("Adafactor", {}, lambda p: Adafactor(p)),
    ("Adafactor", {"warmupInit": True, "weightDecay": 0.1}, lambda p: Adafactor(p, warmup_init=True, weight_decay=0.1)),
    (
        "Adafactor",
        {"lr": 0.02, "scaleParameter": False, "beta1": 0.9, "clipThreshold": 0.7, "decayRate": -0.6},
        lambda p: Adafactor(
            p, lr=0.02, scale_parameter=False, relative_step=False, beta1=0.9, clip_threshold=0.7, decay_rate=-0.6
        ),
    ),
    ("Lion", {"lr": 0.01}, lambda p: Lion(p, 0.01)),
    ("Lion", {"lr": 0.01, "beta1": 0.8, "beta2": 0.95, "weightDecay": 0.1}, lambda p: Lion(p, 0.01, (0.8, 0.95), 0.1)),
    (
        "SGD",
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weightDecay": 0.01},
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    ),
    (
        "SGD",
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.3},
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.3),
    ),
    ("SGD", {"lr": 0.1, "dampening": 0.3}, lambda p: torch.optim.SGD(p, lr=0.1, dampening=0.3)),
    (
        "AdamW",
        {"lr": 0.02, "beta2": 0.5, "amsgrad": True},
        lambda p: torch.optim.AdamW(p, lr=0.02, betas=(0.9, 0.5), amsgrad=True),
    ),
]

cases = []
for name, options, make in CASES:
    params = [torch.randn(shape, requires_grad=True) for shape in SHAPES]
    before = [p.detach().flatten().tolist() for p in params]
    gradients = [[torch.randn(shape) for shape in SHAPES] for _ in range(STEPS)]
    optimizer = make(params)
    for step in gradients:
        for p, gradient in zip(params, step):
            p.grad = gradient.clone()
        optimizer.step()
    cases.append(
        {
            "name": name,
            "options": options,
            "shapes": SHAPES,
            "before": before,
            "gradients": [[g.flatten().tolist() for g in step] for step in gradients],
            "after": [p.detach().flatten().tolist() for p in params],
        }
    )

(Path(__file__).parent / "optimizers.json").write_text("[\n" + ",\n".join(map(json.dumps, cases)) + "\n]\n")
