"""What transformers' pipeline hears in several languages, for languages.test.ts: `python3 test/tasks/make_languages.py`.

A small random Whisper of four languages, whose windows are three seconds long, is written to test/tasks/whisper, and
what it hears in a few sounds to languages.json.
"""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
    pipeline,
)

here = Path(__file__).parent
folder = here / "whisper"
folder.mkdir(exist_ok=True)

SEED = 2
SECONDS = 3
LANGUAGES = ["en", "de", "fr", "ja"]
alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
special = [
    "<|endoftext|>", "<|startoftranscript|>", *[f"<|{code}|>" for code in LANGUAGES], "<|translate|>", "<|transcribe|>",
    "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>",
]
times = [f"<|{0.02 * i:.2f}|>" for i in range(SECONDS * 50 + 1)]
ids = {token: len(alphabet) + i for i, token in enumerate([*special, *times])}

built = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
built.decoder = decoders.ByteLevel()
built.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
built.add_tokens([AddedToken(token, special=False, normalized=False) for token in times])
tokenizer = WhisperTokenizer(tokenizer_object=built, eos_token="<|endoftext|>", bos_token="<|endoftext|>", unk_token="<|endoftext|>", pad_token="<|endoftext|>", extra_special_tokens=special[1:])
tokenizer.save_pretrained(folder)
extractor = WhisperFeatureExtractor(feature_size=16, chunk_length=SECONDS)
extractor.save_pretrained(folder)

size = {"d_model": 16, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
special_ids = {"pad_token_id": ids["<|endoftext|>"], "bos_token_id": ids["<|endoftext|>"], "eos_token_id": ids["<|endoftext|>"]}
config = WhisperConfig(
    vocab_size=len(ids) + len(alphabet), num_mel_bins=16, encoder_layers=1, decoder_layers=2, max_source_positions=SECONDS * 50,
    max_target_positions=48, decoder_start_token_id=ids["<|startoftranscript|>"], suppress_tokens=None, begin_suppress_tokens=None,
    init_std=0.4, **size, **special_ids,
)
torch.manual_seed(SEED)
model = WhisperForConditionalGeneration(config).eval()
with torch.no_grad():
    for name, weight in model.named_parameters():
        if name.endswith("encoder.embed_positions.weight"):
            weight.mul_(0.1)  # so that sounds matter more than places
        if name.endswith(("encoder_attn.out_proj.weight", "encoder_attn.v_proj.weight")):
            weight.mul_(4)
        weight.copy_((weight + 0.1 * torch.randn_like(weight)).half().float())
model.generation_config = GenerationConfig(
    decoder_start_token_id=ids["<|startoftranscript|>"], no_timestamps_token_id=ids["<|notimestamps|>"], prev_sot_token_id=ids["<|startofprev|>"],
    is_multilingual=True, lang_to_id={f"<|{code}|>": ids[f"<|{code}|>"] for code in LANGUAGES},
    task_to_id={task: ids[f"<|{task}|>"] for task in ("translate", "transcribe")}, max_initial_timestamp_index=50, max_length=48,
    # As the published ones of several languages have it: a language that is found out, and to write it down.
    forced_decoder_ids=[[1, None], [2, ids["<|transcribe|>"]]],
    return_timestamps=False, suppress_tokens=[ids[t] for t in ("<|startoftranscript|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>")]
    + [i for i, c in enumerate(alphabet) if not ("A" <= c <= "z" or c == "Ġ")],
    begin_suppress_tokens=[ids["<|endoftext|>"]], **special_ids,
)
model.save_pretrained(folder)
halves = {name: weight.half().contiguous() for name, weight in model.state_dict().items() if name != "proj_out.weight"}
save_file(halves, folder / "model.safetensors", metadata={"format": "pt"})
model = WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()


def sound(step, seconds):
    """Of whole numbers, which are the same wherever they are computed."""
    i = np.arange(int(16000 * seconds), dtype=np.int64)
    return (((i * step) % 1009) / 1009 - 0.5).astype(np.float32) * ((i // 800) % 3).astype(np.float32) / 4


recognize = pipeline("automatic-speech-recognition", model=model, tokenizer=tokenizer, feature_extractor=extractor)
cases = []
for step, seconds in ((3, 2), (17, 2.5), (41, 1), (97, 2), (211, 3), (399, 1.5), (29, 7)):
    for options in ({}, {"language": "de"}, {"language": "french", "task": "translate"}, {"task": "translate"}):
        long = seconds > SECONDS
        if long and options:
            continue
        generate = {"num_beams": 1, **options}
        output = recognize(
            {"raw": sound(step, seconds), "sampling_rate": 16000}, generate_kwargs=generate, return_language=True,
            **({"return_timestamps": True} if long else {}),
        )
        features = extractor(sound(step, seconds), sampling_rate=16000, return_tensors="pt").input_features
        detected = model.detect_language(features[..., : 2 * SECONDS * 50])
        cases.append({"step": step, "seconds": seconds, "options": options, "detected": tokenizer.decode(detected)[2:-2], "output": output})
        print(cases[-1])
english = None
model.generation_config.is_multilingual = False
try:
    recognize({"raw": sound(3, 1), "sampling_rate": 16000}, generate_kwargs={"language": "de"})
except ValueError as error:
    english = str(error)
print(english)
(here / "languages.json").write_text(json.dumps(cases, indent=1, ensure_ascii=False) + "\n")
