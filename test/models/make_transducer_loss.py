"""Writes transducer-loss.json: losses of transducers with digests of the gradients of logits, in float64.

TDT's is that of transformers. RNN-T's is the recursion of Graves 2012 (arXiv 1211.3711), written with torch, because
transformers needs torchaudio for it. Needs torch and transformers.
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import ParakeetForTDT
from transformers.loss.loss_tdt import tdt_loss

argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
here = Path(__file__).parent
torch.Tensor.float = torch.Tensor.double  # the loss casts logits to float32
torch.set_default_dtype(torch.float64)


def logits_of(*shape):
    count = torch.Size(shape).numel()
    return (3 * torch.sin(torch.arange(count).double() ** 2 * 0.37 + 1)).reshape(shape).requires_grad_()


def digest(tensor):
    flat = tensor.double().flatten()
    return [flat.norm().item(), (flat * torch.cos(torch.arange(flat.numel()).double())).sum().item()]


def rnnt_loss(logits, labels, frames, blank):
    scores = logits.log_softmax(-1)
    losses = []
    for item, row in enumerate(labels):
        table = {}
        for t in range(frames[item]):
            for u in range(len(row) + 1):
                ways = [torch.zeros(()).double()] if t == u == 0 else []
                if t > 0:
                    ways.append(table[t - 1, u] + scores[item, t - 1, u, blank])
                if u > 0:
                    ways.append(table[t, u - 1] + scores[item, t, u - 1, row[u - 1]])
                table[t, u] = torch.logsumexp(torch.stack(ways), 0)
        losses.append(-table[frames[item] - 1, len(row)] - scores[item, frames[item] - 1, len(row), blank])
    return sum(losses) / sum(map(len, labels))


cases = []
for durations, blank, frames, labels in [
    ([0, 1, 2, 3, 4], 6, [7, 5], [[1, 3, 3], [2]]),
    ([0, 1], 0, [4, 4], [[5, 1], [2, 2]]),
    ([0, 1, 2], 3, [1, 6], [[], [0, 1, 2, 4, 5]]),
    (None, 6, [7, 5], [[1, 3, 3], [2]]),
    (None, 0, [2, 6], [[5, 1, 1, 4], []]),
]:
    most, vocabulary = max(map(len, labels)), 7
    tokens = logits_of(len(labels), max(frames), most + 1, vocabulary)
    case = dict(durations=durations, blank=blank, frames=frames, labels=labels, shape=list(tokens.shape))
    if durations is None:
        loss = rnnt_loss(tokens, labels, frames, blank)
        loss.backward()
    else:
        if [] in labels:  # transformers divides by the number of labels of each item
            labels = [row or [1] for row in labels]
            case["labels"] = labels
        parts = logits_of(len(labels), max(frames), most + 1, len(durations))
        padded = torch.tensor([row + [0] * (most - len(row)) for row in labels])
        loss = tdt_loss(tokens, parts, padded, torch.tensor(frames), torch.tensor([len(row) for row in labels]), blank, durations)
        loss.backward()
        case["parts"] = digest(parts.grad)
    cases.append(dict(case, loss=loss.item(), tokens=digest(tokens.grad)))
    print(case, loss.item())

folder = here / "../data/families/parakeet_tdt"
features = load_file(folder / "reference.safetensors")["input_features"].double()  # without padding, which gives NaN
model = ParakeetForTDT.from_pretrained(folder, attn_implementation="eager").to(torch.float64).eval()
blank, padding = model.config.blank_token_id, model.config.pad_token_id
labels = torch.tensor([[3, 5, 5], [4, padding, padding]])
ids = torch.cat([torch.full((2, 1), blank), labels], 1)
loss = model(input_features=features, attention_mask=torch.ones(features.shape[:2]).long(), labels=labels, decoder_input_ids=ids).loss
loss.backward()
norms = {name: p.grad.norm().item() for name, p in model.named_parameters() if p.grad is not None}
(here / "transducer-loss.json").write_text(json.dumps(dict(cases=cases, model=dict(labels=labels.tolist(), loss=loss.item(), norms=norms))) + "\n")
print(loss.item(), padding, blank)
