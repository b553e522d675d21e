"""Writes adapters by PEFT for models of ../families, with logits, the logits of the base, and gradients.

Run in this folder, with peft 0.21, transformers 5.24 and torch 2.13: python make_adapters.py
"""

import argparse
import json
import pathlib
import shutil
import warnings

import torch
import transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("names", nargs="*", help="names of adapters; default: all")
chosen = parser.parse_args().names

warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).parent
REFERENCE = HERE.parent / "families"
CAUSAL, SEQ2SEQ, CLASSES = (
    transformers.AutoModelForCausalLM,
    transformers.AutoModelForSeq2SeqLM,
    transformers.AutoModelForSequenceClassification,
)
IDS = [[5, 9, 13, 2, 41, 7], [7, 3, 11, 30, 6, 4]]

# name: (base, class, options of LoraConfig)
CASES = {
    "bert-classifier": ("bert-sequence", CLASSES, dict(task_type="SEQ_CLS", r=4, target_modules=["query", "value"])),
    "bert-bias-lora": (
        "bert-sequence", CLASSES,
        dict(task_type="SEQ_CLS", r=4, target_modules=["query", "value"], bias="lora_only"),
    ),
    "bert-bias-all": (
        "bert-sequence", CLASSES,
        dict(task_type="SEQ_CLS", r=4, target_modules=["query", "value"], bias="all"),
    ),
    "qwen2-patterns": (
        "qwen2", CAUSAL,
        dict(
            r=4, lora_alpha=6, use_rslora=True, bias="lora_only", target_modules=["q_proj", "v_proj", "down_proj"],
            rank_pattern={"layers.0.self_attn.q_proj": 2, "down_proj": 3},
            alpha_pattern={"layers.1.self_attn.v_proj": 24, "down_proj": 5},
        ),
    ),
    "qwen2-embedding": ("qwen2", CAUSAL, dict(r=4, target_modules=["embed_tokens", "lm_head", "k_proj"])),
    "qwen2-embedding-dora": ("qwen2", CAUSAL, dict(r=4, use_dora=True, target_modules=["embed_tokens", "q_proj"])),
    "qwen2-norms": (
        "qwen2", CAUSAL,
        dict(r=4, target_modules=["q_proj"], modules_to_save=["input_layernorm", "post_attention_layernorm"]),
    ),
    "gpt2-embedding": ("gpt2", CAUSAL, dict(r=4, target_modules=["wte", "c_attn"], fan_in_fan_out=True)),
    "gpt2-output": ("gpt2", CAUSAL, dict(r=4, target_modules=["c_attn"], modules_to_save=["lm_head"], fan_in_fan_out=True)),
    "gpt2-output-lora": ("gpt2", CAUSAL, dict(r=4, target_modules=["c_attn", "lm_head"], fan_in_fan_out=True)),
    "gpt2-bias-all": ("gpt2", CAUSAL, dict(r=4, target_modules=["c_attn"], bias="all", fan_in_fan_out=True)),
    "gemma2-embedding": ("gemma2", CAUSAL, dict(r=4, target_modules=["embed_tokens", "q_proj"])),
    "gemma2-output": ("gemma2", CAUSAL, dict(r=4, target_modules=["v_proj"], modules_to_save=["lm_head"])),
    "gemma2-input": ("gemma2", CAUSAL, dict(r=4, target_modules=["v_proj"], modules_to_save=["embed_tokens"])),
    "opt-output": ("opt", CAUSAL, dict(r=4, target_modules=["v_proj"], modules_to_save=["lm_head"])),
    "distilbert-classifier": ("distilbert-sequence", CLASSES, dict(task_type="SEQ_CLS", r=4, target_modules=["q_lin", "v_lin"])),
    "bert-lora-bias": (
        "bert-sequence", CLASSES, dict(task_type="SEQ_CLS", r=4, target_modules=["query", "value"], lora_bias=True),
    ),
    "roberta-bias-all": (
        "roberta-sequence", CLASSES,
        dict(task_type="SEQ_CLS", r=4, target_modules=["query", "value"], bias="all"),
    ),
    "mamba2-bias-all": ("mamba2", CAUSAL, dict(r=4, target_modules=["in_proj"], bias="all")),
    "bart-bias-all": ("bart", SEQ2SEQ, dict(r=4, target_modules=["q_proj"], bias="all")),
    "bart-input": ("bart", SEQ2SEQ, dict(r=4, target_modules=["q_proj"], modules_to_save=["embed_tokens"])),
    "bart-embedding": ("bart", SEQ2SEQ, dict(r=4, target_modules=["embed_tokens", "q_proj"])),
    "t5-bias-all": ("t5", SEQ2SEQ, dict(r=4, target_modules=["q", "v"], bias="all")),
    # PEFT adds the tensors of experts and the router by itself, and gives one of them twice the rank.
    "olmoe-experts": ("olmoe", CAUSAL, dict(r=1, target_modules="all-linear")),
    "gpt-oss-experts": (
        "gpt_oss", CAUSAL,
        dict(
            r=1, lora_alpha=3, target_modules=[], target_parameters=["experts.gate_up_proj", "experts.down_proj"],
            rank_pattern={"layers.0.mlp.experts.down_proj": 2},
        ),
    ),
    "t5-output": ("t5", SEQ2SEQ, dict(r=4, target_modules=["q", "v"], modules_to_save=["lm_head"])),
}


def numbers_of(peft, inputs):
    peft.zero_grad()
    output = peft(**inputs)
    output.loss.backward()
    own = lambda key: key.replace(".default", "").replace(".modules_to_save", "")
    gradients = {
        f"gradient.{own(key)}": parameter.grad.clone()
        for key, parameter in peft.named_parameters()
        if parameter.requires_grad and parameter.grad is not None
    }
    return {"logits": output.logits.detach().clone(), "loss": output.loss.detach().clone().reshape(1), **gradients}


def write(name, base, cls, options):
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(sum(map(ord, name)))
    # PyTorch's product of groups has no float64.
    experts = {"experts_implementation": "eager"} if name.endswith("-experts") else {}
    model = cls.from_pretrained(REFERENCE / base, dtype=torch.float32, attn_implementation="eager", **experts)
    task = {CAUSAL: "CAUSAL_LM", SEQ2SEQ: "SEQ_2_SEQ_LM"}.get(cls)
    ids = torch.tensor(IDS) % model.config.vocab_size
    labels = torch.tensor([1, 0]) if cls is CLASSES else ids
    inputs = dict(input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels)
    with torch.no_grad():
        without = model.eval()(**inputs).logits
    peft = get_peft_model(model, LoraConfig(**{"task_type": task, **options})).eval()
    with torch.no_grad():
        for parameter in peft.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn_like(parameter)
    peft.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = f"../../families/{base}"
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
    single, exact = numbers_of(peft, inputs), numbers_of(peft.double(), inputs)
    # The loss of accuracy of float32 in PyTorch itself: T5 does not scale the scores of its attention, and loses more than others.
    lost = {key: (single[key] - value).abs().max().reshape(1) for key, value in exact.items()}
    stored = {**exact, "without": without, **{f"lost.{key}": value for key, value in lost.items()}}
    save_file({key: value.float().contiguous() for key, value in stored.items()}, folder / "expected.safetensors")


for name, (base, cls, options) in CASES.items():
    if chosen and name not in chosen:
        continue
    write(name, base, cls, options)
