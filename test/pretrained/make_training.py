#!/usr/bin/env python3
"""Writes training.json beside this file: what dropouts do to models of test/data/families in training mode, one setting at a time.

  pip install torch transformers && python3 make_training.py

Written are mean and standard deviation over the seeds of the loss, or, without labels, of the mean square of the last hidden state.
"""
import json
import pathlib

import torch
import transformers
from safetensors.torch import load_file

HERE = pathlib.Path(__file__).parent
REFERENCE = HERE.parent / "data" / "families"
DRAWS = 400
P = 0.4
BERT = ["hidden_dropout_prob", "attention_probs_dropout_prob"]
STACKS = ["dropout", "attention_dropout", "activation_dropout", "encoder_layerdrop", "decoder_layerdrop"]
CASES = {
    "bert-sequence": [*BERT, "classifier_dropout"],
    "roberta-sequence": [*BERT, "classifier_dropout"],
    "xlm-roberta-token": [*BERT, "classifier_dropout"],
    "distilbert-sequence": ["dropout", "attention_dropout", "seq_classif_dropout"],
    "albert-mlm": BERT,
    "electra-sequence": [*BERT, "classifier_dropout"],
    "mpnet": BERT,
    "modernbert-sequence": ["attention_dropout", "embedding_dropout", "mlp_dropout", "classifier_dropout"],
    "deberta-v2-sequence": [*BERT, "pooler_dropout", "cls_dropout"],
    "gpt2": ["resid_pdrop", "embd_pdrop", "attn_pdrop"],
    "gpt-neox": ["attention_dropout", "hidden_dropout"],
    "opt": ["dropout", "attention_dropout", "layerdrop"],
    "llama": ["attention_dropout"],
    "mistral-window": ["attention_dropout"],
    "qwen3": ["attention_dropout"],
    "gemma2": ["attention_dropout"],
    "gemma3": ["attention_dropout"],
    "olmo2": ["attention_dropout"],
    "smollm3": ["attention_dropout"],
    "phi3": ["resid_pdrop", "attention_dropout"],
    "t5": ["dropout_rate"],
    "t5-gated": ["dropout_rate"],
    "bart": STACKS,
    "mbart": STACKS,
    "marian": STACKS,
    "m2m100": STACKS,
    "whisper": STACKS,
    "vit-image": BERT,
    "dinov2": [*BERT, "drop_path_rate"],
    "siglip": ["text_config.attention_dropout", "vision_config.attention_dropout"],
    "clip": ["text_config.attention_dropout", "vision_config.attention_dropout"],
}
ALL = {name.split(".")[-1] for names in CASES.values() for name in names}
INPUTS = ["input_ids", "attention_mask", "token_type_ids", "decoder_input_ids", "labels", "start_positions", "end_positions", "pixel_values", "input_features"]


def without(config):
    """The config with nothing dropped."""
    for part in [config, *(getattr(config, name, None) for name in ("text_config", "vision_config"))]:
        for name in ALL:
            if part is not None and (hasattr(part, name) or name == "cls_dropout"):
                setattr(part, name, 0.0)
    return config


def measured(model, inputs):
    output = model(**inputs)
    loss = output.get("loss")
    return (output.last_hidden_state.square().mean() if loss is None else loss).item()


found = {}
for name, settings in CASES.items():
    folder = REFERENCE / name
    kind = getattr(transformers, json.loads((folder / "reference.json").read_text())["class"])
    stored = load_file(folder / "reference.safetensors")
    inputs = {key: stored[key] if stored[key].is_floating_point() else stored[key].long() for key in INPUTS if key in stored}
    if name in ("clip", "siglip"):
        inputs["return_loss"] = True
    for setting in settings:
        config = without(kind.config_class.from_pretrained(folder))
        *parts, key = setting.split(".")
        target = config
        for part in parts:
            target = getattr(target, part)
        setattr(target, key, P)
        model = kind.from_pretrained(folder, config=config, attn_implementation="eager", dtype=torch.float32).train()
        values = []
        with torch.no_grad():
            for seed in range(DRAWS):
                torch.manual_seed(seed)
                values.append(measured(model, inputs))
        values = torch.tensor(values, dtype=torch.float64)
        plain = measured(model.eval(), inputs)
        row = dict(plain=plain, mean=values.mean().item(), deviation=values.std().item())
        found.setdefault(name, {})[setting] = {key: float(f"{value:.6g}") for key, value in row.items()}
        print(name, setting, row, flush=True)
(HERE / "training.json").write_text(json.dumps(dict(p=P, draws=DRAWS, cases=found), indent=2) + "\n")
