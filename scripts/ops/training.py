"""Trains the headline classifier and writes its weights and scores; the only place that knows scikit-learn.

The recipe: the features of classifier.model, weighted by idf, into a linear SVM with balanced classes; the features
that matter least are dropped and the rest fitted again. Five-fold cross-validation on the training file alone gives
out-of-fold decisions, from which come the calibration (multinomial logistic, folded into the weights) and the offset
that best serves macro-F1. The validation file is read once, at the end, to be reported.
"""

import csv
import json
import math
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
import scipy.sparse as sp  # type: ignore[import-untyped]
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, f1_score
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC

from classifier import model as headline

VERSION = "v1"
SEED = 20260126
FOLDS = 5
SVM_COST = 0.5
KEPT_FEATURES = 50_000
# Words, letters, kinds: a feature seen less often says nothing that another does not. Single words are kept, because
# rare words carry the mood; single letter runs are mostly their shadows.
LEAST_SEEN = (1, 2, 2)
BLOCK_SCALES = (1.0, 1.0, 0.5)
LEXICON = Path(__file__).with_name("training_lexicon.toml")
OFFSETS = np.arange(-1.0, 2.01, 0.1)

Blocks = tuple[list[str], list[str], list[str]]
Floats = npt.NDArray[np.float64]
Arrays = dict[str, npt.NDArray]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Table:
    """The features that are counted, block by block, and their inverse document frequencies (features,)."""

    vocabularies: tuple[dict[str, int], ...]
    idf: Floats

    @property
    def sizes(self) -> list[int]:
        return [len(vocabulary) for vocabulary in self.vocabularies]


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A linear decision over a table: `coefficients` (3, features) and `intercept` (3,) before calibration."""

    table: Table
    coefficients: Floats
    intercept: Floats


def read_headlines(path: Path) -> tuple[list[str], Labels]:
    """Texts and class numbers (order of classifier.model.LABELS) of a CSV with the columns text and sentiment."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"text", "sentiment"} <= set(rows[0]):
        raise click.ClickException(f"{path.name}: expected rows with the columns text and sentiment")
    unknown = sorted({row["sentiment"] for row in rows} - set(headline.LABELS))
    if unknown:
        raise click.ClickException(
            f"{path.name}: unknown sentiment {unknown[0]!r}; known: {', '.join(headline.LABELS)}"
        )
    return [row["text"] for row in rows], np.array([headline.LABELS.index(row["sentiment"]) for row in rows])


def read_lexicon(path: Path = LEXICON) -> dict[str, str]:
    """Word to kind; a word in two kinds is refused, since its meaning would depend on the file's order."""
    lexicon: dict[str, str] = {"~rise": "up", "~fall": "down"}
    for kind, words in tomllib.loads(path.read_text(encoding="utf-8")).items():
        for word in dict.fromkeys(words.split()):
            if word in lexicon:
                raise click.ClickException(f"{path.name}: {word!r} is both {lexicon[word]} and {kind}")
            lexicon[word] = kind
    return lexicon


def count(documents: Sequence[Blocks]) -> Table:
    """Every feature seen often enough, with the smoothed idf ln((1 + n) / (1 + df)) + 1 (scikit-learn's)."""
    vocabularies, idf, start = [], [], 0
    for block, least in enumerate(LEAST_SEEN):
        seen = Counter(feature for document in documents for feature in set(document[block]))
        kept = sorted(feature for feature, times in seen.items() if times >= least)
        vocabularies.append({feature: start + i for i, feature in enumerate(kept)})
        idf += [math.log((1 + len(documents)) / (1 + seen[feature])) + 1 for feature in kept]
        start += len(kept)
    return Table(vocabularies=tuple(vocabularies), idf=np.array(idf))


def matrix(documents: Sequence[Blocks], table: Table) -> sp.csr_matrix:
    """(documents, features): each block idf-weighted, brought to unit length over occurrences, times its scale."""
    columns, rows, values = [], [], []
    for block, vocabulary in enumerate(table.vocabularies):
        ids = [[i for i in map(vocabulary.get, document[block]) if i is not None] for document in documents]
        column = np.array([i for row in ids for i in row], dtype=np.int64)
        row = np.repeat(np.arange(len(documents)), [len(row) for row in ids])
        length = np.sqrt(np.bincount(row, weights=table.idf[column] ** 2, minlength=len(documents)))
        columns.append(column)
        rows.append(row)
        values.append(BLOCK_SCALES[block] * table.idf[column] / length[row])
    where = (np.concatenate(rows), np.concatenate(columns))
    return sp.csr_matrix((np.concatenate(values), where), shape=(len(documents), len(table.idf)))


