"""Makes the folders lora-llama, lora-llama-patterns and lora-gpt2 with other random weights: a tiny base model, an adapter of
PEFT that has only adapter_model.bin, and the logits of both in float64.

    python make_lora.py [FOLDER]      default: this folder
"""
import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

TARGET = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
VOCABULARY = 61
LLAMA = LlamaConfig(
    vocab_size=VOCABULARY, hidden_size=24, intermediate_size=56, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=64, pad_token_id=0,
)
GPT2 = GPT2Config(vocab_size=VOCABULARY, n_embd=24, n_layer=2, n_head=4, n_positions=64, bos_token_id=1, eos_token_id=2)
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CASES = {
    "lora-llama": (LlamaForCausalLM, LLAMA, dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"])),
    # Ranks and scales of single layers, rank-stabilized scales, and a head that is stored as a whole.
    "lora-llama-patterns": (LlamaForCausalLM, LLAMA, dict(
        r=4, lora_alpha=6, target_modules=ALL, rank_pattern={"down_proj": 2}, alpha_pattern={"q_proj": 12},
        modules_to_save=["lm_head"], use_rslora=True,
    )),
    # Conv1D layers, which are stored as [in, out], and trained biases.
    "lora-gpt2": (GPT2LMHeadModel, GPT2, dict(
        r=3, lora_alpha=9, target_modules=["c_attn", "c_fc"], bias="lora_only", fan_in_fan_out=True,
    )),
}


def make(name, kind, config, options):
    torch.manual_seed(23)
    folder = TARGET / name
    base = kind(config).eval()
    base.save_pretrained(folder / "base")
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **options)).eval()
    for path, parameter in model.named_parameters():
        if parameter.requires_grad:  # matrices B and biases start as zero, which would hide mistakes
            parameter.data.normal_(0, 0.2)
    adapter = folder / "adapter"
    adapter.mkdir(parents=True, exist_ok=True)
    settings = model.peft_config["default"]
    settings.base_model_name_or_path = "../base"
    settings.inference_mode = True
    settings.save_pretrained(adapter)
    torch.save(get_peft_model_state_dict(model), adapter / "adapter_model.bin")
    ids = torch.randint(3, VOCABULARY, (4, 16))
    mask = torch.ones_like(ids)
    ids[1, 11:], mask[1, 11:] = 0, 0
    with torch.no_grad():
        logits = model.double()(input_ids=ids, attention_mask=mask).logits
    save_file(
        {"input_ids": ids.int(), "attention_mask": mask.int(), "logits": logits.float()}, folder / "expected.safetensors"
    )


for name, (kind, config, options) in CASES.items():
    make(name, kind, config, options)
