"""Makes small random models of classes that read images beside text, and the logits of their text alone, in float64.

    python make_text_only.py [NAME …]
"""
import argparse
import json
import os

import torch
import transformers
from safetensors.torch import load_file, save_file

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("names", nargs="*", metavar="NAME", help="folders to write; default: all")
wanted = parser.parse_args().names

TEXT = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            head_dim=8, vocab_size=61, max_position_embeddings=64)
VISION = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, image_size=12, patch_size=6)


def gemma3():
    text = transformers.Gemma3TextConfig(**TEXT, query_pre_attn_scalar=8, sliding_window=6)
    vision = transformers.SiglipVisionConfig(**VISION)
    return transformers.Gemma3ForConditionalGeneration(
        transformers.Gemma3Config(text_config=text.to_dict(), vision_config=vision.to_dict(), mm_tokens_per_image=4,
                                  image_token_index=60, boi_token_index=58, eoi_token_index=59))


def gemma4():
    """Its file has keys of the layer that reads those of another one, as files of Google have."""
    text = transformers.Gemma4TextConfig(**TEXT | dict(num_hidden_layers=3, num_kv_shared_layers=1), sliding_window=6, hidden_size_per_layer_input=4,
                                         vocab_size_per_layer_input=61, global_head_dim=16, layer_types=['sliding_attention', 'full_attention', 'full_attention'])
    vision = transformers.Gemma4VisionConfig(**VISION | dict(image_size=None), num_key_value_heads=2, head_dim=8, position_embedding_size=16)
    return transformers.Gemma4ForConditionalGeneration(
        transformers.Gemma4Config(text_config=text.to_dict(), vision_config=vision.to_dict(), audio_config=None, image_token_id=60,
                                  video_token_id=59, audio_token_id=58, boi_token_id=57, eoi_token_id=57, boa_token_id=57, eoa_token_index=57))


def mistral3():
    text = transformers.MistralConfig(**TEXT, sliding_window=None)
    vision = transformers.PixtralVisionConfig(**VISION, head_dim=8)
    config = transformers.Mistral3Config(text_config=text.to_dict(), vision_config=vision.to_dict(), image_token_index=60)
    return transformers.Mistral3ForConditionalGeneration(config)


def make(name, build, in_memory_names):
    torch.manual_seed(48)
    model = build().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * (0.2 if parameter.ndim > 1 else 0.1) + (parameter.ndim == 1))
    model.save_pretrained(name)
    if in_memory_names:  # as files of transformers 5.0 and later have them for some classes
        tied = model.config.get_text_config().tie_word_embeddings
        state = {key: value.contiguous().clone() for key, value in model.state_dict().items()
                 if not (tied and key == 'lm_head.weight')}
        save_file(state, f'{name}/model.safetensors', metadata={'format': 'pt'})
    if name == 'gemma4':
        state = load_file(f'{name}/model.safetensors')
        for of in ('k_proj', 'v_proj', 'k_norm'):
            state[f'model.language_model.layers.2.self_attn.{of}.weight'] = state[f'model.language_model.layers.1.self_attn.{of}.weight'] * 2
        save_file(state, f'{name}/model.safetensors', metadata={'format': 'pt'})
    ids = torch.randint(1, 57, (2, 11))
    logits = model.double()(input_ids=ids).logits
    with open(f'{name}/reference.json', 'w') as file:
        json.dump({'input_ids': ids.tolist(), 'shape': list(logits.shape), 'logits': [float(f'{x:.8g}') for x in logits.flatten().tolist()]}, file)
        file.write('\n')
    print(name, os.listdir(name), list(model.state_dict())[:3])


for name, build, in_memory_names in [
    ('gemma3', gemma3, False), ('gemma3-in-memory-names', gemma3, True), ('gemma4', gemma4, False), ('mistral3', mistral3, False),
]:
    if not wanted or name in wanted:
        make(name, build, in_memory_names)