def machine(inputs: sp.csr_matrix, labels: Labels) -> LinearSVC:
    """The linear SVM, one class against the rest."""
    return LinearSVC(C=SVM_COST, class_weight="balanced", random_state=SEED).fit(inputs, labels)


def fit(documents: Sequence[Blocks], labels: Labels) -> Fit:
    """Fit on all features, keep those that move decisions most, fit again on these alone."""
    everything = count(documents)
    inputs = matrix(documents, everything)
    spread = np.sqrt(np.asarray(inputs.multiply(inputs).mean(axis=0)).ravel())
    influence = np.abs(machine(inputs, labels).coef_).max(axis=0) * spread
    table = prune(everything, np.sort(np.argsort(-influence, kind="stable")[:KEPT_FEATURES]))
    fitted = machine(matrix(documents, table), labels)
    return Fit(table=table, coefficients=fitted.coef_, intercept=fitted.intercept_)


def prune(table: Table, kept: npt.NDArray[np.int64]) -> Table:
    """The table with only the features numbered in `kept` (ascending), numbered anew."""
    number = {int(old): new for new, old in enumerate(kept)}
    vocabularies = tuple(
        {feature: number[old] for feature, old in vocabulary.items() if old in number}
        for vocabulary in table.vocabularies
    )
    return Table(vocabularies=vocabularies, idf=table.idf[kept])


def decide(fitted: Fit, documents: Sequence[Blocks]) -> Floats:
    """Uncalibrated decisions (documents, 3)."""
    return matrix(documents, fitted.table) @ fitted.coefficients.T + fitted.intercept


def decide_out_of_fold(documents: Sequence[Blocks], labels: Labels) -> Floats:
    """Decisions (documents, 3), each made by a machine that did not see the document."""
    decisions = np.zeros((len(documents), len(headline.LABELS)))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    for seen, unseen in folds.split(np.zeros(len(labels)), labels):
        fitted = fit([documents[i] for i in seen], labels[seen])
        decisions[unseen] = decide(fitted, [documents[i] for i in unseen])
    return decisions


def calibrate(decisions: Floats, labels: Labels) -> tuple[Floats, Floats]:
    """The matrix (3, 3) and intercept (3,) that turn decisions into logits of probabilities."""
    regression = LogisticRegression(C=1e3, max_iter=1000).fit(decisions, labels)
    return regression.coef_, regression.intercept_


def best_offset(logits: Floats, labels: Labels) -> Floats:
    """The offsets (negative, 0, positive) on the logits with the best macro-F1."""

    def quality(pair: tuple[float, float]) -> float:
        return macro_f1(labels, np.argmax(logits + np.array([pair[0], 0.0, pair[1]]), axis=1))

    negative, positive = max(product(OFFSETS, OFFSETS), key=quality)
    return np.array([negative, 0.0, positive])


def macro_f1(labels: Labels, answers: npt.NDArray[np.intp]) -> float:
    """Unweighted mean of the three classes' F1."""
    return float(f1_score(labels, answers, average="macro"))


def pack(
    fitted: Fit, lexicon: dict[str, str], calibration: tuple[Floats, Floats], offset: Floats
) -> dict[str, npt.NDArray]:
    """The arrays of the weights file. Calibration, idf and the blocks' scales are folded into one map to logits."""
    turn, shift = calibration
    scale = np.repeat(BLOCK_SCALES, fitted.table.sizes) * fitted.table.idf
    names = "\n".join(feature for vocabulary in fitted.table.vocabularies for feature in vocabulary)
    header = {"version": VERSION, "kinds": lexicon, "block_sizes": fitted.table.sizes}
    arrays: Arrays = {
        "header": _bytes(json.dumps(header, sort_keys=True)),
        "names": _bytes(names),
        "weights": ((turn @ fitted.coefficients) * scale).T.astype(np.float16),
        "idf": fitted.table.idf.astype(np.float16),
        "intercept": turn @ fitted.intercept + shift,
        "offset": offset,
    }
    return {**arrays, "digest": _bytes(headline.digest(arrays))}


