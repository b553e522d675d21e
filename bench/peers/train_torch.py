"""A PyTorch training step of the models of bench/train.ts, driven over a pipe.

Reads one JSON object a line: first {"threads"}, answered by {"torch": version}; then {"load": path of a safetensors file,
"config", "optimizer", "batches": [{"source": [[id…]…] or null, "target": [[id…]…]}…], padded with 0}, answered by {}; or
{"repeats"}, perhaps with "autocast": true for bfloat16, answered by {"seconds": of one step, "sample": [the last loss]}.
Batches are taken in turn.
"""

import math
import time

import torch
from patterns import answer, load_safetensors, questions
from torch import nn


class Model(nn.Module):
    """Names as in our state dicts."""

    def __init__(self, c):
        super().__init__()
        d = c["dModel"]
        self.scale = math.sqrt(d)
        self.src_embed = nn.Embedding(c["sourceVocab"], d) if c["encoderLayers"] else None
        self.tgt_embed = nn.Embedding(c["targetVocab"], d)
        self.generator = nn.Linear(d, c["targetVocab"])
        layer = dict(d_model=d, nhead=c["heads"], dim_feedforward=c["dFF"], dropout=0, activation=c["activation"],
                     batch_first=True, norm_first=c["norm"] == "pre")
        if c["encoderLayers"]:
            self.transformer = nn.Transformer(num_encoder_layers=c["encoderLayers"],
                                              num_decoder_layers=c["decoderLayers"], **layer)
        else:
            self.transformer = nn.Module()
            self.transformer.decoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(**layer), c["decoderLayers"],
                                                             nn.LayerNorm(d), enable_nested_tensor=False)
        position = torch.arange(c["maxLength"]).unsqueeze(1)
        rate = torch.exp(torch.arange(0, d, 2) * (-math.log(10000.0) / d))
        table = torch.zeros(c["maxLength"], d)
        table[:, 0::2] = torch.sin(position * rate)
        table[:, 1::2] = torch.cos(position * rate)
        self.register_buffer("table", table, persistent=False)

    def embed(self, embedding, ids):
        return embedding(ids) * self.scale + self.table[: ids.shape[1]]

    def forward(self, source, target, padding):
        """`padding` is None where there is none: masks that change nothing would only cost time."""
        mask = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
        y = self.embed(self.tgt_embed, target)
        if self.src_embed is None:
            return self.generator(self.transformer.decoder(y, mask=mask, is_causal=True))
        x = self.embed(self.src_embed, source)
        y = self.transformer(x, y, tgt_mask=mask, src_key_padding_mask=padding, memory_key_padding_mask=padding,
                             tgt_is_causal=True)
        return self.generator(y)


class Training:
    def __init__(self, question):
        options = question["optimizer"]
        self.model = Model(question["config"])
        self.model.load_state_dict(load_safetensors(question["load"]))
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=options["lr"], eps=options["eps"], fused=True,
                                           betas=(options["beta1"], options["beta2"]),
                                           weight_decay=options["weightDecay"])
        ignored = question["config"]["padId"]
        self.criterion = nn.CrossEntropyLoss(ignore_index=-100 if ignored is None else ignored,
                                             label_smoothing=options["labelSmoothing"])
        self.batches = [self.tensors(**batch) for batch in question["batches"]]
        self.steps = 0

    @staticmethod
    def tensors(source, target):
        source = None if source is None else torch.tensor(source)
        padding = None if source is None or not (source == 0).any() else source == 0
        return source, torch.tensor(target), padding

    def step(self, autocast):
        source, target, padding = self.batches[self.steps % len(self.batches)]
        self.steps += 1
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            logits = self.model(source, target[:, :-1], padding)
            loss = self.criterion(logits.flatten(0, 1), target[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return loss.item()


def main():
    for question in questions():
        if "load" in question:
            training = Training(question)
            answer({})
            continue
        start = time.perf_counter()
        for _ in range(question["repeats"]):
            loss = training.step(question.get("autocast", False))
        seconds = (time.perf_counter() - start) / question["repeats"]
        answer({"seconds": seconds, "sample": [loss]})


main()
