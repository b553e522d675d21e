"""Writes next-sentence.json: logits, losses and digests of gradients of heads that tell whether a text follows another.

They are those of transformers in float64. Weights are waves, in the order of their names. Needs torch and transformers.
"""

import argparse
import json
from pathlib import Path

import torch
import transformers as hf

argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
torch.set_default_dtype(torch.float64)
SIZES = dict(
    vocab_size=31,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=20,
    max_position_embeddings=12,
)
MOBILE = dict(embedding_size=8, intra_bottleneck_size=8)
CASES = [
    ("Bert", {}),
    ("Ernie", dict(use_task_id=True)),
    ("MobileBert", dict(num_feedforward_networks=2)),
    ("MobileBert", dict(num_feedforward_networks=1, classifier_activation=False, normalization_type="layer_norm")),
]
INPUTS = dict(
    input_ids=[[2, 5, 9, 3, 7, 3], [2, 4, 3, 8, 3, 0]],
    attention_mask=[[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0]],
    token_type_ids=[[0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 0]],
    labels=[1, 0],
)


def digest(tensor):
    flat = tensor.double().flatten()
    return [flat.norm().item(), (flat * torch.cos(torch.arange(flat.numel()).double())).sum().item()]


results = []
for family, settings in CASES:
    sizes = {**SIZES, **(MOBILE if family == "MobileBert" else {}), **settings}
    config = getattr(hf, f"{family}Config")(**sizes, attn_implementation="eager")
    model = getattr(hf, f"{family}ForNextSentencePrediction")(config).double().eval()
    parameters = dict(sorted(model.named_parameters()))
    with torch.no_grad():
        for i, parameter in enumerate(parameters.values()):
            waves = 0.4 * torch.sin(torch.arange(parameter.numel()).double() ** 2 * 0.37 + i)
            parameter.copy_(waves.reshape(parameter.shape))
    output = model(**{name: torch.tensor(rows) for name, rows in INPUTS.items()})
    output.loss.backward()
    results.append(
        dict(
            config=dict(
                sizes, model_type=config.model_type, architectures=[f"{family}ForNextSentencePrediction"]
            ),
            logits=output.logits.flatten().tolist(),
            loss=output.loss.item(),
            shapes={name: list(x.shape) for name, x in parameters.items()},
            gradients={name: digest(x.grad) for name, x in parameters.items() if x.grad is not None},
        )
    )
path = Path(__file__).parent / "next-sentence.json"
path.write_text(json.dumps(dict(inputs=INPUTS, cases=results)) + "\n")