def _bytes(text: str) -> npt.NDArray[np.uint8]:
    return np.frombuffer(text.encode(), dtype=np.uint8)


def baselines(train: tuple[list[str], Labels], valid: tuple[list[str], Labels]) -> dict[str, float]:
    """Macro-F1 on `valid` of plain TF-IDF with logistic regression, and of always saying neutral."""
    words = TfidfVectorizer(ngram_range=(1, 2))
    plain = LogisticRegression(C=10, class_weight="balanced", max_iter=1000).fit(
        words.fit_transform(train[0]), train[1]
    )
    return {
        "tfidf_logistic_regression": round(macro_f1(valid[1], plain.predict(words.transform(valid[0]))), 4),
        "always_neutral": round(macro_f1(valid[1], np.ones(len(valid[1]), dtype=np.intp)), 4),
    }


def expected_calibration_error(confidence: Floats, correct: npt.NDArray[np.bool_]) -> float:
    """Mean gap between stated confidence and share correct over ten equal bins (Guo et al. 2017)."""
    bins = np.minimum((confidence * 10).astype(int), 9)
    gaps = [abs(confidence[bins == b].sum() - correct[bins == b].sum()) for b in range(10)]
    return float(sum(gaps) / len(confidence))


def validate(path: Path, texts: list[str], labels: Labels) -> dict[str, object]:
    """Scores of a weights file as the service will use it."""
    model = headline.load(path)
    answers = np.array([headline.LABELS.index(label) for label, _ in model.classify(texts)])
    shares = headline.softmax(model.logits(texts)[0])
    likeliest = shares.argmax(axis=1)
    per_class = f1_score(labels, answers, average=None)
    return {
        "version": model.version,
        "macro_f1": round(macro_f1(labels, answers), 4),
        "accuracy": round(float((answers == labels).mean()), 4),
        "f1": {name: round(float(value), 4) for name, value in zip(headline.LABELS, per_class, strict=True)},
        "confusion": confusion_matrix(labels, answers).tolist(),
        "expected_calibration_error": round(expected_calibration_error(shares.max(axis=1), likeliest == labels), 4),
    }


def train(texts: list[str], labels: Labels) -> tuple[Arrays, float]:
    """The arrays of a weights file, and the cross-validated macro-F1 (its offset chosen on the same folds)."""
    lexicon = read_lexicon()
    documents = [headline.features(text, lexicon) for text in texts]
    decisions = decide_out_of_fold(documents, labels)
    turn, shift = calibrate(decisions, labels)
    logits = decisions @ turn.T + shift
    offset = best_offset(logits, labels)
    quality = macro_f1(labels, np.argmax(logits + offset, axis=1))
    return pack(fit(documents, labels), lexicon, (turn, shift), offset), quality


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--train", "train_path", type=_FILE, required=True, help="CSV (text, sentiment) to learn from.")
@click.option("--valid", "valid_path", type=_FILE, required=True, help="CSV (text, sentiment), only reported on.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder for the weights.")
def main(train_path: Path, valid_path: Path, out: Path) -> None:
    """Train the headline classifier (about a minute); write weights and scores into OUT."""
    learned, held_out = read_headlines(train_path), read_headlines(valid_path)
    click.echo(f"training on {len(learned[0]):,} headlines, {FOLDS} folds …", err=True)
    arrays, cross_validated = train(*learned)
    out.mkdir(parents=True, exist_ok=True)
    weights = out / headline.WEIGHTS.name
    np.savez_compressed(weights, **arrays)  # type: ignore[arg-type]
    scores = {
        "train": {"headlines": len(learned[0]), "cross_validated_macro_f1": round(cross_validated, 4)},
        "valid": {"headlines": len(held_out[0]), **validate(weights, *held_out)},
        "baselines": baselines(learned, held_out),
    }
    weights.with_suffix(".scores.json").write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    click.echo(json.dumps(scores, indent=2))
    click.echo(f"{weights.name}: {weights.stat().st_size / 1e6:.2f} MB", err=True)


if __name__ == "__main__":
    main()
