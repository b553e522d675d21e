"""A tiny Qwen 3.5 with a layer for multi-token prediction, trained to continue a cycle of tokens, and what transformers
computes with it in float64.

    python test/data/predictor/make_predictor.py [FOLDER] [--experts]

Needs transformers 5.24. The tensors have the names of Qwen's checkpoints. FOLDER: default this one.
"""
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import Qwen3_5ForCausalLM, Qwen3_5MoeForCausalLM, Qwen3_5MoeTextConfig, Qwen3_5TextConfig
from transformers.modeling_layers import MtpModel

VOCABULARY = 40
NAMES = {
    'layers.0.eh_proj': 'mtp.fc',
    'layers.0.enorm': 'mtp.pre_fc_norm_embedding',
    'layers.0.hnorm': 'mtp.pre_fc_norm_hidden',
    'layers.0.post_norm': 'mtp.norm',
    'layers.0.mtp_block': 'mtp.layers.0',
}

args = [arg for arg in sys.argv[1:] if not arg.startswith('-')]
out = Path(args[0]) if args else Path(__file__).parent
out.mkdir(parents=True, exist_ok=True)
has_experts = '--experts' in sys.argv
torch.manual_seed(0)
sizes = dict(
    vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=8,
    linear_key_head_dim=4, linear_value_head_dim=4, linear_num_key_heads=2, linear_num_value_heads=4,
    layer_types=['linear_attention', 'full_attention'], max_position_embeddings=512, tie_word_embeddings=True,
    bos_token_id=None, eos_token_id=None, pad_token_id=None,
)
if has_experts:
    config = Qwen3_5MoeTextConfig(**sizes, moe_intermediate_size=8, shared_expert_intermediate_size=8, num_experts=4, num_experts_per_tok=2)
    config._experts_implementation = 'eager'  # the others compute in float32
    model = Qwen3_5MoeForCausalLM(config).double()
else:
    config = Qwen3_5TextConfig(**sizes, intermediate_size=24)
    model = Qwen3_5ForCausalLM(config).double()
config.num_mtp_layers, config.mtp_layer_types = 1, ['full_attention']
mtp = MtpModel(model, 1).double()
for name, parameter in mtp.named_parameters():
    if name.startswith('layers') and parameter.dim() > 1:
        torch.nn.init.normal_(parameter, 0, 0.1)  # MtpModel leaves some undefined


def features_of(ids):
    return model(ids, output_hidden_states=True)


def further(ids, hidden):
    """Features and logits of the layer after each token but the first."""
    positions = torch.arange(1, ids.shape[1])[None]
    features = mtp.forward_layer(0, hidden[:, :-1], positions, None, input_ids=ids[:, 1:])
    return features, mtp._project_to_logits(features)


def batch():
    """Texts of a cycle with random starts and a few random tokens."""
    ids = (torch.randint(0, VOCABULARY, (16, 1)) + 7 * torch.arange(24)) % VOCABULARY
    return torch.where(torch.rand(ids.shape) < 0.05, torch.randint(0, VOCABULARY, ids.shape), ids)


own = [p for n, p in mtp.named_parameters() if n.startswith('layers')]
optimizer = torch.optim.AdamW([*model.parameters(), *own], 1e-2)
loss_of = torch.nn.CrossEntropyLoss()
for step in range(30 if has_experts else 300):
    ids = batch()
    result = features_of(ids)
    _, logits = further(ids, result.hidden_states[-1])
    loss = loss_of(result.logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()) + loss_of(logits[:, :-1].flatten(0, 1), ids[:, 2:].flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print('loss', loss.item())


def rounded(module):
    module.load_state_dict({name: value.float().double() for name, value in module.state_dict().items()})


rounded(model)
rounded(mtp)
state = {name: value.float().contiguous() for name, value in model.state_dict().items() if name != 'lm_head.weight'}
for name, value in mtp.state_dict().items():
    if name.startswith('layers'):
        for ours, theirs in NAMES.items():
            name = name.replace(ours, theirs)
        state[name] = value.float().contiguous()
save_file(state, out / 'model.safetensors')
settings = {**config.to_diff_dict(), 'architectures': [type(model).__name__], 'model_type': config.model_type}
(out / 'config.json').write_text(json.dumps(settings, indent=1) + '\n')

model.eval(), mtp.eval()
ids = batch()[:1]
with torch.no_grad():
    result = features_of(ids)
    features, logits = further(ids, result.hidden_states[-1])
    prompt = ids[:, :8]
    text = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=24, do_sample=False)
    _, guesses = further(text, features_of(text).hidden_states[-1])
expected = {
    'ids': ids[0].tolist(),
    'features': [round(value, 7) for value in features[0].flatten().tolist()],
    'best': logits[0].argmax(-1).tolist(),
    'prompt': 8,
    'tokens': text[0, 8:].tolist(),
    # The guess of the token at each position of the text, from 2 on.
    'guesses': guesses[0].argmax(-1).tolist(),
}
(out / 'expected.json').write_text(json.dumps(expected) + '\n')
