"""PyTorch's scaled_dot_product_attention for bench/attention.ts, driven over a pipe.

Reads one JSON object a line: first {"threads": n}, answered by {"torch": version}; then questions
{"batch", "heads", "width", "queries", "keys", "causal", "backward", "repeats"}, each answered by {"seconds": of each repeat,
"sample": of the result, or of the gradient of q}. q, k and v are [batch, rows, heads, width] in memory, as ours.
"""

import json
import sys
import time

import numpy
import torch
from torch.nn.functional import scaled_dot_product_attention


def filled(shape, period):
    """As the bench fills it: i % period, scaled to ±1."""
    values = (numpy.arange(numpy.prod(shape)) % period) * (2 / period) - 1
    return torch.from_numpy(values.astype(numpy.float32)).reshape(shape)


def prepare(batch, heads, width, queries, keys):
    q, k, v, dy = (filled((batch, rows, heads, width), period).transpose(1, 2)
                   for rows, period in ((queries, 1021), (keys, 1019), (keys, 1013), (queries, 1009)))
    return [x.requires_grad_() for x in (q, k, v)], dy


def sample(x):
    flat = x.detach().transpose(1, 2).reshape(-1)
    return flat[torch.arange(64) * 104729 % flat.numel()].tolist()


def main():
    torch.set_num_threads(json.loads(sys.stdin.readline())["threads"])
    print(json.dumps({"torch": torch.__version__}), flush=True)
    shape = inputs = dy = None
    for line in sys.stdin:
        question = json.loads(line)
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
        print(json.dumps({"seconds": seconds / question["repeats"], "sample": sample(result)}), flush=True)


if __name__ == "__main__":
    main()
