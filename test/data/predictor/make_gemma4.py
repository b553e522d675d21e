"""A tiny Gemma 4 with its draft model, and the guesses that transformers makes with them in float64.

    python test/data/predictor/make_gemma4.py [FOLDER] [--all-tokens] [--long]

Needs transformers 5.24. FOLDER: default gemma4 beside this file. --all-tokens: a draft model that ranks all tokens instead
of those of the best clusters. --long: texts beyond the window.
"""
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import Gemma4AssistantConfig, Gemma4AssistantForCausalLM, Gemma4ForCausalLM, Gemma4TextConfig

args = [arg for arg in sys.argv[1:] if not arg.startswith('-')]
out = Path(args[0]) if args else Path(__file__).parent / 'gemma4'
torch.manual_seed(0)
VOCABULARY, WINDOW = 64, 8 if '--long' in sys.argv else 32
shared = dict(
    vocab_size=VOCABULARY, num_attention_heads=2, num_key_value_heads=1, head_dim=8, global_head_dim=16, sliding_window=WINDOW,
    max_position_embeddings=256, pad_token_id=0, bos_token_id=2, eos_token_id=1,
)
model = Gemma4ForCausalLM(Gemma4TextConfig(
    **shared, hidden_size=24, intermediate_size=32, num_hidden_layers=4, num_kv_shared_layers=2, hidden_size_per_layer_input=4,
    vocab_size_per_layer_input=VOCABULARY, layer_types=['sliding_attention', 'full_attention'] * 2,
)).double().eval()
small = Gemma4TextConfig(
    **shared, hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_kv_shared_layers=3, hidden_size_per_layer_input=0,
    vocab_size_per_layer_input=0, layer_types=['sliding_attention', 'sliding_attention', 'full_attention'],
)
has_clusters = '--all-tokens' not in sys.argv
config = Gemma4AssistantConfig(
    text_config=small, backbone_hidden_size=24, use_ordered_embeddings=has_clusters, num_centroids=8, centroid_intermediate_top_k=3,
)
assistant = Gemma4AssistantForCausalLM(config).double().eval()
for module in (model, assistant):
    for name, parameter in module.named_parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, 0, 0.4)
        else:
            torch.nn.init.normal_(parameter, 1, 0.2)
    module.load_state_dict({name: value.float().double() if value.is_floating_point() else value for name, value in module.state_dict().items()})
if has_clusters:
    assistant.masked_embedding.token_ordering.copy_(torch.randperm(VOCABULARY))
for folder, module in (('', model), ('assistant', assistant)):
    (out / folder).mkdir(parents=True, exist_ok=True)
    tensors = {name: (value.float() if value.is_floating_point() else value).contiguous() for name, value in module.state_dict().items() if name != 'lm_head.weight'}
    save_file(tensors, out / folder / 'model.safetensors')
    settings = {**module.config.to_diff_dict(), 'architectures': [type(module).__name__], 'model_type': module.config.model_type}
    (out / folder / 'config.json').write_text(json.dumps(settings, indent=1, default=str) + '\n')


def guesses(ids, count):
    """As SinglePositionMultiTokenCandidateGenerator: `ids` ends with the token that the model has not read."""
    with torch.no_grad():
        result = model(ids[:, :-1], output_hidden_states=True, return_shared_kv_states=True)
        hidden, token = result.hidden_states[-1][:, -1:], ids[:, -1:]
        position = torch.tensor([[ids.shape[1] - 1]])
        found = []
        for _ in range(count):
            embedded = torch.cat([model.get_input_embeddings()(token), hidden], dim=-1)
            step = assistant(inputs_embeds=embedded, position_ids=position, shared_kv_states=result.shared_kv_states, use_cache=False)
            token, hidden = step.logits.argmax(dim=-1), step.last_hidden_state
            found.append(token.item())
    return found


text = torch.randint(3, VOCABULARY, (1, 30))
expected = {'ids': text[0].tolist(), 'guesses': {str(length): guesses(text[:, :length], 4) for length in (2, 5, 9, 16, 30)}}
(out / 'expected.json').write_text(json.dumps(expected) + '\n')
print(expected['guesses'])
