"""CTranslate2 in float32 for bench/pretrained.ts, driven over a pipe.

Reads one JSON object a line: first {"threads"}, answered by {"ctranslate2": version}. {"bert": Hugging Face folder, "into": a
folder that is not there yet} converts and loads, {"whisper": folder of CTranslate2's} loads, each answered by {}. Then
{"batches": rows of ids, batch by batch, "repeats"}, or {"features": path of float32 [1, bins, 3000], "bins", "prompt", "repeats"}
with "decode" for what follows the encoding; answered by {"seconds": of one repeat, "sample"}.
"""

import json
import subprocess
import sys
import time

import ctranslate2
import numpy


def answer(values):
    print(json.dumps(values), flush=True)


def convert(model, into):
    # In a process of its own, whose threads end with it.
    program = "from ctranslate2.converters.transformers import main; main()"
    subprocess.run([sys.executable, "-c", program, "--model", model, "--output_dir", into], check=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def timed(repeats, work):
    start = time.perf_counter()
    for _ in range(repeats):
        last = work()
    return (time.perf_counter() - start) / repeats, numpy.asarray(last)


def encode_texts(bert, question):
    def work():
        for rows in question["batches"]:
            last = bert.forward_batch(rows).last_hidden_state
        return last

    seconds, last = timed(question["repeats"], work)
    size, _, features = last.shape
    answer({"seconds": seconds, "sample": [float(last[i * 7 % size, 0, i * 104729 % features]) for i in range(64)]})


def hear(whisper, question):
    sound = numpy.fromfile(question["features"], dtype=numpy.float32).reshape(1, question["bins"], -1)
    features = ctranslate2.StorageView.from_array(sound)
    if not question.get("decode"):
        seconds, hidden = timed(question["repeats"], lambda: whisper.encode(features, to_cpu=True))
        flat = hidden.reshape(-1)
        answer({"seconds": seconds, "sample": flat[numpy.arange(64) * 104729 % flat.size].tolist()})
        return
    encoded = whisper.encode(features)
    seconds, ids = timed(question["repeats"], lambda: whisper.generate(encoded, [question["prompt"]], beam_size=1)[0]
                         .sequences_ids[0])
    answer({"seconds": seconds, "sample": ids.tolist()})


def main():
    settings = {"device": "cpu", "compute_type": "float32", "inter_threads": 1}
    settings["intra_threads"] = json.loads(sys.stdin.readline())["threads"]
    answer({"ctranslate2": ctranslate2.__version__})
    bert = whisper = None
    for question in map(json.loads, sys.stdin):
        if "bert" in question:
            convert(question["bert"], question["into"])
            bert = ctranslate2.Encoder(question["into"], **settings)
            answer({})
        elif "whisper" in question:
            whisper = ctranslate2.models.Whisper(question["whisper"], **settings)
            answer({})
        elif "batches" in question:
            encode_texts(bert, question)
        else:
            hear(whisper, question)


main()
