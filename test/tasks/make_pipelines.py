"""What transformers' own pipelines, and sentence-transformers' CrossEncoder, say of the models of test/data/reference.

    python test/tasks/make_pipelines.py                                                transformers 5, sentence-transformers 6
    PYTHONPATH=<folder of transformers 4.57> python test/tasks/make_pipelines.py answers    the last one that answers questions

Those models have no tokenizer: the first run makes one of WordPiece for their 97 ids, into test/tasks/wordpiece.
"""

import json
import os
import pathlib
import sys
import tempfile

import transformers
from transformers import AutoConfig, pipeline

HERE = pathlib.Path(__file__).parent
REFERENCE = HERE / "../data/families"
TOKENIZER = HERE / "wordpiece"
TEXTS = [
    "Anna lives in London, the cat sat on a mat!",
    "Where was the big red dog?",
    "a",
    "Paris is big and Anna's house was in the park. Ünal ran to London 🙂 and sat.",
    "the dogs walked to a house in Paris and the cats sang.",
]
LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC", "I-MISC"]
ENTAILMENT = ["contradiction", "neutral", "entailment"]
CONTEXT = (
    "Anna lives in a big red house in London. The house is in the park, and the cat of Anna sat on a mat. "
    "In Paris the dogs ran to a park. Ünal walked to the house and sang. 🙂 The cat was in Paris, too."
)
QUESTIONS = ["Where is the house?", "Who sat on the mat in the big red house in the park of London?"]


def make_tokenizer():
    words = "the a in on to of and is was sat cat dog big red house park mat anna paris london lives who where ran walk".split()
    letters = "abcdefghijklmnopqrstuvwxyz"
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *". , ? ! '".split()]
    vocabulary += [*letters, *(f"##{letter}" for letter in letters)]
    vocabulary += [*words, "##ing", "##ed", "##s"]
    vocabulary = list(dict.fromkeys(vocabulary))
    vocabulary += [f"[unused{i}]" for i in range(97 - len(vocabulary))]
    from transformers import BertTokenizerFast

    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "vocab.txt"
        file.write_text("\n".join(vocabulary) + "\n")
        try:
            tokenizer = BertTokenizerFast(vocab={word: i for i, word in enumerate(vocabulary)}, model_max_length=40)
        except TypeError:
            tokenizer = BertTokenizerFast(vocab_file=str(file), model_max_length=40)
        tokenizer.save_pretrained(TOKENIZER)
    for extra in TOKENIZER.iterdir():
        if extra.name not in ("tokenizer.json", "tokenizer_config.json"):
            extra.unlink()


def folder_of(model, changes, into):
    """The model with the tokenizer beside it, and its config changed."""
    folder = pathlib.Path(into) / model
    folder.mkdir(exist_ok=True)
    for file in [*(REFERENCE / model).iterdir(), *TOKENIZER.iterdir()]:
        target = folder / file.name
        if target.exists():
            target.unlink()
        if file.name == "config.json":
            target.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
        elif file.name.startswith("model") or file.parent == TOKENIZER:
            target.symlink_to(file.resolve())
    return str(folder)


def labelled(labels):
    return {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}


def rounded(value):
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(each) for each in value]
    if isinstance(value, str) or isinstance(value, bool) or value is None:
        return value
    return int(value) if isinstance(value, int) else round(float(value), 8)


