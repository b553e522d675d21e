#!/usr/bin/env python3
"""Writes modules.json: folders of test/data/formats/sentence with other modules, and what sentence-transformers computes with them.

  pip install sentence-transformers && python3 make_modules.py

Parameters of the modules are sin(1), sin(2), …, so that the test can make the same folders. Numbers are computed in float64.
"""
import json
import math
import pathlib
import shutil
import tempfile

import torch
from safetensors.torch import save_file
from sentence_transformers import CrossEncoder, MultiVectorEncoder, SentenceTransformer

HERE = pathlib.Path(__file__).parent
FOLDERS = HERE.parent / "data/formats/sentence"
TEXTS = ["the river runs under the old bridge", "good search"]
PACKAGE = "sentence_transformers"
BASE = f"{PACKAGE}.base.modules"
DENSE = f"{PACKAGE}.sentence_transformer.modules"
ACTIVATIONS = "CELU ELU GELU Hardshrink Hardsigmoid Hardswish Hardtanh Identity LeakyReLU LogSigmoid Mish ReLU ReLU6 SELU SiLU Sigmoid Softmax Softplus Softshrink Softsign Tanh Tanhshrink"


def sines(shape):
    return torch.sin(torch.arange(1, math.prod(shape) + 1, dtype=torch.float64)).reshape(shape).float()


def dense(inputs, outputs, activation="Identity", **names):
    config = dict(in_features=inputs, out_features=outputs, bias=True, activation_function=f"torch.nn.modules.activation.{activation}", **names)
    if activation == "Identity":
        config["activation_function"] = "torch.nn.modules.linear.Identity"
    return dict(type=f"{BASE}.dense.Dense", config=config, tensors={"linear.weight": [outputs, inputs], "linear.bias": [outputs]})


def pooling(mode):
    return dict(type=f"{DENSE}.pooling.Pooling", config=dict(embedding_dimension=24, pooling_mode=mode, include_prompt=True))


def word_weights(words):
    vocab = [f"{'wW'[i % 3 == 0]}{i}" for i in range(words)]
    config = dict(vocab=vocab, word_weights={f"w{i}": 0.5 + i % 7 / 4 for i in range(0, words, 2)}, unknown_word_weight=0.25)
    return dict(type=f"{DENSE}.word_weights.WordWeights", config=config)


def words(module, config, files, tensors):
    return dict(type=f"{DENSE}.{module}", config=config, files=files, **({"tensors": tensors} if tensors else {}))


MEAN = pooling("mean")
LAYERS = dict(type=f"{DENSE}.weighted_layer_pooling.WeightedLayerPooling", config=dict(embedding_dimension=24, layer_start=1, num_hidden_layers=2), tensors={"layer_weights": [2]})
CHAT = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|>{% endif %}"
MESSAGES = dict(
    transformer_task="feature-extraction", module_output_name="token_embeddings", processing_kwargs=dict(chat_template=dict(add_generation_prompt=True)),
    modality_config={name: dict(method="forward", method_output_name="last_hidden_state", **more) for name, more in (("text", {}), ("message", dict(format="flat")))},
)
TOKENS = dict(module_input_name="token_embeddings", module_output_name="token_embeddings")
WORDS = ["PADDING", "river", "the", "Good", "old", "bridge", "don't", "search", "St.", "it", "new"]
WORD_TEXTS = ["The river,  runs 'under' the OLD bridge!", "good\tsearch St. don't it \"new\"", "nothing known", "--", "Good river good river Good bridge", "new"]
TABLE = words(
    "word_embeddings.WordEmbeddings", dict(tokenizer_class=f"{DENSE}.tokenizer.whitespace.WhitespaceTokenizer", update_embeddings=False, max_seq_length=5),
    {"whitespacetokenizer_config.json": dict(vocab=WORDS, stop_words=["it", "the"], do_lower_case=False)}, {"emb_layer.weight": [11, 24]},
)
TABLE["file"] = "wordembedding_config.json"
BOW = "bow.BoW"
CNN = dict(type=f"{DENSE}.cnn.CNN", file="cnn_config.json", config=dict(in_embedding_dimension=24, out_channels=8, kernel_sizes=[1, 3, 5], stride_sizes=[1, 1, 1]), tensors={
    **{f"convs.{i}.weight": [8, 24, k] for i, k in enumerate([1, 3, 5])}, **{f"convs.{i}.bias": [8] for i in range(3)}})


