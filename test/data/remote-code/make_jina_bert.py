"""Writes jina-bert and jina-bert-code: small random models in the form of jinaai/jina-embeddings-v2-base-en and -code.

transformers has no code for them. The formulas below are those of the papers and of the repositories' own code, in float64.
"""
import argparse, json, math, pathlib, shutil
import torch
from safetensors.torch import save_file
from torch.nn.functional import gelu, layer_norm

argparse.ArgumentParser(description=__doc__).parse_args()

HERE = pathlib.Path(__file__).parent
VOCABULARY, WIDTH, HIDDEN, HEADS, LAYERS, EPS = 60, 24, 20, 6, 2, 1e-12  # 6 heads: no power of 2


def slopes(heads):
    power = 2 ** math.floor(math.log2(heads))
    series = lambda count: [2 ** (-8 / count * (i + 1)) for i in range(count)]
    return series(power) + series(2 * power)[::2][: heads - power]


def make(name, twice):
    torch.manual_seed(13 + twice)
    weights = {}

    def weight(key, *shape):
        value = torch.randn(*shape) * 0.3
        weights[key] = 1 + value if "orm" in key and key.endswith("weight") else value

    def norm(key):
        weight(f"{key}.weight", WIDTH), weight(f"{key}.bias", WIDTH)

    def linear(key, outputs, inputs, bias=True):
        weight(f"{key}.weight", outputs, inputs)
        if bias:
            weight(f"{key}.bias", outputs)

    weight("embeddings.word_embeddings.weight", VOCABULARY, WIDTH)
    weight("embeddings.token_type_embeddings.weight", 2, WIDTH)
    norm("embeddings.LayerNorm")
    gate, down = ("up_gated_layer", "down_layer") if twice else ("gated_layers", "wo")
    for i in range(LAYERS):
        layer = f"encoder.layer.{i}"
        for part in ("query", "key", "value"):
            linear(f"{layer}.attention.self.{part}", WIDTH, WIDTH)
        linear(f"{layer}.attention.output.dense", WIDTH, WIDTH)
        norm(f"{layer}.attention.output.LayerNorm")
        linear(f"{layer}.mlp.{gate}", 2 * HIDDEN, WIDTH, bias=False)
        linear(f"{layer}.mlp.{down}", WIDTH, HIDDEN)
        for each in ("layer_norm_1", "layer_norm_2", "attention.self.layer_norm_q", "attention.self.layer_norm_k") if twice else ("mlp.layernorm",):
            norm(f"{layer}.{each}")
    linear("pooler.dense", WIDTH, WIDTH)
    w = {key: value.double() for key, value in weights.items()}

    def normed(x, key):
        return layer_norm(x, (WIDTH,), w[f"{key}.weight"], w[f"{key}.bias"], EPS)

    def project(x, key):
        y = x @ w[f"{key}.weight"].T
        return y + w[f"{key}.bias"] if f"{key}.bias" in w else y

    ids = torch.tensor([[2, 5, 7, 9, 11, 13, 3], [2, 59, 58, 57, 4, 30, 3]])
    x = normed(w["embeddings.word_embeddings.weight"][ids] + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    batch, time = ids.shape
    places = torch.arange(time)
    bias = -torch.tensor(slopes(HEADS)).double()[:, None, None] * (places[None] - places[:, None]).abs()
    heads = lambda y: y.view(batch, time, HEADS, -1).transpose(1, 2)
    for i in range(LAYERS):
        layer = f"encoder.layer.{i}"
        q, k, v = (project(x, f"{layer}.attention.self.{part}") for part in ("query", "key", "value"))
        if twice:
            q, k = normed(q, f"{layer}.attention.self.layer_norm_q"), normed(k, f"{layer}.attention.self.layer_norm_k")
        scores = heads(q) @ heads(k).transpose(2, 3) / math.sqrt(WIDTH / HEADS) + bias
        mixed = (scores.softmax(-1) @ heads(v)).transpose(1, 2).reshape(batch, time, WIDTH)
        attended = normed(project(mixed, f"{layer}.attention.output.dense") + x, f"{layer}.attention.output.LayerNorm")
        if twice:
            attended = normed(attended + x, f"{layer}.layer_norm_1")
        first, second = project(attended, f"{layer}.mlp.{gate}").chunk(2, -1)
        hidden = first * gelu(second) if twice else gelu(first) * second
        x = normed(project(hidden, f"{layer}.mlp.{down}") + attended, f"{layer}.layer_norm_2" if twice else f"{layer}.mlp.layernorm")
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    code = "jinaai/jina-bert-v2-qk-post-norm" if twice else "jinaai/jina-bert-implementation"
    (folder / "config.json").write_text(json.dumps({
        "_name_or_path": code, "architectures": ["JinaBertModel"], "model_type": "bert", "auto_map": {"AutoModel": f"{code}--modeling_bert.JinaBertModel"},
        "vocab_size": VOCABULARY, "hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "intermediate_size": HIDDEN,
        "hidden_act": "gelu", "feed_forward_type": "geglu", "position_embedding_type": "alibi", "emb_pooler": "mean", "layer_norm_eps": EPS,
        "max_position_embeddings": 64, "type_vocab_size": 2, "pad_token_id": 0, "torch_dtype": "float32",
    }, indent=1))
    pooled = torch.tanh(project(x[:, 0], "pooler.dense"))
    (folder / "expected.json").write_text(json.dumps({
        "input_ids": ids.tolist(), "last_hidden_state": x.tolist(), "pooler_output": pooled.tolist(), "names": sorted(weights),
    }))


make("jina-bert", False)
make("jina-bert-code", True)
