#!/usr/bin/env python3
"""Writes spelled/: a vocabulary and settings for the checkpoint test/data/families/wav2vec2, and what transformers' pipeline hears with it.

  pip install torch transformers && python3 make_spelled.py
"""
import json
import math
import pathlib
import shutil
import tempfile

import numpy
import torch
import transformers

HERE = pathlib.Path(__file__).parent
CHECKPOINT = HERE.parent / "data/families/wav2vec2"
OUT = HERE / "spelled"
RATE = 1000


def sound(samples, seed):
    """The same formula as in spell.test.ts."""
    i = numpy.arange(samples)
    return (numpy.sin(seed * i * i / 900) * 0.5 + 0.3 * numpy.sin(i / (3 + seed))).astype(numpy.float32)


OUT.mkdir(exist_ok=True)
tokens = ["<pad>", "<s>", "</s>", "<unk>", "|", *"abcdefghijklmnopqrs"]
(OUT / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
(OUT / "tokenizer_config.json").write_text(json.dumps(dict(tokenizer_class="Wav2Vec2CTCTokenizer", word_delimiter_token="|", do_lower_case=False)))
extractor = dict(feature_extractor_type="Wav2Vec2FeatureExtractor", feature_size=1, sampling_rate=RATE, padding_value=0.0, do_normalize=True, return_attention_mask=False)
(OUT / "preprocessor_config.json").write_text(json.dumps(extractor))

with tempfile.TemporaryDirectory() as folder:
    for path in [CHECKPOINT / "config.json", CHECKPOINT / "model.safetensors", *OUT.glob("*config.json"), OUT / "vocab.json"]:
        shutil.copy(path, folder)
    recognizer = transformers.pipeline(
        "automatic-speech-recognition",
        model=transformers.AutoModelForCTC.from_pretrained(folder),
        tokenizer=transformers.Wav2Vec2CTCTokenizer.from_pretrained(folder),
        feature_extractor=transformers.AutoFeatureExtractor.from_pretrained(folder),
    )
    cases = []
    for samples, seed, options in [
        (700, 1, {}),
        (700, 2, dict(return_timestamps="word")),
        (1500, 3, dict(return_timestamps="char")),
        (3000, 4, dict(chunk_length_s=0.8)),
        (3010, 5, dict(chunk_length_s=0.8, stride_length_s=[0.2, 0.1], return_timestamps="word")),
    ]:
        result = recognizer(sound(samples, seed), **options)
        cases.append(dict(samples=samples, seed=seed, options=options, text=result["text"], chunks=result.get("chunks")))
    ids = recognizer.tokenizer("ab c|x")["input_ids"]
(OUT / "expected.json").write_text(json.dumps(dict(cases=cases, encoded=ids), indent=1) + "\n")

HUBERT = HERE.parent / "data/families/hubert-classes"
with tempfile.TemporaryDirectory() as folder:
    for path in [HUBERT / "config.json", HUBERT / "model.safetensors", OUT / "preprocessor_config.json"]:
        shutil.copy(path, folder)
    classify = transformers.pipeline(
        "audio-classification",
        model=transformers.AutoModelForAudioClassification.from_pretrained(folder),
        feature_extractor=transformers.AutoFeatureExtractor.from_pretrained(folder),
    )
    classes = [dict(samples=samples, seed=seed, scores=classify(sound(samples, seed))) for samples, seed in [(400, 1), (900, 2)]]
(OUT / "classes.json").write_text(json.dumps(classes, indent=1) + "\n")

AST = HERE.parent / "data/families/ast-classes"
classify = transformers.pipeline(
    "audio-classification",
    model=transformers.AutoModelForAudioClassification.from_pretrained(AST),
    feature_extractor=transformers.ASTFeatureExtractor(max_length=11, num_mel_bins=8),
)
classes = [dict(samples=samples, seed=seed, scores=classify(sound(samples, seed))) for samples, seed in [(1000, 1), (2700, 2)]]
(OUT / "spectrogram-classes.json").write_text(json.dumps(classes, indent=1) + "\n")

VARIANT = next(case for case in json.loads((HERE.parent / "pretrained/variants.json").read_text()) if case["name"] == "Whisper's classes")
settings = dict(feature_extractor_type="WhisperFeatureExtractor", feature_size=4, sampling_rate=16000, hop_length=1333, chunk_length=1, n_fft=400)


def weights(index, count):
    """The same formula as in make_variants.py."""
    state, values = index * 7919 + 1, []
    for _ in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        values.append((state >> 16) / 65536 - 0.5)
    return torch.tensor(values)


model = transformers.WhisperForAudioClassification(transformers.WhisperConfig.from_dict(VARIANT["config"]))
model.load_state_dict({name: weights(i, math.prod(shape)).reshape(shape) for i, (name, shape) in enumerate(VARIANT["shapes"].items())})
own = {key: value for key, value in settings.items() if key != "feature_extractor_type"}
classify = transformers.pipeline("audio-classification", model=model.eval(), feature_extractor=transformers.WhisperFeatureExtractor(**own))
classes = [dict(samples=samples, seed=seed, scores=classify(sound(samples, seed))) for samples, seed in [(9000, 1), (20000, 2)]]
(OUT / "whisper-classes.json").write_text(json.dumps(dict(settings=settings, classes=classes), indent=1) + "\n")
