"""What transformers' pipeline writes of recordings, for whisper-tiny.test.ts: `python3 test/tasks/make_speech.py [MODELS]`.

whisper-tiny.en, of MODELS (default ../shared/models), hears JFK.
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
shared = here / "../../../shared"
models = Path(sys.argv[1]) if len(sys.argv) > 1 else shared / "models"


def pipe(model, folder):
    return pipeline(
        "automatic-speech-recognition",
        model=model,
        tokenizer=WhisperTokenizer.from_pretrained(folder),
        feature_extractor=WhisperFeatureExtractor.from_pretrained(folder),
    )


def run(recognize, samples, **options):
    generate = {name: options.pop(name) for name in ("language", "task", "max_new_tokens", "num_beams") if name in options}
    generate.setdefault("num_beams", 1)  # the pipeline itself takes five
    return recognize({"raw": samples, "sampling_rate": 16000}, generate_kwargs=generate, **options)


def wav(path):
    data = path.read_bytes()
    return np.frombuffer(data[data.index(b"data") + 8 :], dtype="<i2").astype(np.float32) / 32768


result = {"real": []}

if (models / "whisper-tiny.en").exists():
    path = models / "whisper-tiny.en"
    recognize = pipe(WhisperForConditionalGeneration.from_pretrained(path, dtype=torch.float32), path)
    jfk = wav(shared / "checkpoints/real/jfk-16k.wav")
    for options in (
        {},
        {"return_timestamps": True},
        {"return_timestamps": "word"},
        {"chunk_length_s": 5, "return_timestamps": "word"},
    ):
        print(options, flush=True)
        result["real"].append({"options": options, "output": run(recognize, jfk, **options)})

(here / "speech.json").write_text(json.dumps(result, indent=1, ensure_ascii=False))
