"""What sacrebleu, scikit-learn, SciPy and seqeval compute for random labels, numbers and texts: writes metrics.json.

    python test/metrics/make_metrics.py
"""

import json
import math
import random
from pathlib import Path

import sacrebleu
from scipy import stats
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support
from sklearn import metrics

rng = random.Random(5)
WORDS = "a the cat dog's sat on mat, mat. runs 3.5 1,000 well-known (quite) \"big\" U.S. é naïve 日本 9-5 &amp; it's end! ?".split()


def text(length):
    return " ".join(rng.choice(WORDS) for _ in range(length))


def changed(sentence):
    words = sentence.split()
    for _ in range(rng.randrange(4)):
        if words:
            words[rng.randrange(len(words))] = rng.choice(WORDS)
    return " ".join(words[: rng.randrange(max(1, len(words) - 2), len(words) + 1)])


def classification(size, classes):
    references = [rng.randrange(classes) for _ in range(size)]
    predictions = [label if rng.random() < 0.6 else rng.randrange(classes) for label in references]
    scores = {
        average: dict(
            zip(
                ("precision", "recall", "f1"),
                metrics.precision_recall_fscore_support(references, predictions, average=average, zero_division=0)[:3],
            )
        )
        for average in ("macro", "micro", "weighted") + (("binary",) if classes == 2 else ())
    }
    return {
        "predictions": predictions,
        "references": references,
        "accuracy": metrics.accuracy_score(references, predictions),
        "matthews": metrics.matthews_corrcoef(references, predictions),
        "f1": scores,
    }


def correlation(size, levels):
    references = [rng.randrange(levels) / 2 for _ in range(size)]
    predictions = [round(value + rng.gauss(0, 1), 1) for value in references]
    return {
        "predictions": predictions,
        "references": references,
        "pearson": stats.pearsonr(predictions, references).statistic,
        "spearman": stats.spearmanr(predictions, references).statistic,
    }


def texts(size, references_each, longest):
    references = [[text(rng.randrange(1, longest)) for _ in range(references_each)] for _ in range(size)]
    outputs = [changed(rng.choice(each)) for each in references]
    streams = [list(stream) for stream in zip(*references)]
    bleu = sacrebleu.corpus_bleu(outputs, streams)
    return {
        "outputs": outputs,
        "references": references,
        "bleu": bleu.score,
        "precisions": bleu.precisions,
        "brevityPenalty": bleu.bp,
        "bleuLower": sacrebleu.corpus_bleu(outputs, streams, lowercase=True).score,
        "bleuNone": sacrebleu.corpus_bleu(outputs, streams, tokenize="none").score,
        "chrf": sacrebleu.corpus_chrf(outputs, streams).score,
        "chrfPlusPlus": sacrebleu.corpus_chrf(outputs, streams, word_order=2).score,
    }


def spaced(size):
    """Texts whose words are apart by every character that Python or JavaScript may take for white space."""
    spaces = [chr(code) for code in range(0x110000) if chr(code).isspace()] + ["\ufeff", "\u200b", "\u180e", "\u2060"]
    references = ["".join(word + rng.choice(spaces) for word in text(9).split()) for _ in range(size)]
    outputs = ["".join(word + rng.choice(spaces) for word in each.split()) for each in references]
    return {
        "outputs": outputs,
        "references": references,
        "bleu": sacrebleu.corpus_bleu(outputs, [references]).score,
        "bleuNone": sacrebleu.corpus_bleu(outputs, [references], tokenize="none").score,
        "chrf": sacrebleu.corpus_chrf(outputs, [references]).score,
        "chrfPlusPlus": sacrebleu.corpus_chrf(outputs, [references], word_order=2).score,
    }


def hard(predictions, references):
    """NaN and infinity travel as strings, which JSON has."""
    values = [float(value) for value in predictions], [float(value) for value in references]
    encoded = [[value if math.isfinite(value) else repr(value) for value in side] for side in values]
    result = {"pearson": stats.pearsonr(*values).statistic, "spearman": stats.spearmanr(*values).statistic}
    return {"sides": encoded, **{name: float(r) if math.isfinite(r) else "nan" for name, r in result.items()}}


def entities(size, tags, kinds):
    """Sequences of random tags, in ill-formed orders, too."""

    def label():
        tag = rng.choice(tags)
        return tag if tag == "O" else f"{tag}-{rng.choice(kinds)}"

    references = [[label() for _ in range(rng.randrange(1, 9))] for _ in range(size)]
    predictions = [[each if rng.random() < 0.7 else label() for each in row] for row in references]
    scores = precision_recall_fscore_support(references, predictions, average="micro", zero_division=0)
    return {"predictions": predictions, "references": references, **dict(zip(("precision", "recall", "f1"), map(float, scores[:3])))}


result = {
    "classification": [classification(40, 2), classification(60, 5), classification(12, 3)],
    "correlation": [correlation(30, 6), correlation(50, 40)],
    "texts": [texts(20, 1, 14), texts(15, 2, 9), texts(3, 1, 4), texts(1, 1, 3)],
    "hard": [
        hard([math.nan] * 4, [1, 2, 3, 4]),
        hard([math.nan, 1, 2, 5], [1, 2, 3, 4]),
        hard([1, 2, 3, 4], [1, math.nan, 2, 5]),
        hard([1, math.inf, 3, 4], [1, 3, 2, 5]),
        hard([1e-90, 2e-90, 4e-90], [1e-90, 2e-90, 3e-90]),
        hard([1e160, 2e160, 4e160], [1, 2, 3]),
        hard([1e-170, 2e-170, 4e-170], [1e160, -2e160, 3e160]),
        hard([0.1] * 3, [1, 2, 3]),
        hard([1, 2, 3], [0.7] * 3),
        hard([1e9 + 1, 1e9 + 2, 1e9 + 4], [3, 2, 1]),
        hard([1, 2], [5, 4]),
    ],
    "entities": [
        entities(40, "BIO", ["PER", "LOC"]),
        entities(40, "IO", ["PER", "LOC"]),
        *(entities(12, "OBIES", ["PER", "LOC", "A-B"]) for _ in range(8)),
    ],
    "spaced": [spaced(6) for _ in range(4)],
}
(Path(__file__).parent / "metrics.json").write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n")
