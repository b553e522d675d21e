"""Writes gguf-names.json: the names that gguf-py gives to tensors of the checkpoints in test/data.

Run: python make_gguf_names.py. Needs gguf and safetensors.
"""
import json
import re
from pathlib import Path

import gguf
from safetensors import safe_open

HERE = Path(__file__).parent
DATA = HERE.parent / 'data'
# Folders of checkpoints that are not families/NAME.
FOLDERS = {
    'smollm3': 'families/smollm3-untied',
    **{name: f'remote-code/{name}' for name in ('jina-bert', 'jina-bert-code', 'nomic-moe')},
}
ARCHITECTURES = {
    'qwen3_moe': 'QWEN3MOE', 'olmoe': 'OLMOE', 'gpt_oss': 'GPT_OSS', 'lfm2': 'LFM2', 'lfm2_moe': 'LFM2MOE',
    'granite': 'GRANITE', 'granitemoehybrid': 'GRANITE_HYBRID', 'falcon_h1': 'FALCON_H1', 'olmo3': 'OLMO2',
    'glm4': 'GLM4', 'exaone4': 'EXAONE4', 'ernie4_5': 'ERNIE4_5', 'hunyuan_v1_dense': 'HUNYUAN_DENSE',
    'phi': 'PHI2', 'starcoder2': 'STARCODER2', 'stablelm': 'STABLELM', 'cohere2': 'COHERE2', 'falcon': 'FALCON',
    'bloom': 'BLOOM', 'mamba2': 'MAMBA2', 'ministral3': 'MISTRAL3', 'smollm3': 'SMOLLM3', 'qwen3_5': 'QWEN35',
    'gemma3n': 'GEMMA3N', 'gemma4': 'GEMMA4', 'gemma4_moe': 'GEMMA4',
    'modernbert-sequence': 'MODERN_BERT', 'jina_embeddings_v3_model': 'JINA_BERT_V3', 'jina-bert': 'JINA_BERT_V2',
    'qwen3-5-moe': 'QWEN35MOE', 'ernie4-5-moe': 'ERNIE4_5_MOE',
    'nomic-moe': 'NOMIC_BERT_MOE', 'mixtral-window': 'LLAMA', 'jina-bert-code': 'JINA_BERT_V2', 'granite-moe': 'GRANITE_MOE',
    'falcon-two-norms': 'FALCON', 'mpt': 'MPT',
}
# Models of variants.json.
VARIANTS = {'mpt': 'MPT with norms of queries and keys'}


def main() -> None:
    result = {}
    variants = {each['name']: list(each['shapes']) for each in json.loads((HERE / 'variants.json').read_text())}
    for name, architecture in ARCHITECTURES.items():
        arch = gguf.MODEL_ARCH[architecture]
        names = {}
        if name in VARIANTS:
            tensors = variants[VARIANTS[name]]
        else:
            with safe_open(DATA / FOLDERS.get(name, f'families/{name}') / 'model.safetensors', 'np') as file:
                tensors = list(file.keys())
        count = 1 + max(int(found.group(1)) for each in tensors if (found := re.search(r'\.(\d+)\.', each)))
        mapped = gguf.get_tensor_name_map(arch, count)
        for each in tensors:
            # The converter renames these before it asks for a name.
            asked = each.replace('.dt_bias', '.dt_proj.bias')
            if name == 'bloom':
                asked = asked.replace('transformer.', '')
            asked = re.sub(r'expert_bias$', 'expert_bias.bias', asked).replace('correction_bias', 'correction.bias')
            asked = re.sub(r'^(roberta|bert)\.', '', asked)
            if name == 'modernbert-sequence':
                asked = re.sub(r'^model\.', '', asked).replace('classifier.', 'classifier.out_proj.')
            given = mapped.get_name(asked, try_suffixes=('.weight', '.bias'))
            if given is not None:
                names[re.sub(r'(?<=\.)\d+(?=\.)', '*', each, count=1)] = re.sub(r'(?<=blk\.)\d+', '*', given)
        result[name] = {'architecture': gguf.MODEL_ARCH_NAMES[arch], 'names': names}
    (HERE / 'gguf-names.json').write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__':
    main()
