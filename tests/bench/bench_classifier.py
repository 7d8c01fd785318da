"""How fast and how good the classifier is on the real held-out headlines."""

import json
import os
import time
from pathlib import Path

import numpy as np

from classifier import model as headline
from classifier.tickers import find_tickers
from ops import training

ROOT = Path(__file__).resolve().parents[2]
NEWS = Path(os.environ.get("OPS_SHARED_DATA", ROOT.parent / "shared" / "data")) / "news"
DEFAULT_SYMBOLS = ("AAPL", "MSFT", "TSLA", "GOOGL", "AMZN", "META", "NVDA")
ROUNDS = 3


def run() -> dict:
    """Measured here: first-sight speed (fresh model, nothing remembered), load time, scores, baselines.

    VADER and Loughran-McDonald are quoted from the issue: their packages are not ours to install.
    """
    texts, labels = training.read_headlines(NEWS / "valid.csv")
    loads, seconds, answers = zip(*(_one_round(texts) for _ in range(ROUNDS)), strict=True)
    found = np.array([headline.LABELS.index(label) for label, _ in answers[0]])
    started = time.perf_counter()
    for text in texts:
        find_tickers(text, "", DEFAULT_SYMBOLS)
    return {
        "headlines": len(texts),
        "headlines_per_second": round(len(texts) / min(seconds)),
        "tickers_per_second": round(len(texts) / (time.perf_counter() - started)),
        "load_ms": round(min(loads) * 1000, 1),
        "macro_f1": round(training.macro_f1(labels, found), 4),
        "baselines": {
            **training.baselines(training.read_headlines(NEWS / "train.csv"), (texts, labels)),
            "vader": 0.447,
            "loughran_mcdonald": 0.447,
        },
    }


def _one_round(texts: list[str]) -> tuple[float, float, list[tuple[str, float]]]:
    started = time.perf_counter()
    model = headline.load()
    loaded = time.perf_counter()
    answers = model.classify(texts)
    return loaded - started, time.perf_counter() - loaded, answers


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
