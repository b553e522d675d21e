"""nanoGPT's training script for CPUs, in PyTorch: the model, its initialisation, AdamW, the schedule and the estimates of the
loss as config/train_shakespeare_char.py with the arguments of its README has them.

Reads one JSON object a line: first {"threads"}, answered by {"torch": version}; then {"text", "steps", "warmup"}, answered by
{}; {"train": steps}, answered after so many more steps and an estimate by {"seconds", "loss"}; or {"heldOut": true}, answered
by {"loss": mean over the whole held-out tenth, in windows that do not overlap}.
"""

import math
import time

import torch
from patterns import answer, questions
from torch import nn
from torch.nn import functional as F

LAYERS, HEADS, WIDTH, CONTEXT, BATCH = 4, 4, 128, 64, 12
PEAK, FINAL = 1e-3, 1e-4
ESTIMATES = 20


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1 = nn.LayerNorm(WIDTH, bias=False)
        self.c_attn = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.attn_proj = nn.Linear(WIDTH, WIDTH, bias=False)
        self.ln_2 = nn.LayerNorm(WIDTH, bias=False)
        self.c_fc = nn.Linear(WIDTH, 4 * WIDTH, bias=False)
        self.mlp_proj = nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x):
        batch, length, _ = x.shape
        parts = self.c_attn(self.ln_1(x)).split(WIDTH, dim=2)
        q, k, v = (part.view(batch, length, HEADS, -1).transpose(1, 2) for part in parts)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attn_proj(mixed.transpose(1, 2).reshape(batch, length, WIDTH))
        return x + self.mlp_proj(F.gelu(self.c_fc(self.ln_2(x))))


class GPT(nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.wte = nn.Embedding(vocabulary, WIDTH)
        self.wpe = nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.ln_f = nn.LayerNorm(WIDTH, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * LAYERS) if "_proj" in name else 0.02)

    def forward(self, ids, targets):
        x = self.wte(ids) + self.wpe.weight[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.ln_f(x), self.wte.weight)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


class Training:
    def __init__(self, text, steps, warmup):
        with open(text, encoding="utf-8") as file:
            characters = file.read()
        numbers = {character: i for i, character in enumerate(sorted(set(characters)))}
        ids = torch.tensor([numbers[character] for character in characters])
        cut = int(0.9 * len(ids))
        self.data = {"train": ids[:cut], "val": ids[cut:]}
        torch.manual_seed(1337)
        self.model = GPT(len(numbers))
        decayed = [p for p in self.model.parameters() if p.dim() > 1]
        others = [p for p in self.model.parameters() if p.dim() <= 1]
        groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=PEAK, betas=(0.9, 0.99), fused=True)
        self.step, self.steps, self.warmup = 0, steps, warmup

    def rate(self):
        if self.step < self.warmup:
            return PEAK * (self.step + 1) / (self.warmup + 1)
        progress = (self.step - self.warmup) / (self.steps - self.warmup)
        return FINAL + (PEAK - FINAL) * (1 + math.cos(math.pi * progress)) / 2

    def batch(self, split):
        data = self.data[split]
        starts = torch.randint(len(data) - CONTEXT, (BATCH,))
        return (torch.stack([data[i + shift : i + shift + CONTEXT] for i in starts]) for shift in (0, 1))

    def train(self, steps):
        for _ in range(steps):
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate()
            loss = self.model(*self.batch("train"))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            loss.item()  # the script prints it
            self.step += 1

    @torch.no_grad()
    def estimate(self):
        self.model.eval()
        losses = [torch.stack([self.model(*self.batch(split)) for _ in range(ESTIMATES)]) for split in ("train", "val")]
        self.model.train()
        return losses[1].mean().item()

    @torch.no_grad()
    def held_out(self):
        data = self.data["val"]
        whole = (len(data) - 1) // CONTEXT * CONTEXT
        ids, targets = data[:whole].view(-1, CONTEXT), data[1 : whole + 1].view(-1, CONTEXT)
        parts = [self.model(*part).item() * len(part[0]) for part in zip(ids.split(64), targets.split(64))]
        return sum(parts) / len(ids)


def main():
    for question in questions():
        if "text" in question:
            training = Training(**question)
            answer({})
        elif "train" in question:
            start = time.perf_counter()
            training.train(question["train"])
            loss = training.estimate()
            answer({"seconds": time.perf_counter() - start, "loss": loss})
        else:
            answer({"loss": training.held_out()})


main()
