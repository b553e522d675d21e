"""The Python side of `npm run check:python`: what transformers and PEFT make of the files of this package, and the other way.

    python exchange.py make FAMILIES WORK    writes adapters of PEFT, and the logits that they give
    python exchange.py check FAMILIES WORK   compares logits of the models and adapters that exchange.ts has written
"""

import json
import sys
from pathlib import Path

import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers.models.speecht5.modeling_speecht5 import SpeechT5SpeechDecoderPrenet

ADAPTERS = {
    "gpt2": dict(),  # Conv1D, one matrix for queries, keys and values
    "gpt-neox": dict(target_modules=["query_key_value", "dense"]),  # head by head
    "qwen3": dict(use_dora=True, target_modules=["q_proj", "v_proj", "down_proj"]),
    "phi3": dict(target_modules=["qkv_proj", "gate_up_proj"]),
    "bert-sequence": dict(task_type="SEQ_CLS", use_rslora=True),
    "bert-pooler": dict(task_type="FEATURE_EXTRACTION"),
    "albert-mlm": dict(target_modules=["query", "value"]),
    "t5": dict(task_type="SEQ_2_SEQ_LM"),
    "bart": dict(task_type="SEQ_2_SEQ_LM", target_modules="all-linear"),
    "whisper": dict(target_modules=["q_proj", "v_proj"]),
    "qwen2": dict(
        bias="lora_only", target_modules=["embed_tokens", "q_proj", "lm_head"],
        rank_pattern={"q_proj": 2}, alpha_pattern={"layers.0.self_attn.q_proj": 20},
    ),
    "gemma2": dict(target_modules=["v_proj"], modules_to_save=["lm_head"]),  # tied
    "opt": dict(bias="all", target_modules=["v_proj"]),
    "wav2vec2": dict(target_modules=["q_proj", "v_proj", "lm_head"]),
    "moonshine": dict(target_modules=["q_proj", "fc1"]),
    "speecht5": dict(target_modules=["q_proj", "out_proj", "feat_out"]),
    "clap": dict(target_modules=["query", "value", "dense"]),
    # Modules of these have other names in memory than in their files.
    "vit-image": dict(target_modules=["q_proj", "v_proj", "o_proj", "fc1", "fc2"]),
    "dinov3_vit": dict(target_modules=["q_proj", "down_proj"]),
    "segformer": dict(target_modules=["q_proj", "v_proj", "o_proj", "fc1", "fc2"]),
    "depth_anything": dict(target_modules=["q_proj", "v_proj", "o_proj"]),
    "detr": dict(target_modules=["q_proj", "o_proj", "fc1", "fc2"]),
    "rt_detr": dict(target_modules=["q_proj", "o_proj", "fc1"]),
    "beit": dict(target_modules=["q_proj", "v_proj", "fc2"]),
    "swin": dict(target_modules=["q_proj", "v_proj", "fc1"]),
    "smolvlm": dict(target_modules=["q_proj", "down_proj", "proj"]),
    "t5gemma2": dict(target_modules=r".*(text_model|decoder)\.layers.*(q_proj|down_proj)"),  # without its images
    # Projections that are fused in the files of these are several modules in memory.
    "gte": dict(target_modules=["q_proj", "v_proj", "o_proj", "gate_proj"]),
    "nomic_bert": dict(target_modules=["k_proj", "v_proj", "up_proj", "down_proj"]),
    "jina_embeddings_v3": dict(target_modules=["q_proj", "o_proj", "fc1"], bias="lora_only"),
    "rf_detr": dict(target_modules=["q_proj", "v_proj", "fc1"]),
    # Models with matrices that PEFT cannot adapt as modules: routers, parameters, outputs of state spaces.
    "gpt_oss": dict(target_modules=["q_proj", "v_proj"]),
    "granitemoehybrid": dict(target_modules=["in_proj", "input_linear"]),
    "lfm2_moe": dict(target_modules="all-linear"),
    "gemma3n": dict(target_modules="all-linear"),
    "mamba2": dict(target_modules=["in_proj"]),
    "falcon_h1": dict(target_modules=["in_proj", "q_proj"]),
    "xlnet": dict(target_modules=["layer_1", "layer_2"]),
}

