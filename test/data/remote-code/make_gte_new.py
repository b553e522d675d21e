"""Writes gte-new: a small random GTE in the form of repositories with model type `new`, and what transformers' GTE computes with its frequencies."""
import argparse, json, pathlib, shutil
import torch
from safetensors.torch import load_file, save_file
from transformers import GteConfig, GteModel

argparse.ArgumentParser(description=__doc__).parse_args()

torch.manual_seed(11)
folder = pathlib.Path(__file__).parent / "gte-new"
shutil.rmtree(folder, ignore_errors=True)
theta, factor, heads = 20000.0, 8.0, 4
config = GteConfig(
    vocab_size=60, hidden_size=32, num_hidden_layers=2, num_attention_heads=heads, intermediate_size=48, type_vocab_size=1,
    max_position_embeddings=64, pad_token_id=1, rope_parameters={"rope_type": "default", "rope_theta": theta},
)
model = GteModel(config, add_pooling_layer=True).double().eval()
with torch.no_grad():
    for parameter in model.parameters():
        parameter.normal_(0, 0.3) if parameter.dim() > 1 else parameter.add_(torch.randn_like(parameter) * 0.1)
        parameter.copy_(parameter.float().double())
# NTKScalingRotaryEmbedding of the repositories' code, as vLLM has it, too: the base grows, and all frequencies are divided.
size = config.hidden_size // heads
inverse = 1 / ((theta * factor) ** (torch.arange(0, size, 2).double() / size)) / factor ** (2 / size)
rotaries = [module for module in model.modules() if hasattr(module, "inv_freq")]
assert rotaries
for rotary in rotaries:
    rotary.inv_freq = inverse
    rotary.original_inv_freq = inverse
ids = torch.tensor([[2, 5, 7, 9, 11, 13, 3], [2, 59, 58, 57, 4, 30, 3]])
with torch.no_grad():
    output = model(ids, attention_mask=torch.ones_like(ids))
model.float().save_pretrained(folder)
tensors = load_file(folder / "model.safetensors")
save_file({name: tensor for name, tensor in tensors.items()}, folder / "model.safetensors", {"format": "pt"})
(folder / "config.json").write_text(json.dumps({
    "architectures": ["NewModel"], "model_type": "new", "auto_map": {"AutoModel": "Alibaba-NLP/new-impl--modeling.NewModel"},
    "vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": heads, "intermediate_size": 48,
    "hidden_act": "gelu", "layer_norm_type": "layer_norm", "layer_norm_eps": 1e-12, "type_vocab_size": 1, "pad_token_id": 1,
    "max_position_embeddings": 64, "position_embedding_type": "rope", "rope_theta": theta,
    "rope_scaling": {"factor": factor, "type": "ntk"}, "pack_qkv": True, "unpad_inputs": False,
    "use_memory_efficient_attention": False, "logn_attention_scale": False, "torch_dtype": "float32",
}, indent=1))
(folder / "expected.json").write_text(json.dumps({
    "input_ids": ids.tolist(), "last_hidden_state": output.last_hidden_state.tolist(), "pooler_output": output.pooler_output.tolist(),
    "names": sorted(tensors),
}))
