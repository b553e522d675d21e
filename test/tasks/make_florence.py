#!/usr/bin/env python3
"""Writes florence.json beside this file: prompts and answers of Florence-2's processor, as transformers gives them.

  pip install torch transformers && python3 make_florence.py
"""
import json
import pathlib
from types import SimpleNamespace

from transformers.models.florence2.processing_florence2 import Florence2PostProcessor, Florence2Processor

kinds = ["ocr", "phrase_grounding", "pure_text", "description_with_bboxes", "description_with_polygons", "polygons", "bboxes", "description_with_bboxes_or_polygons"]
settings = {kind: {} for kind in kinds}
settings["ocr"]["AREA_THRESHOLD"] = 0.01
settings["phrase_grounding"]["banned_grounding_tokens"] = ["it", "the image"]


class Processor(Florence2Processor):
    def __init__(self):
        tokenizer = SimpleNamespace(all_special_tokens=["<s>", "</s>", "<pad>"], image_token="<image>", image_token_id=9, bos_token_id=0)
        try:
            super().__init__(SimpleNamespace(image_seq_length=4), tokenizer, post_processor_config=settings)
        except TypeError:  # transformers wants real ones, which nothing here needs
            pass


def places(*numbers):
    return "".join(f"<loc_{n}>" for n in numbers)


OCTAGON = places(10, 20, 30, 40, 900, 800, 700, 999)
TEXTS = {
    "<CAPTION>": ["</s><s>A cat on a sofa.</s>", "  two\nlines <pad></s>", ""],
    "<OCR>": ["<s>STOP</s>"],
    "<REGION_TO_CATEGORY>": ["<s>dog<loc_1><loc_2><loc_3><loc_4></s>"],
    "<OD>": [
        f"</s><s>car{places(0, 1, 500, 998)}door{places(3, 4, 5, 6, 7, 8, 9, 10)}</s>",
        f"café ☕{places(1, 2, 3, 4)}<pad>odd{places(1, 2, 3, 4, 5)}few{places(1, 2)}",
        f"a\nb{places(1, 2, 3, 4)}", "nothing", f"<od>x{places(1, 2, 3, 4)}</od>",
    ],
    "<DENSE_REGION_CAPTION>": [f"a red car {places(0, 0, 999, 999)} a <b> tree{places(9, 9, 19, 19)}"],
    "<REGION_PROPOSAL>": [f"<s>{places(0, 1, 500, 998)}</s>{places(1, 2, 3, 4, 5, 6, 7, 8)}", f"text{places(1, 2, 3, 4)}"],
    "<CAPTION_TO_PHRASE_GROUNDING>": [f"A cat{places(1, 2, 3, 4, 5, 6, 7, 8)}it{places(1, 2, 3, 4)} the image {places(1, 2, 3, 4)}müde{places(5, 5, 5, 5)}"],
    "<OCR_WITH_REGION>": [f"<s>STOP{OCTAGON} two words {OCTAGON}tiny{places(1, 1, 2, 1, 2, 2, 1, 2)}</s>", f"{OCTAGON}"],
    "<REFERRING_EXPRESSION_SEGMENTATION>": [
        f"<s>{places(1, 2, 3, 4, 5, 6, 7)}</s>", f"<poly>{places(1, 2, 3, 4, 5, 6)}<sep>{places(9, 8, 7, 6)}</poly><poly>{places(1, 2, 3, 4)}</poly>",
        f"a{places(1, 2, 3, 4)}",
    ],
    "<REGION_TO_SEGMENTATION>": [f"{places(1, 2, 3, 4)}<sep>{places(5, 6, 7, 8)}"],
    "<OPEN_VOCABULARY_DETECTION>": [
        f"cat{places(1, 2, 3, 4)}dog{places(5, 6, 7, 8)}", f"cat<poly>{places(1, 2, 3, 4, 5, 6)}</poly>dog<poly>{places(7, 7, 8, 8)}<sep>{places(3, 2, 1, 0)}</poly>",
    ],
    "<UNKNOWN>": ["<s>text</s>"],
}
PROMPTS = ["<OD>", "<CAPTION>", "<OCR_WITH_REGION>", "<MORE_DETAILED_CAPTION>", "<OPEN_VOCABULARY_DETECTION> a green car ", "<REGION_TO_OCR><loc_1><loc_2>", "What is this?", ""]

processor = Processor()
processor.post_processor = Florence2PostProcessor(config=settings, tokenizer=SimpleNamespace(all_special_tokens=["<s>", "</s>", "<pad>"]))
answers = [
    dict(task=task, text=text, size=size, answer=processor.post_process_generation(text=text, task=task, image_size=tuple(size)))
    for size in ([1000, 500], [333, 768])
    for task, texts in TEXTS.items()
    for text in texts
]
prompts = [dict(text=text, prompt=processor._construct_prompts(text)[0]) for text in PROMPTS]
path = pathlib.Path(__file__).parent / "florence.json"
path.write_text(json.dumps(dict(settings=settings, prompts=prompts, answers=answers), ensure_ascii=False, indent=1) + "\n")
