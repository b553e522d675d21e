"""Writes pretraining.json: logits, losses and digests of gradients of classes that predict words and the order of texts.

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
    vocab_size=13,
    hidden_size=8,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=6,
    max_position_embeddings=8,
)
CASES = [
    ("Bert", dict(tie_word_embeddings=False)),
    ("Ernie", dict(use_task_id=True)),
    ("MobileBert", dict(embedding_size=4, intra_bottleneck_size=4, num_feedforward_networks=2)),
    ("Albert", dict(embedding_size=6, classifier_dropout_prob=0.3)),
]
INPUTS = dict(
    input_ids=[[2, 5, 9, 3, 7, 3], [2, 4, 3, 8, 3, 0]],
    attention_mask=[[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0]],
    token_type_ids=[[0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 0]],
    labels=[[-100, 6, 9, -100, -100, 3], [-100, -100, 3, 1, -100, -100]],
)
ORDERS = [1, 0]


def digest(tensor):
    flat = tensor.double().flatten()
    return [flat.norm().item(), (flat * torch.cos(torch.arange(flat.numel()).double())).sum().item()]


results = []
for family, settings in CASES:
    sizes = {**SIZES, **settings}
    config = getattr(hf, f"{family}Config")(**sizes, attn_implementation="eager")
    model = getattr(hf, f"{family}ForPreTraining")(config).double().eval()
    parameters = dict(sorted(model.named_parameters()))
    with torch.no_grad():
        for i, parameter in enumerate(parameters.values()):
            waves = 0.4 * torch.sin(torch.arange(parameter.numel()).double() ** 2 * 0.37 + i)
            parameter.copy_(waves.reshape(parameter.shape))
    labels, logits = ("sentence_order_label", "sop_logits") if family == "Albert" else ("next_sentence_label", "seq_relationship_logits")
    output = model(**{name: torch.tensor(rows) for name, rows in {**INPUTS, labels: ORDERS}.items()})
    output.loss.backward()
    words = output.prediction_logits * torch.tensor(INPUTS["attention_mask"])[..., None]
    results.append(
        dict(
            config=dict(sizes, model_type=config.model_type, architectures=[f"{family}ForPreTraining"]),
            words=words.flatten().tolist(),
            order=output[logits].flatten().tolist(),
            loss=output.loss.item(),
            shapes={name: list(x.shape) for name, x in parameters.items()},
            gradients={name: digest(x.grad) for name, x in parameters.items() if x.grad is not None},
        )
    )
path = Path(__file__).parent / "pretraining.json"
path.write_text(json.dumps(dict(inputs=INPUTS, orders=ORDERS, cases=results)) + "\n")
