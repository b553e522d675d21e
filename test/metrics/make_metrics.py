"""What sacrebleu, scikit-learn and SciPy compute for random labels, numbers and texts: writes metrics.json.

    python test/metrics/make_metrics.py
"""

import json
import random
from pathlib import Path

import sacrebleu
from scipy import stats
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


result = {
    "classification": [classification(40, 2), classification(60, 5), classification(12, 3)],
    "correlation": [correlation(30, 6), correlation(50, 40)],
    "texts": [texts(20, 1, 14), texts(15, 2, 9), texts(3, 1, 4), texts(1, 1, 3)],
}
(Path(__file__).parent / "metrics.json").write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n")
