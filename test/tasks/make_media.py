"""What transformers makes of images and texts with the small models of test/data/families, for media.test.ts:
`python3 test/tasks/make_media.py` writes media.json. Images are those that media.test.ts makes alike; texts are read by a
tokenizer of the words w0, w1, …, which this writes down, too.
"""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageClassification,
    AutoModelForSeq2SeqLM,
    BitImageProcessorPil,
    CLIPImageProcessorPil,
    SiglipImageProcessorPil,
    ViTImageProcessorPil,
    pipeline,
)

here = Path(__file__).parent
reference = here / "../data/families"
torch.set_grad_enabled(False)


def picture(width, height, seed):
    data = [(x * 7 + y * 3 + c * 50 + seed * 29) % 251 for y in range(height) for x in range(width) for c in range(3)]
    return Image.fromarray(np.array(data, dtype=np.uint8).reshape(height, width, 3))


# Wider than high, so that all versions of Pillow resize them along the rows first.
pictures = [picture(53, 37, 1), picture(41, 22, 2), picture(30, 30, 3)]


def words(size, special, single):
    """A tokenizer of `size` words, but for the special tokens at their ids; `single` is what surrounds a text, $A."""
    vocab = {special.get(i, f"w{i}"): i for i in range(size)}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="w9"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(list(special.values()))
    used = [t for t in single.split() if t != "$A"]
    tokenizer.post_processor = processors.TemplateProcessing(single=single, special_tokens=[(t, vocab[t]) for t in used])
    return tokenizer


def side(config):
    return getattr(config, "image_size", None) or config.vision_config.image_size


result = {"image-classification": [], "image-feature-extraction": [], "zero-shot-image-classification": [], "texts": []}
kinds = {"vit-image": ViTImageProcessorPil, "dinov2": BitImageProcessorPil, "clip": CLIPImageProcessorPil, "siglip": SiglipImageProcessorPil}


def processor_of(name, config):
    s = side(config)
    sizes = {"vit-image": {"size": {"height": s, "width": s}}, "siglip": {"size": {"height": s, "width": s}}}
    crop = {"size": {"shortest_edge": s + 3}, "crop_size": {"height": s, "width": s}}
    return kinds[name](**sizes.get(name, crop))


def settings_of(processor, name):
    keys = ("size", "crop_size", "do_center_crop", "image_mean", "image_std", "resample", "rescale_factor")
    found = {k: v for k, v in json.loads(processor.to_json_string()).items() if k in keys and v is not None}
    kind = {"vit-image": "ViT", "dinov2": "Bit", "clip": "CLIP", "siglip": "Siglip"}[name]
    return {"image_processor_type": f"{kind}ImageProcessor", **found}


model = AutoModelForImageClassification.from_pretrained(reference / "vit-image", dtype=torch.float32).eval()
processor = processor_of("vit-image", model.config)
for options in ({}, {"top_k": 2}, {"function_to_apply": "sigmoid"}):
    output = pipeline("image-classification", model=model, image_processor=processor)(pictures, **options)
    result["image-classification"].append(
        {"model": "vit-image", "processor": settings_of(processor, "vit-image"), "options": options, "output": output}
    )

for name in ("vit-image", "dinov2", "clip", "siglip"):
    model = AutoModel.from_pretrained(reference / name, dtype=torch.float32).eval()
    processor = processor_of(name, model.config)
    pixels = processor(images=pictures, return_tensors="pt")["pixel_values"]
    case = {"model": name, "processor": settings_of(processor, name)}
    if name in ("clip", "siglip"):
        vision = model.vision_model(pixel_values=pixels)
        output = model.visual_projection(vision.pooler_output) if name == "clip" else vision.last_hidden_state
        text = model.config.text_config
        special = {1: "<pad>", 95: "<s>", 96: "</s>"} if name == "clip" else {1: "<pad>"}
        template = "<s> $A </s>" if name == "clip" else "$A <pad>"  # which ends texts of SigLIP, too
        tokenizer = words(text.vocab_size, special, template)
        labels = ["w20 w21", "w30", "w11 w40 w12"]
        rows = [tokenizer.encode(f"w15 w16 {x}").ids for x in labels]
        if name == "siglip":
            most = min(64, text.max_position_embeddings)
            rows = [r + [1] * (most - len(r)) for r in rows]
            logits = model(input_ids=torch.tensor(rows), pixel_values=pixels).logits_per_image
            scores = torch.sigmoid(logits)
        else:
            longest = max(map(len, rows))
            mask = torch.tensor([[1] * len(r) + [0] * (longest - len(r)) for r in rows])
            ids = torch.tensor([r + [1] * (longest - len(r)) for r in rows])
            scores = model(input_ids=ids, attention_mask=mask, pixel_values=pixels).logits_per_image.softmax(-1)
        order = scores.argsort(-1, descending=True)
        zero_shot = [[{"label": labels[j], "score": s[j].item()} for j in o] for s, o in zip(scores, order.tolist())]
        pad = "<pad>"
        result["zero-shot-image-classification"].append(
            {**case, "tokenizer": json.loads(tokenizer.to_str()), "config": {"pad_token": pad}, "labels": labels, "output": zero_shot}
        )
    else:
        output = model(pixel_values=pixels).last_hidden_state
    flat = output.flatten(1)
    result["image-feature-extraction"].append(
        {**case, "shape": list(output.shape), "first": flat[:, :6].tolist(), "sums": flat.abs().sum(1).tolist()}
    )

