"""Writes the folder layoutlmv3 and document-answers.json: answers of transformers' pipeline about words and their boxes.

Needs torch, transformers and tokenizers. The model is small and random. The pipeline of transformers 5.24 passes the
image by a name that LayoutLMv3 ignores, so answers with an image come from the same steps with `pixel_values`.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tokenizers import ByteLevelBPETokenizer
from transformers import LayoutLMv3Config, LayoutLMv3ForQuestionAnswering, LayoutLMv3ImageProcessorPil, LayoutLMv3Tokenizer, pipeline

argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
here = Path(__file__).parent
folder = here / "layoutlmv3"
WORDS = "Invoice no. us-001 Date: 11/02/2019 Bill to John Smith 2 Court Square Total due (EUR) 154.06 naïve café 名前 tax 8% of 145.00 net".split()
words = [(word, [(37 * i) % 800, 40 * (i // 4), (37 * i) % 800 + 90 + i, 40 * (i // 4) + 30]) for i, word in enumerate(WORDS)]
bpe = ByteLevelBPETokenizer(add_prefix_space=True)
bpe.train_from_iterator([" ".join(WORDS), "What is the invoice number and who is it for?"] * 4, vocab_size=290, min_frequency=2, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
state = json.loads(bpe._tokenizer.to_str())["model"]
tokenizer = LayoutLMv3Tokenizer(vocab=state["vocab"], merges=[tuple(pair) for pair in state["merges"]], model_max_length=60)
torch.manual_seed(4)
config = LayoutLMv3Config(
    vocab_size=len(tokenizer), hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=10, max_position_embeddings=64, coordinate_size=2, shape_size=2,
    input_size=16, patch_size=8, rel_pos_bins=4, max_rel_pos=8, rel_2d_pos_bins=6, max_rel_2d_pos=20, initializer_range=0.5, bos_token_id=0, pad_token_id=1, eos_token_id=2,
    num_labels=2,
)
model = LayoutLMv3ForQuestionAnswering(config).eval()
with torch.no_grad():
    model.qa_outputs.out_proj.weight *= 4
processor = LayoutLMv3ImageProcessorPil(apply_ocr=False, size=dict(height=16, width=16))
for each in (tokenizer, model, processor):
    each.save_pretrained(folder)
for file in folder.glob("generation_config.json"):
    file.unlink()

ask = pipeline("document-question-answering", model=model, tokenizer=tokenizer, image_processor=processor)
forward = model.forward
width, height = 21, 33
pixels = np.array([(i * 7 + i * i % 97) % 256 for i in range(width * height * 3)], dtype=np.uint8).reshape(height, width, 3)
image = Image.fromarray(pixels)
OPTIONS = [dict(), dict(top_k=4), dict(top_k=3, max_answer_len=2), dict(top_k=2, max_seq_len=40, doc_stride=8), dict(top_k=30, max_seq_len=32, doc_stride=5), dict(top_k=2, handle_impossible_answer=True)]
cases = []
for sees in (False, True):
    def run(image=None, **inputs):
        return forward(**inputs, **(dict(pixel_values=image) if sees else {}))

    def answers(start, end, cut=None):
        """The scores of the words alone: there is no mask for patches."""
        return start[:, :cut], end[:, :cut]

    def scored(**inputs):
        output = run(**inputs)
        output.start_logits, output.end_logits = answers(output.start_logits, output.end_logits, inputs["input_ids"].shape[1])
        return output

    model.forward = scored
    for question in ["What is the invoice number?", "Who?"]:
        for options in OPTIONS:
            found = ask(image, question, word_boxes=words, **options)
            cases.append(dict(question=question, options=options, image=sees, answers=found))
            print(sees, question, options, found)
(here / "document-answers.json").write_text(json.dumps(dict(words=words, size=[width, height], cases=cases), ensure_ascii=False) + "\n")
