"""Writes nomic-moe: a small random model in the form of nomic-ai/nomic-embed-text-v2-moe.

transformers has no code for its mixtures of experts. The formulas below are those of the paper and of the repository's own
code, in float64. The gradients are those of the sum of the output times `projection`.
"""
import argparse, json, math, pathlib, shutil
import torch
from safetensors.torch import save_file
from torch.nn.functional import gelu, layer_norm

argparse.ArgumentParser(description=__doc__).parse_args()

FOLDER = pathlib.Path(__file__).parent / "nomic-moe"
VOCABULARY, WIDTH, HIDDEN, HEADS, LAYERS, EXPERTS, CHOSEN, EPS, THETA = 50, 16, 12, 2, 4, 3, 2, 1e-5, 100.0

torch.manual_seed(29)
weights = {}


def weight(key, *shape):
    value = torch.randn(*shape) * 0.4
    weights[key] = 1 + value if ("norm" in key or "ln" in key) and key.endswith("weight") else value


def norm(key):
    weight(f"{key}.weight", WIDTH), weight(f"{key}.bias", WIDTH)


def linear(key, outputs, inputs):
    weight(f"{key}.weight", outputs, inputs), weight(f"{key}.bias", outputs)


weight("embeddings.word_embeddings.weight", VOCABULARY, WIDTH)
weight("embeddings.token_type_embeddings.weight", 1, WIDTH)
norm("emb_ln")
for i in range(LAYERS):
    layer = f"encoder.layers.{i}"
    linear(f"{layer}.attn.Wqkv", 3 * WIDTH, WIDTH), linear(f"{layer}.attn.out_proj", WIDTH, WIDTH)
    norm(f"{layer}.norm1"), norm(f"{layer}.norm2")
    if i % 2 == 1:
        weight(f"{layer}.mlp.router.layer.weight", EXPERTS, WIDTH)
        weight(f"{layer}.mlp.experts.mlp.w1", EXPERTS * HIDDEN, WIDTH)
        weight(f"{layer}.mlp.experts.mlp.w2", EXPERTS * HIDDEN, WIDTH)
        weight(f"{layer}.mlp.experts.bias", WIDTH)
    else:
        linear(f"{layer}.mlp.fc1", HIDDEN, WIDTH), linear(f"{layer}.mlp.fc2", WIDTH, HIDDEN)
w = {key: value.double().requires_grad_() for key, value in weights.items()}

normed = lambda x, key: layer_norm(x, (WIDTH,), w[f"{key}.weight"], w[f"{key}.bias"], EPS)
project = lambda x, key: x @ w[f"{key}.weight"].T + w[f"{key}.bias"]
ids = torch.tensor([[0, 5, 7, 9, 11, 13, 2], [0, 49, 48, 47, 4, 30, 2]])
batch, time = ids.shape
half = WIDTH // HEADS // 2
angles = torch.arange(time)[:, None].double() * THETA ** (-torch.arange(half).double() / half)
cos, sin = angles.cos(), angles.sin()


def rotated(x):
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


def mixture(x, layer):
    scores = (x @ w[f"{layer}.router.layer.weight"].T).softmax(-1)
    chosen = scores.topk(CHOSEN, -1)
    total = w[f"{layer}.experts.bias"]
    for expert in range(EXPERTS):
        rows = slice(expert * HIDDEN, (expert + 1) * HIDDEN)
        share = (chosen.values * (chosen.indices == expert)).sum(-1, keepdim=True)
        hidden = gelu(x @ w[f"{layer}.experts.mlp.w1"][rows].T)
        total = total + share * (hidden @ w[f"{layer}.experts.mlp.w2"][rows])
    return total


x = normed(w["embeddings.word_embeddings.weight"][ids] + w["embeddings.token_type_embeddings.weight"][0], "emb_ln")
for i in range(LAYERS):
    layer = f"encoder.layers.{i}"
    q, k, v = (part.view(batch, time, HEADS, -1).transpose(1, 2) for part in project(x, f"{layer}.attn.Wqkv").chunk(3, -1))
    shares = (rotated(q) @ rotated(k).transpose(2, 3) / math.sqrt(2 * half)).softmax(-1)
    mixed = (shares @ v).transpose(1, 2).reshape(batch, time, WIDTH)
    x = normed(project(mixed, f"{layer}.attn.out_proj") + x, f"{layer}.norm1")
    output = mixture(x, f"{layer}.mlp") if i % 2 == 1 else project(gelu(project(x, f"{layer}.mlp.fc1")), f"{layer}.mlp.fc2")
    x = normed(output + x, f"{layer}.norm2")
projection = torch.randn_like(x)
(x * projection).sum().backward()

shutil.rmtree(FOLDER, ignore_errors=True)
FOLDER.mkdir()
save_file(weights, FOLDER / "model.safetensors", {"format": "pt"})
(FOLDER / "config.json").write_text(json.dumps({
    "architectures": ["NomicBertModel"], "model_type": "nomic_bert", "activation_function": "gelu", "add_pooling_layer": False,
    "attn_pdrop": 0.0, "causal": False, "expert_choice_router": False, "layer_norm_epsilon": EPS, "mlp_fc1_bias": True, "mlp_fc2_bias": True,
    "moe_every_n_layers": 2, "moe_normalize_expert_weights": False, "moe_top_k": CHOSEN, "n_embd": WIDTH, "n_head": HEADS, "n_inner": HIDDEN,
    "n_layer": LAYERS, "n_positions": 64, "num_experts": EXPERTS, "num_shared_experts": 0, "pad_token_id": 1, "parallel_block": False,
    "prenorm": False, "qkv_proj_bias": True, "resid_pdrop": 0.0, "rotary_emb_base": THETA, "rotary_emb_fraction": 1.0,
    "rotary_emb_interleaved": False, "rotary_emb_scale_base": None, "rotary_scaling_factor": None, "type_vocab_size": 1,
    "use_rms_norm": None, "vocab_size": VOCABULARY, "torch_dtype": "float32",
}, indent=1))
(FOLDER / "expected.json").write_text(json.dumps({
    "input_ids": ids.tolist(), "last_hidden_state": x.tolist(), "projection": projection.tolist(),
    "gradients": {key: [float(f"{each:.6g}") for each in value.grad.flatten().tolist()] for key, value in w.items() if "layers.1.mlp" in key},
}))
