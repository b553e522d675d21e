"""PyTorch's scaled_dot_product_attention for bench/attention.ts, driven over a pipe.

Reads one JSON object a line: first {"threads"}, answered by {"torch": version}; then {"batch", "heads", "width", "queries", "keys",
"causal", "backward", "repeats"}, answered by {"seconds": of one repeat, "sample": of the result, or of the gradient of q}.
q, k and v are [batch, rows, heads, width] in memory, as ours. Backward is timed without the forward pass before it.
"""

import time

import torch
from patterns import answer, patterned, questions, sample
from torch.nn.functional import scaled_dot_product_attention


def prepare(batch, heads, width, queries, keys):
    q, k, v, dy = (patterned((batch, rows, heads, width), period).transpose(1, 2)
                   for rows, period in ((queries, 1021), (keys, 1019), (keys, 1013), (queries, 1009)))
    return [x.requires_grad_() for x in (q, k, v)], dy


def main():
    shape = inputs = dy = None
    for question in questions():
        asked = [question[name] for name in ("batch", "heads", "width", "queries", "keys")]
        if asked != shape:
            shape = asked
            inputs, dy = prepare(*shape)
        seconds = 0.0
        for _ in range(question["repeats"]):
            for x in inputs:
                x.grad = None
            with torch.set_grad_enabled(question["backward"]):
                start = time.perf_counter()
                y = scaled_dot_product_attention(*inputs, is_causal=question["causal"])
                if question["backward"]:
                    start = time.perf_counter()
                    y.backward(dy)
                seconds += time.perf_counter() - start
        result = inputs[0].grad if question["backward"] else y
        answer({"seconds": seconds / question["repeats"], "sample": sample(result.transpose(1, 2))})


main()
