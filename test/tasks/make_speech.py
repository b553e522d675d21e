"""What transformers' pipeline writes of recordings, for whisper-tiny.test.ts: `python3 test/tasks/make_speech.py [MODELS]`.

whisper-tiny.en, of MODELS (default .cache/models), hears JFK.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from transformers import (
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
    pipeline,
)

here = Path(__file__).parent
data = here / "../data"
models = Path(sys.argv[1]) if len(sys.argv) > 1 else here / "../../.cache/models"


def pipe(model, folder):
    return pipeline(
        "automatic-speech-recognition",
        model=model,
        tokenizer=WhisperTokenizer.from_pretrained(folder),
        feature_extractor=WhisperFeatureExtractor.from_pretrained(folder),
    )


# What is said again and again, with silence between, is longer than a window.
LONG = ("temperature", "compression_ratio_threshold", "logprob_threshold", "no_speech_threshold", "condition_on_prev_tokens")


def run(recognize, samples, **options):
    generate = {name: options.pop(name) for name in ("language", "task", "max_new_tokens", "num_beams", *LONG) if name in options}
    generate.setdefault("num_beams", 1)  # the pipeline itself takes five
    return recognize({"raw": samples, "sampling_rate": 16000}, generate_kwargs=generate, **options)


def wav(path):
    data = path.read_bytes()
    return np.frombuffer(data[data.index(b"data") + 8 :], dtype="<i2").astype(np.float32) / 32768


result = {"real": [], "long": []}

if (models / "whisper-tiny.en").exists():
    path = models / "whisper-tiny.en"
    recognize = pipe(WhisperForConditionalGeneration.from_pretrained(path, dtype=torch.float32), path)
    jfk = wav(data / "checkpoints/real/jfk-16k.wav")
    for options in (
        {},
        {"return_timestamps": True},
        {"return_timestamps": "word"},
        {"chunk_length_s": 5, "return_timestamps": "word"},
    ):
        print(options, flush=True)
        result["real"].append({"options": options, "output": run(recognize, jfk, **options)})

    long = np.concatenate([jfk, np.zeros(24000, np.float32)] * 4)
    for options in (
        {},
        {"condition_on_prev_tokens": True},
        {"temperature": [0.0], "no_speech_threshold": 0.0, "logprob_threshold": -0.2},
    ):
        print(options, flush=True)
        given = {k: tuple(v) if k == "temperature" else v for k, v in options.items()}
        result["long"].append({"options": options, "output": run(recognize, long, return_timestamps=True, **given)})
    # How sure it is of the segments of one window.
    features = recognize.feature_extractor(jfk, sampling_rate=16000, return_tensors="pt").input_features
    heard = recognize.model.generate(
        features, return_timestamps=True, return_segments=True, return_dict_in_generate=True, output_scores=True, num_beams=1
    )
    scores = [segment["result"]["scores"] if "scores" in segment["result"] else None for segment in heard["segments"][0]]
    tokens = heard["segments"][0][0]["result"]["sequences"]
    logprob = recognize.model._retrieve_avg_logprobs(scores[0], tokens, 0.0)
    probe = recognize.model(features, decoder_input_ids=torch.tensor([[recognize.model.generation_config.decoder_start_token_id]]))
    silence = probe.logits[0, 0].float().softmax(-1)[recognize.model.generation_config.no_timestamps_token_id - 1]
    result["quality"] = {"averageLogProbability": float(logprob), "noSpeechProbability": float(silence)}

(here / "speech.json").write_text(json.dumps(result, indent=1, ensure_ascii=False))