def cases(into):
    """What is asked: a task, a model, changes of its config, arguments, and what comes out."""
    def case(task, model, args, options=None, changes=None, kwargs=None):
        options, changes = options or {}, changes or {}
        pipe = pipeline(task, folder_of(model, changes, into))
        out = pipe(*(kwargs or args), **options) if kwargs is None else pipe(**kwargs, **options)
        return rounded({"task": task, "model": model, "changes": changes, "args": args, "options": options, "out": out})

    if sys.argv[1:] == ["answers"]:
        for options in [{}, {"top_k": 3}, {"top_k": 4, "align_to_words": False, "max_answer_len": 4},
                        {"top_k": 3, "handle_impossible_answer": True, "doc_stride": 5, "max_seq_len": 34}]:
            for question in QUESTIONS:
                args = [question, CONTEXT]
                yield case("question-answering", "bert-qa", args, options, kwargs={"question": question, "context": CONTEXT})
        return
    masked = ["The [MASK] sat on a mat.", "Anna [MASK] in Paris!"]
    yield case("fill-mask", "bert-mlm", [masked])
    yield case("fill-mask", "bert-mlm", ["[MASK] is in [MASK]."], {"top_k": 2})
    yield case("fill-mask", "distilbert-mlm", [masked[0]], {"targets": ["cat", "dog", "walking"]})
    for model in ["bert-sequence", "bert-multilabel", "bert-regression", "distilbert-sequence", "electra-sequence"]:
        yield case("text-classification", model, [TEXTS], {"top_k": None, "truncation": True})
    yield case("text-classification", "bert-sequence", [[{"text": "a cat", "text_pair": "the dog sat"}]], {"top_k": 2})
    yield case("text-classification", "bert-sequence", [TEXTS], {"top_k": 1, "function_to_apply": "sigmoid", "truncation": True})
    for options in [{}, {"multi_label": True}, {"hypothesis_template": "the {} sat."}]:
        labels = ["cat", "dog", "big house"]
        yield case("zero-shot-classification", "deberta-v2-sequence", [TEXTS[:3], labels], options, labelled(ENTAILMENT))
    for strategy in ["none", "simple", "first", "average", "max"]:
        options = {"aggregation_strategy": strategy}
        yield case("token-classification", "bert-token", [TEXTS], options, labelled(LABELS))
    yield case("token-classification", "bert-token", [CONTEXT], {"aggregation_strategy": "first", "stride": 8}, labelled(LABELS))
    yield case("token-classification", "bert-token", [TEXTS[0]], {"aggregation_strategy": "simple", "ignore_labels": []}, labelled(LABELS))
    prompt = "Where was the big red dog"
    for options in [{"max_new_tokens": 12, "do_sample": False}, {"max_new_tokens": 8, "num_beams": 3, "do_sample": False},
                    {"max_new_tokens": 8, "do_sample": False, "return_full_text": False, "repetition_penalty": 1.5}]:
        given = {name: value for name, value in options.items() if name != "return_full_text"}
        found = case("text-generation", "llama", [prompt], {**given, "add_special_tokens": False, "return_tensors": True})
        decode = pipeline("text-generation", folder_of("llama", {}, into)).tokenizer.decode
        ids = found["out"][0]["generated_token_ids"]
        # The pipeline itself loses the space before what was written.
        written = decode(ids)[len(decode(ids[: -given["max_new_tokens"]])):]
        text = written if "return_full_text" in options else prompt + written
        yield {**found, "options": {**options, "add_special_tokens": False}, "out": [{"generated_text": text}]}

    from sentence_transformers import CrossEncoder

    documents = [text for text in TEXTS if len(text) < 60]
    for changes in [{}, {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}]:
        encoder = CrossEncoder(folder_of("bert-regression", changes, into), max_length=40)
        options = {"top_k": 3, "return_documents": True}
        out = encoder.rank("the big dog", documents, **options)
        yield rounded({"task": "text-ranking", "model": "bert-regression", "changes": changes,
                       "args": ["the big dog", documents], "options": options, "out": out})


if __name__ == "__main__":
    answers = sys.argv[1:] == ["answers"]
    if not TOKENIZER.exists():
        make_tokenizer()
    with tempfile.TemporaryDirectory() as into:
        all_cases = list(cases(into))
    file = HERE / ("answers.json" if answers else "pipelines.json")
    lines = ",\n".join(json.dumps(each, ensure_ascii=False) for each in all_cases)
    file.write_text(f'{{"transformers": "{transformers.__version__}", "cases": [\n{lines}\n]}}\n')
    print(file, len(all_cases), os.path.getsize(file))
