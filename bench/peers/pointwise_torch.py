"""PyTorch's pointwise ops for bench/pointwise.ts, driven over a pipe.

Reads one JSON object a line: first {"threads"}, answered by {"torch": version}; then {"op", "rows", "cols", "repeats"}, answered by
{"seconds": of one repeat, "sample": of the result, for AdamW of the parameter}.
"""

import time

import torch
from patterns import answer, patterned, questions, sample
from torch.nn import functional


def forward(op, rows, cols):
    x, y = patterned((rows, cols), 1021), patterned((rows, cols), 1019)
    gamma, beta = patterned((cols,), 1013), patterned((cols,), 1009)
    labels = torch.arange(rows) * 97 % cols
    return {
        "layerNorm": lambda: functional.layer_norm(x, (cols,), gamma, beta),
        "addLayerNorm": lambda: functional.layer_norm(x + y, (cols,), gamma, beta),
        "softmax": lambda: functional.softmax(x, -1),
        "gelu": lambda: functional.gelu(x),
        "crossEntropy": lambda: functional.cross_entropy(x, labels),
    }[op]


def optimizer(rows, cols):
    parameter = patterned((rows, cols), 1021).requires_grad_()
    parameter.grad = patterned((rows, cols), 1019)
    adamw = torch.optim.AdamW([parameter], lr=1e-3, weight_decay=0.01, fused=True)

    def step():
        adamw.step()
        return parameter

    return step


def main():
    asked = run = None
    for question in questions():
        op, rows, cols = (question[name] for name in ("op", "rows", "cols"))
        if asked != (op, rows, cols):
            asked = (op, rows, cols)
            run = optimizer(rows, cols) if op == "adamw" else forward(op, rows, cols)
        with torch.set_grad_enabled(op == "adamw"):
            start = time.perf_counter()
            for _ in range(question["repeats"]):
                result = run()
            seconds = (time.perf_counter() - start) / question["repeats"]
        answer({"seconds": seconds, "sample": sample(result)})


main()
