"""What the peers in Python share: the pipe, inputs and samples as bench/harness/ours.ts has them, weights from safetensors."""

import json
import sys

import numpy
import torch


def questions():
    """One JSON object a line from the bench, after the first, {"threads"}, which is answered by PyTorch's version."""
    torch.set_num_threads(json.loads(sys.stdin.readline())["threads"])
    answer({"torch": torch.__version__})
    for line in sys.stdin:
        yield json.loads(line)


def answer(values):
    print(json.dumps(values), flush=True)


def patterned(shape, period):
    """i % period, scaled to ±1."""
    values = (numpy.arange(numpy.prod(shape)) % period) * (2 / period) - 1
    return torch.from_numpy(values.astype(numpy.float32)).reshape(shape)


def sample(x):
    """Some elements, spread over all of them."""
    flat = x.detach().reshape(-1)
    return flat[torch.arange(64) * 104729 % flat.numel()].tolist()


def load_safetensors(path):
    """A float32 state dict."""
    data = numpy.memmap(path, dtype=numpy.uint8, mode="c")
    start = 8 + int(data[:8].view(numpy.uint64)[0])
    header = json.loads(bytes(data[8:start]))
    header.pop("__metadata__", None)

    def tensor(entry):
        begin, end = (start + at for at in entry["data_offsets"])
        return torch.from_numpy(data[begin:end].view(numpy.float32).reshape(entry["shape"]).copy())

    return {name: tensor(entry) for name, entry in header.items()}