INPUTS = (
    "input_ids attention_mask token_type_ids decoder_input_ids decoder_attention_mask pixel_values pixel_mask "
    "input_features input_values speaker_embeddings"
).split()
OUTPUTS = ("logits", "spectrogram", "predicted_depth", "logits_per_audio", "last_hidden_state")

# transformers drops everything if this dropout is 0, as it is in the reference.
SpeechT5SpeechDecoderPrenet._consistent_dropout = lambda self, features, p: features


def load(folder, reference):
    config = transformers.AutoConfig.from_pretrained(folder)
    config._experts_implementation = "eager"  # the others have no float64
    name = json.loads((reference / "reference.json").read_text())["class"]
    model = getattr(transformers, name).from_pretrained(folder, config=config, dtype=torch.float32)
    return model.eval()


def inputs_of(reference):
    tensors = load_file(reference / "reference.safetensors")
    given = {name: tensors[name] for name in INPUTS if name in tensors}
    config = json.loads((reference / "config.json").read_text())
    if "decoder_input_ids" not in given and "labels" in tensors and (config.get("is_encoder_decoder") or config["model_type"] == "whisper"):
        given["labels"] = tensors["labels"]
    return {name: tensor if tensor.is_floating_point() else tensor.long() for name, tensor in given.items()}


def outputs(model, inputs):
    with torch.no_grad():
        result = model(**inputs)
    return next(result[name] for name in OUTPUTS if name in result).contiguous()


def expected(model, inputs):
    """Logits in float64, and how far float32 may be from them: some of these models are ill-conditioned."""
    single = outputs(model, inputs)
    doubled = {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in inputs.items()}
    exact = outputs(model.double(), doubled)
    own = (masked(single, inputs) - masked(exact, inputs)).abs().max().item()
    return exact.float(), max(2e-4 * exact.abs().max().item(), 3 * own)


def make(families, work):
    for name, options in ADAPTERS.items():
        torch.manual_seed(7)
        reference = Path(families) / name
        base = load(reference, reference)
        # Both matrices are drawn, or an adapter would change nothing.
        config = LoraConfig(r=4, lora_alpha=6, init_lora_weights=False, **options)
        model = get_peft_model(base, config).eval()
        folder = work / "peft" / name
        # PEFT looks for embeddings of tokens, which models of sounds and images do not have.
        model.save_pretrained(folder, save_embedding_layers="auto" if "input_ids" in inputs_of(reference) else False)
        logits, limit = expected(model, inputs_of(reference))
        save_file({"logits": logits, "limit": torch.tensor([limit])}, folder / "expected.safetensors")


def compare(what, given, wanted, limit):
    error = (given - wanted).abs().max().item()
    print(f"{'ok' if error <= limit else 'NOT OK'}  {what}: {error:.2e}, at most {limit:.2e}", flush=True)
    return error <= limit


def masked(tensor, inputs):
    mask = inputs["labels"] != -100 if "labels" in inputs else inputs.get("attention_mask")
    if mask is None or tensor.dim() != 3 or tensor.shape[:2] != mask.shape:
        return tensor
    return tensor * mask.unsqueeze(-1)


def check(families, work):
    good = True
    for kind in ("models", "adapters"):
        for folder in sorted((work / kind).iterdir()):
            reference = Path(families) / folder.name
            inputs = inputs_of(reference)
            if kind == "models":
                model = load(folder, reference)
            else:
                model = PeftModel.from_pretrained(load(reference, reference), folder).eval()
            given = load_file(folder / "expected.safetensors")["logits"]
            wanted, limit = expected(model, inputs)
            what = f"{kind} of simdformer in Python, {folder.name}"
            good &= compare(what, masked(given, inputs), masked(wanted, inputs), limit)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    {"make": make, "check": check}[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))
