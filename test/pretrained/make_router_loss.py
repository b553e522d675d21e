"""Writes router-loss.json: the loss of transformers with output_router_logits, and the gradients of routers.

Run: python make_router_loss.py. Needs torch and transformers.
"""
import json
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

HERE = Path(__file__).parent
DATA = HERE.parent / 'data/families'
IDS = [[5, 6, 7, 8, 9, 10, 11], [12, 13, 14, 15, 0, 0, 0]]
MASK = [[1] * 7, [1] * 4 + [0] * 3]


def main() -> None:
    result = {}
    for name in ['qwen3_moe', 'olmoe', 'gpt_oss', 'granitemoehybrid']:
        model = AutoModelForCausalLM.from_pretrained(DATA / name, dtype=torch.float32, attn_implementation='eager')
        model.config.output_router_logits = True
        model.router_aux_loss_coef = 0.5
        ids, mask = torch.tensor(IDS), torch.tensor(MASK)
        labels = ids.masked_fill(mask == 0, -100)
        out = model(input_ids=ids, attention_mask=mask, labels=labels, output_router_logits=True)
        out.loss.backward()
        gradients = {
            key.replace('router.weight', 'router.layer.weight') if 'granite' in name else key: [float(f'{value:.7g}') for value in each.grad.flatten()[:64].tolist()]
            for key, each in model.named_parameters()
            if 'router' in key and key.endswith('weight') or key.endswith('mlp.gate.weight')
        }
        result[name] = {'loss': out.loss.item(), 'gradients': gradients}
    (HERE / 'router-loss.json').write_text(json.dumps(result) + '\n')


if __name__ == '__main__':
    main()
