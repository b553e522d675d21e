"""A PyTorch training step of the Transformer that bench/train.ts measures, driven over a pipe.

Reads one JSON object a line: first the configuration, then batches {"source": [[id…]…], "target": [[id…]…]}, padded with 0.
Answers each with one line: {"milliseconds": …, "loss": …}; the first with the versions.
"""

import json
import math
import sys
import time

import torch
from torch import nn


class Model(nn.Module):
    def __init__(self, c):
        super().__init__()
        d = c["dModel"]
        self.d = d
        self.source = nn.Embedding(c["sourceVocab"], d) if c["encoderLayers"] else None
        self.target = nn.Embedding(c["targetVocab"], d)
        self.generator = nn.Linear(d, c["targetVocab"])
        layer = dict(d_model=d, nhead=c["heads"], dim_feedforward=c["dFF"], dropout=c["dropout"],
                     activation=c["activation"], batch_first=True, norm_first=c["norm"] == "pre")
        if c["encoderLayers"]:
            self.core = nn.Transformer(num_encoder_layers=c["encoderLayers"], num_decoder_layers=c["decoderLayers"], **layer)
        else:
            self.core = nn.TransformerEncoder(nn.TransformerEncoderLayer(**layer), c["decoderLayers"], nn.LayerNorm(d))
        position = torch.arange(c["maxLength"]).unsqueeze(1)
        rate = torch.exp(torch.arange(0, d, 2) * (-math.log(10000.0) / d))
        table = torch.zeros(c["maxLength"], d)
        table[:, 0::2] = torch.sin(position * rate)
        table[:, 1::2] = torch.cos(position * rate)
        self.register_buffer("table", table)

    def embed(self, embedding, ids):
        return embedding(ids) * math.sqrt(self.d) + self.table[: ids.shape[1]]

    def forward(self, source, target):
        mask = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
        y = self.embed(self.target, target)
        if self.source is None:
            return self.generator(self.core(y, mask=mask, is_causal=True))
        padding = source == 0
        x = self.embed(self.source, source)
        y = self.core(x, y, tgt_mask=mask, src_key_padding_mask=padding, memory_key_padding_mask=padding, tgt_is_causal=True)
        return self.generator(y)


def main():
    config = json.loads(sys.stdin.readline())
    torch.set_num_threads(config["threads"])
    torch.manual_seed(0)
    model = Model(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98), eps=1e-9, weight_decay=0.0, fused=True)
    criterion = nn.CrossEntropyLoss(ignore_index=config["ignoreIndex"], label_smoothing=config["labelSmoothing"])
    print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads()}), flush=True)
    for line in sys.stdin:
        batch = json.loads(line)
        source = torch.tensor(batch["source"]) if batch["source"] else None
        target = torch.tensor(batch["target"])
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        logits = model(source, target[:, :-1])
        loss = criterion(logits.flatten(0, 1), target[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        value = loss.item()
        print(json.dumps({"milliseconds": (time.perf_counter() - start) * 1e3, "loss": value}), flush=True)


main()
