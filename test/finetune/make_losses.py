"""Losses and gradients that sentence-transformers, trl and PyTorch have formulas for, of random numbers: writes losses.json.

    python test/finetune/make_losses.py
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from sentence_transformers.util import cos_sim, pairwise_cos_sim

torch.manual_seed(3)
torch.set_default_dtype(torch.float64)
cases = []


def case(name, options, inputs, loss, others=()):
    for tensor in inputs:
        tensor.requires_grad_(True)
    value = loss(*inputs)
    value.backward()
    cases.append(
        {
            "name": name,
            "options": options,
            "inputs": [tensor.detach().tolist() for tensor in inputs],
            "others": [list(other) for other in others],
            "loss": value.item(),
            "gradients": [None if tensor.grad is None else tensor.grad.tolist() for tensor in inputs],
        }
    )


def vectors(rows=5, width=6):
    return torch.randn(rows, width)


# sentence_transformers.losses: MultipleNegativesRankingLoss
def ranking(scale):
    return lambda a, p, n=None: F.cross_entropy(
        cos_sim(a, p if n is None else torch.cat([p, n])) * scale, torch.arange(len(a))
    )


case("inBatchNegatives", {}, [vectors(), vectors()], ranking(20.0))
case("inBatchNegatives", {"scale": 7}, [vectors(), vectors(), vectors()], ranking(7.0))

scores = [0.2, 0.9, -0.3, 0.5, 0.55]
case("cosineLoss", {}, [vectors(), vectors()], lambda a, b: F.mse_loss(pairwise_cos_sim(a, b), torch.tensor(scores)), [scores])


# sentence_transformers.losses: CoSENTLoss
def cosent(scale, labels):
    def loss(a, b):
        cosines = pairwise_cos_sim(a, b) * scale
        differences = cosines[:, None] - cosines[None, :]
        wanted = (labels[:, None] < labels[None, :]).double()
        differences = differences - (1 - wanted) * 1e12
        return torch.logsumexp(torch.cat((torch.zeros(1), differences.view(-1))), dim=0)

    return loss


grades = [1.0, 4.5, 3.0, 4.5, 2.0]
case("rankedCosineLoss", {}, [vectors(), vectors()], cosent(20.0, torch.tensor(grades)), [grades])
case("rankedCosineLoss", {"scale": 5}, [vectors(), vectors()], cosent(5.0, torch.tensor(grades)), [grades])


# sentence_transformers.losses: TripletLoss, EUCLIDEAN and COSINE
def triplet(distance, margin):
    return lambda a, p, n: F.relu(distance(a, p) - distance(a, n) + margin).mean()


euclidean = lambda x, y: F.pairwise_distance(x, y, p=2)  # noqa: E731
cosine = lambda x, y: 1 - pairwise_cos_sim(x, y)  # noqa: E731
case("tripletLoss", {}, [vectors(), vectors(), vectors()], triplet(euclidean, 5.0))
case("tripletLoss", {"distance": "cosine", "margin": 0.3}, [vectors(), vectors(), vectors()], triplet(cosine, 0.3))

labels = [1.0, 0.0, 0.0, 1.0, 0.0]
y = torch.tensor(labels)
case(
    "contrastiveLoss",
    {"margin": 0.8},
    [vectors(), vectors()],
    # sentence_transformers.losses: ContrastiveLoss
    lambda a, b: (0.5 * (y * cosine(a, b).pow(2) + (1 - y) * F.relu(0.8 - cosine(a, b)).pow(2))).mean(),
    [labels],
)


def distillation(temperature):
    return lambda s, t: temperature**2 * F.kl_div(
        F.log_softmax(s / temperature, -1), F.softmax(t.detach() / temperature, -1), reduction="batchmean"
    )


case("distillationLoss", {}, [vectors(4, 9), vectors(4, 9)], distillation(2.0))
case("distillationLoss", {"temperature": 3.5}, [vectors(4, 9), vectors(4, 9)], distillation(3.5))


# trl.DPOTrainer: loss_type "sigmoid"
def dpo(beta, smoothing):
    def loss(pc, pr, rc, rr):
        logits = (pc - pr) - (rc - rr)
        return (-F.logsigmoid(beta * logits) * (1 - smoothing) - F.logsigmoid(-beta * logits) * smoothing).mean()

    return loss


answers = lambda: -20 * torch.rand(6)  # noqa: E731
case("dpoLoss", {}, [answers(), answers(), answers(), answers()], dpo(0.1, 0.0))
case("dpoLoss", {"beta": 0.4, "labelSmoothing": 0.2}, [answers(), answers(), answers(), answers()], dpo(0.4, 0.2))


def rounded(value):
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


path = Path(__file__).parent / "losses.json"
path.write_text("[\n" + ",\n".join(json.dumps({k: rounded(v) for k, v in each.items()}) for each in cases) + "\n]\n")