texts = ["w20 w31 w45", "w50", "w33 w34 w35 w36 w37 w38"]
for name, task, special, template, options in (
    ("m2m100", "translation", ["s0", "s1", "s2", "s3", "__en__", "__fr__", "__de__"], "__en__ $A {eos}", {"src_lang": "de", "tgt_lang": "fr"}),
    ("m2m100", "translation", ["s0", "s1", "s2", "s3", "eng_Latn", "fra_Latn"], "eng_Latn $A {eos}", {"tgt_lang": "fra_Latn", "num_beams": 3}),
    ("mbart", "translation", ["s0", "s1", "s2", "s3", "en_XX", "ro_RO", "de_DE"], "$A {eos} en_XX", {"src_lang": "de_DE", "tgt_lang": "ro_RO"}),
    ("marian", "translation", ["s0", "s1", "s2", "s3"], "$A {eos}", {}),
    ("t5", "translation_en_to_fr", ["s0", "s1", "s2", "s3"], "$A {eos}", {}),
    ("t5", "translation", ["s0", "s1", "s2", "s3"], "$A {eos}", {"src_lang": "en", "tgt_lang": "de"}),
    ("t5", "summarization", ["s0", "s1", "s2", "s3"], "$A {eos}", {}),
    ("bart", "summarization", ["s0", "s1", "s2", "s3"], "s0 $A {eos}", {"num_beams": 2}),
):  # fmt: skip
    model = AutoModelForSeq2SeqLM.from_pretrained(reference / name, dtype=torch.float32).eval()
    ids = dict(enumerate(special)) | ({96: "<pad>"} if name == "marian" else {})
    tokenizer = words(model.config.vocab_size, ids, template.format(eos=ids[model.config.eos_token_id]))
    parameters = {
        "translation_en_to_fr": {"prefix": "w60 w61 ", "num_beams": 2},
        "translation_en_to_de": {"prefix": "w62 "},
        "summarization": {"prefix": "w63 ", "num_beams": 2, "min_length": 5, "no_repeat_ngram_size": 2},
    }
    own = dict(parameters[{"translation": "translation_en_to_de"}.get(task, task)]) if name == "t5" else {}
    prefix = own.pop("prefix", "")
    id_of = tokenizer.token_to_id
    output = []
    for text in texts:
        ids = tokenizer.encode(prefix + text).ids
        generate = {"max_new_tokens": 10, **own}
        named = {k: v for k, v in options.items() if k.endswith("_lang")}
        if name in ("m2m100", "mbart"):
            token = lambda x: id_of(f"__{x}__") if id_of(f"__{x}__") is not None else id_of(x)
            languages = [i for i, t in enumerate(special) if len(t) > 2]
            if "src_lang" in named:
                ids = [token(named["src_lang"]) if i in languages else i for i in ids]
            generate["forced_bos_token_id"] = token(named["tgt_lang"])
        generate |= {k: v for k, v in options.items() if k not in named}
        written = model.generate(torch.tensor([ids]), **generate)[0]
        output.append(tokenizer.decode(written.tolist(), skip_special_tokens=True))
    result["texts"].append(
        {"model": name, "task": task, "options": {"max_new_tokens": 10, **options}, "tokenizer": json.loads(tokenizer.to_str()),
         "parameters": parameters if name == "t5" else None, "output": output}
    )  # fmt: skip

(here / "media.json").write_text(json.dumps(result))
