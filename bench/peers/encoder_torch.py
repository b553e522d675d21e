"""PyTorch's nn.TransformerEncoder for bench/encoder.ts and contention.ts, driven over a pipe.

Reads one JSON object a line: first {"threads"}, answered by {"torch": version}; then {"load": path of a safetensors file,
"layers", "dModel", "heads", "dFF"}, answered by {}; or {"batch", "tokens", "dModel", "period", "repeats", perhaps
"autocast": true, for bfloat16}, answered by {"seconds": of one repeat, "sample": of the result}. In eval() and inference_mode() the layers take PyTorch's fast path.
"""

import time

import torch
from patterns import answer, load_safetensors, patterned, questions, sample
from torch import nn


def make(question):
    layer = nn.TransformerEncoderLayer(question["dModel"], question["heads"], question["dFF"], activation="gelu",
                                       batch_first=True)
    model = nn.TransformerEncoder(layer, question["layers"], enable_nested_tensor=False)
    model.load_state_dict(load_safetensors(question["load"]))
    return model.eval()


@torch.inference_mode()
def main():
    for question in questions():
        if "load" in question:
            model = make(question)
            answer({})
            continue
        x = patterned([question[name] for name in ("batch", "tokens", "dModel")], question["period"])
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=question.get("autocast", False)):
            for _ in range(question["repeats"]):
                y = model(x)
        seconds = (time.perf_counter() - start) / question["repeats"]
        answer({"seconds": seconds, "sample": sample(y)})


main()