def lstm(layers, is_two_way):
    tensors = {}
    for i in range(layers):
        inputs = 24 if i == 0 else 12 * (1 + is_two_way)
        for suffix in ["", "_reverse"][: 1 + is_two_way]:
            shapes = dict(weight_ih=[48, inputs], weight_hh=[48, 12], bias_ih=[48], bias_hh=[48])
            tensors.update({f"encoder.{name}_l{i}{suffix}": shape for name, shape in shapes.items()})
    config = dict(embedding_dimension=24, hidden_dim=12, num_layers=layers, dropout=0, bidirectional=is_two_way)
    return dict(type=f"{DENSE}.lstm.LSTM", file="lstm_config.json", config=config, tensors=tensors)


MODES = ["mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
IDF = dict(vocab=["river", *WORDS], word_weights={"river": 0.5, "good": 2, "new": 3}, unknown_word_weight=0.25)
CASES = {
    "word embeddings": dict(input=TABLE, texts=WORD_TEXTS, modules=[pooling(MODES)]),
    "word embeddings in lower case": dict(
        input={**TABLE, "files": {"whitespacetokenizer_config.json": dict(vocab=[w.lower() for w in WORDS], stop_words=[], do_lower_case=True)}}, texts=WORD_TEXTS, prompt="new ", modules=[MEAN]),
    "word embeddings with convolutions": dict(input=TABLE, texts=["The river runs", *WORD_TEXTS[4:]], alone=True, modules=[CNN, pooling("max"), dense(24, 3, "Tanh")]),
    "word embeddings with an LSTM": dict(input=TABLE, texts=WORD_TEXTS, modules=[lstm(1, True), pooling(["mean", "lasttoken"])]),
    "word embeddings with an LSTM of one direction": dict(input=TABLE, texts=WORD_TEXTS, modules=[lstm(2, False), pooling(["lasttoken", "mean"])]),
    "word embeddings with a deep LSTM": dict(input=TABLE, texts=WORD_TEXTS, modules=[lstm(2, True), MEAN]),
    "words with weights and embeddings": dict(input=TABLE, texts=WORD_TEXTS, modules=[
        dict(type=f"{DENSE}.word_weights.WordWeights", config=dict(vocab=WORDS, word_weights={"river": 0.5, "good": 2}, unknown_word_weight=0.25)), MEAN]),
    "a bag of words": dict(input=words(BOW, dict(**IDF, cumulative_term_frequency=True), {}, None), texts=WORD_TEXTS, modules=[]),
    "a bag of words that are not counted": dict(
        input=words(BOW, dict(**IDF, cumulative_term_frequency=False), {}, None), texts=WORD_TEXTS, prompt="new ", modules=[dense(11, 3, "Tanh"), dict(type=f"{BASE}.normalize.Normalize", config={})]),
    "convolutions after a model": dict(base="pooling-cls", alone=True, modules=[CNN, MEAN]),
    **{name: dict(base="pooling-cls", modules=[MEAN, dense(24, 3, name)]) for name in ACTIVATIONS.split()},
    "another class than torch's": dict(base="pooling-cls", modules=[MEAN, {**dense(24, 3), "config": {**dense(24, 3)["config"], "activation_function": "package.ReLU"}}]),
    "named vectors": dict(base="pooling-cls", modules=[MEAN, dense(24, 4, "Tanh", module_output_name="hidden"), dense(4, 3, module_input_name="hidden", module_output_name="sentence_embedding")]),
    "a norm of vectors that are missing": dict(base="pooling-cls", modules=[dict(type=f"{BASE}.normalize.Normalize", config={}), MEAN]),
    "a norm of texts, which are missing": dict(kind="tokens", base="colbert-st6", modules=[dense(24, 4, **TOKENS), dict(type=f"{BASE}.normalize.Normalize", config={})]),
    "weights of words": dict(base="pooling-cls", modules=[word_weights(81), pooling(["mean", "weightedmean", "mean_sqrt_len_tokens"])]),
    "weights of layers": dict(base="pooling-cls", settings={"config.json": dict(output_hidden_states=True)}, modules=[LAYERS, MEAN]),
    "weights of layers that the model does not keep": dict(base="pooling-cls", modules=[LAYERS, MEAN]),
    "messages": dict(base="lasttoken-left-padding", settings={"tokenizer_config.json": dict(chat_template=CHAT), "sentence_bert_config.json": MESSAGES}, modules=[pooling("lasttoken")], prompt="good"),
    "messages that are cut": dict(base="lasttoken-left-padding", settings={"tokenizer_config.json": dict(chat_template=CHAT, model_max_length=20), "sentence_bert_config.json": MESSAGES}, modules=[pooling("lasttoken")], prompt="good"),
    "scores of modules": dict(kind="pairs", base="pooling-cls", settings={"config_sentence_transformers.json": dict(model_type="CrossEncoder")}, modules=[MEAN, dense(24, 4, "GELU"), dense(4, 1, module_output_name="scores")]),
    "scores with another activation": dict(kind="pairs", base="cross-encoder-default", settings={"config.json": dict(sentence_transformers=dict(activation_fn="torch.nn.modules.activation.Softplus"))}),
    "a text without tokens": dict(base="lasttoken-left-padding", texts=["", "good search"], modules=[pooling(MODES), dense(96, 3)]),
    "pairs whose inputs have no segments": dict(kind="pairs", base="cross-encoder-default", settings={"tokenizer_config.json": dict(model_input_names=["input_ids", "attention_mask"])}),
    "pairs of a tokenizer without inputs' names": dict(kind="pairs", base="cross-encoder-default", settings={"tokenizer_config.json": dict(model_input_names=None)}),
    "pairs of BERT's tokenizer without inputs' names": dict(
        kind="pairs", base="cross-encoder-default", settings={"tokenizer_config.json": dict(model_input_names=None, tokenizer_class="BertTokenizer")}),
    "joined tokens": dict(kind="tokens", base="colbert-st6", modules=[dense(24, 4, **TOKENS), dict(type=f"{BASE}.normalize.Normalize", config=TOKENS), dict(
        type=f"{PACKAGE}.multi_vector_encoder.modules.token_pooling.HierarchicalTokenPooling", config=dict(pool_factor=2, num_protected_tokens=1, normalize_embeddings=True))]),
}


def write(case, folder):
    for path in (FOLDERS / case["base"]).iterdir() if "base" in case else []:
        if path.is_file() and path.name != "expected.json":
            shutil.copy(path, folder)
    for name, settings in case.get("settings", {}).items():
        path = folder / name
        given = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({key: value for key, value in {**given, **settings}.items() if value is not None or key not in settings}))
    if "modules" not in case:
        return
    listed = [] if "input" in case else [dict(idx=0, name="0", path="", type=f"{BASE}.transformer.Transformer")]
    for i, module in enumerate([case["input"], *case["modules"]] if "input" in case else case["modules"], len(listed)):
        path = folder / str(i) if i > 0 else folder
        path.mkdir(exist_ok=True)
        listed.append(dict(idx=i, name=str(i), path=str(i) if i > 0 else "", type=module["type"]))
        for name, content in {module.get("file", "config.json"): module["config"], **module.get("files", {})}.items():
            (path / name).write_text(json.dumps(content))
        if "tensors" in module:
            save_file({name: sines(shape) for name, shape in module["tensors"].items()}, path / "model.safetensors")
    (folder / "modules.json").write_text(json.dumps(listed))


def compute(case, folder):
    pairs = [[TEXTS[0], other] for other in TEXTS]
    match case.get("kind"):
        case "pairs":
            return CrossEncoder(folder, device="cpu").double().predict(pairs)
        case "tokens":
            return MultiVectorEncoder(folder, device="cpu").double().encode_document(TEXTS)
        case _:
            model = SentenceTransformer(folder, device="cpu")
            if case.get("input", {}).get("type") != f"{DENSE}.{BOW}":  # BoW counts in float32
                model = model.double()
            # Convolutions read the padding of a batch, so that a text's vector depends on the others.
            return model.encode(case.get("texts", TEXTS), prompt=case.get("prompt"), batch_size=1 if "alone" in case else 32)


def rounded(value):
    return [rounded(each) for each in value] if isinstance(value, list) else float(f"{value:.8g}")


results = {}
for name, case in CASES.items():
    with tempfile.TemporaryDirectory() as folder:
        write(case, pathlib.Path(folder))
        results[name] = {**case, "expected": rounded([torch.as_tensor(each).tolist() for each in compute(case, folder)])}
lines = [f"{json.dumps(name)}: {json.dumps(case, ensure_ascii=False)}" for name, case in results.items()]
(HERE / "modules.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
