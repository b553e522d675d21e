"""Steps of fine-tuning a classifier with transformers, and PEFT, on PyTorch, driven over a pipe: the peer of bench/finetune.ts.

Reads one JSON object a line: first {"threads"}, answered by {"torch": version}; then {"load": a folder, "adapter": a folder
or null, "batches": [{"ids": [[id…]…], "labels": [id…]}…]}, answered by {}; {"check"}, answered by {"loss": of the first batch,
without dropout}; or {"repeats"}, answered by {"seconds": of one step, over all batches}.
"""

import time

import torch
from patterns import answer, questions
from transformers import AutoModelForSequenceClassification


class Training:
    def __init__(self, load, adapter, batches):
        model = AutoModelForSequenceClassification.from_pretrained(load)
        if adapter is not None:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, adapter, is_trainable=True)
        self.model = model
        self.trained = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=1e-5, weight_decay=0, fused=True)
        self.batches = [self.padded(**batch) for batch in batches]

    @staticmethod
    def padded(ids, labels):
        longest = max(len(row) for row in ids)
        mask = [[1] * len(row) + [0] * (longest - len(row)) for row in ids]
        rows = [row + [0] * (longest - len(row)) for row in ids]
        return dict(input_ids=torch.tensor(rows), attention_mask=torch.tensor(mask), labels=torch.tensor(labels))

    @torch.no_grad()
    def check(self):
        self.model.eval()
        return self.model(**self.batches[0]).loss.item()

    def epoch(self):
        self.model.train()
        for batch in self.batches:
            self.optimizer.zero_grad(set_to_none=True)
            loss = self.model(**batch).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
            self.optimizer.step()
            loss.item()


def main():
    for question in questions():
        if "load" in question:
            training = Training(**question)
            answer({})
        elif "check" in question:
            answer({"loss": training.check()})
        else:
            start = time.perf_counter()
            for _ in range(question["repeats"]):
                training.epoch()
            answer({"seconds": (time.perf_counter() - start) / question["repeats"] / len(training.batches)})


main()
