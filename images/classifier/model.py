"""The linear model that labels headlines: text to features to label and score. Nothing else knows the weights' format.

A headline has three blocks of features: words with their neighbours, short runs of letters within each word, and
patterns of lexicon kinds ("down asset" for "cuts outlook"). Features are present or absent (a word said twenty times
says it once), weighted by inverse document frequency, each block of unit length; one linear map then gives calibrated
logits. scripts/train-classifier makes the weights from the very functions below: training and serving cannot drift.
"""

import hashlib
import json
import re
import zipfile
import zlib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.errors import PipelineError

LABELS = ("negative", "neutral", "positive")
DIRECTIONS = (-1.0, 0.0, 1.0)
WEIGHTS = Path(__file__).with_name("weights") / "headlines-v1.npz"
# A headline is under 250 characters; a feed's mistake of 100 kB must not cost the run its time.
MAX_CHARACTERS = 1_000
SCORE_DECIMALS = 4
# Words repeat, so their letters are looked up once; the bound keeps a flood of odd words from eating the memory.
REMEMBERED_WORDS = 20_000
# As good in cross-validation as all of 2–5, at half the look-ups.
LETTERS = (2, 4)

Floats = npt.NDArray[np.float64]
Arrays = Mapping[str, npt.NDArray]

_URL = re.compile(r"https?://\S*")
_CASHTAG = re.compile(r"\$[a-z][a-z.\-]{0,6}\b")
_RISE = re.compile(r"\+\s?\d[\d,.]*\s?%")
_FALL = re.compile(r"(?<![a-z0-9])[-–−]\s?\d[\d,.]*\s?%")
_PERCENT = re.compile(r"\d[\d,.]*\s?%")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_TOKEN = re.compile(r"[^\W\d_]+(?:['&\-][^\W\d_]+)*|[#$%!?+]|~\w+")


class ModelDamaged(PipelineError):
    """The weights file is missing, cut short, altered or of another format."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path.name}: {reason}; restore it from git or retrain with scripts/train-classifier")


def tokens(text: str) -> list[str]:
    """Words in lower case, with ~marks in place of links, cashtags and numbers, whose exact value says nothing."""
    text = text[:MAX_CHARACTERS].lower().replace("’", "'").replace("&amp;", "&").replace("~", " ")
    if "http" in text:
        text = _URL.sub(" ~url ", text)
    if "$" in text:
        text = _CASHTAG.sub(" ~cash ", text)
    if "%" in text:
        text = _PERCENT.sub(" ~percent ", _FALL.sub(" ~fall ", _RISE.sub(" ~rise ", text)))
    return _TOKEN.findall(_NUMBER.sub(" ~n ", text))


def features(text: str, kinds: Mapping[str, str]) -> tuple[list[str], list[str], list[str]]:
    """The three blocks of a headline: words, letters, kinds."""
    words = tokens(text)
    letters = [run for word in dict.fromkeys(words) for run in letter_features(word)]
    return word_features(words), letters, kind_features(words, kinds)


def word_features(words: Sequence[str]) -> list[str]:
    """Words, neighbours ("^" and "$" are the ends) and neighbours but one."""
    if not words:
        return []
    beside = map(" ".join, zip(["^", *words], [*words, "$"], strict=True))
    return list(dict.fromkeys([*words, *beside, *map(" _ ".join, zip(words, words[2:], strict=False))]))


def letter_features(word: str) -> list[str]:
    """Runs of letters inside a word, its ends marked by a space: they tell the kin of words never seen before."""
    if word[0] == "~":
        return []
    padded = f" {word} "
    size = len(padded)
    return list(dict.fromkeys([padded[i : i + n] for n in LETTERS for i in range(size - n + 1)]))


def kind_features(words: Sequence[str], kinds: Mapping[str, str]) -> list[str]:
    """Runs of 1–3 lexicon kinds, whatever stands between, and each lexicon word's kind beside its plain neighbours."""
    word_kinds = [kinds.get(word) for word in words]
    said = [kind for kind in word_kinds if kind]
    if not said:
        return []
    beside = [
        f"{left_kind or left}~{right_kind or right}"
        for left, right, left_kind, right_kind in zip(words, words[1:], word_kinds, word_kinds[1:], strict=False)
        if left_kind or right_kind
    ]
    pairs = map(" ".join, zip(["^", *said], [*said, "$"], strict=True))
    triples = map(" ".join, zip(said, said[1:], said[2:], strict=False))
    return list(dict.fromkeys([*said, *pairs, *triples, *beside]))


@dataclass(frozen=True, kw_only=True)
class Model:
    """Weights in memory. `weights` is (3, features), `squared_idf` (features,); `intercept` and `offset` are (3,)."""

    version: str
    kinds: Mapping[str, str]
    vocabularies: tuple[Mapping[str, int], Mapping[str, int], Mapping[str, int]]
    weights: Floats
    squared_idf: Floats
    intercept: Floats
    offset: Floats
    letters_of: dict[str, "array[int]"] = field(default_factory=dict, repr=False, compare=False)

    def classify(self, texts: Sequence[str]) -> list[tuple[str, float]]:
        """Label and score of each text: score = direction × calibrated probability of the label, so neutral is 0.0.

        A text without a single known feature (empty, emoji, another script) is neutral.
        """
        if not texts:
            return []
        logits, known = self.logits(texts)
        # The offset evens out the classes' sizes for macro-F1; the probability that is told stays the calibrated one.
        chosen = np.where(known, np.argmax(logits + self.offset, axis=1), LABELS.index("neutral"))
        confidence = softmax(logits)[np.arange(len(chosen)), chosen]
        return [
            (LABELS[label], round(DIRECTIONS[label] * share, SCORE_DECIMALS))
            for label, share in zip(chosen.tolist(), confidence.tolist(), strict=True)
        ]

    def logits(self, texts: Sequence[str]) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Calibrated logits (texts, 3) in the order of LABELS, and whether any feature was known (texts,)."""
        ids, rows = self._look_up(texts)
        shape = (len(texts), len(self.vocabularies))
        size = shape[0] * shape[1]
        length: Floats = np.sqrt(np.bincount(rows, weights=self.squared_idf[ids], minlength=size)).reshape(shape)
        sums = [np.bincount(rows, weights=row[ids], minlength=size).reshape(shape) for row in self.weights]
        unit = np.stack(sums, axis=2) / np.maximum(length, 1e-9)[:, :, None]
        return unit.sum(axis=1) + self.intercept, length.max(axis=1) > 0

    def _look_up(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Index of every known feature, and the row (text × 3 + block) that it belongs to."""
        word_index, letter_index, kind_index = self.vocabularies
        ids = array("q")
        ends = [0]
        for text in texts:
            words = tokens(text)
            ids.extend([i for i in map(word_index.get, word_features(words)) if i is not None])
            ends.append(len(ids))
            for word in dict.fromkeys(words):
                runs = self.letters_of.get(word)
                if runs is None:
                    runs = self._remember(word, letter_index)
                ids.extend(runs)
            ends.append(len(ids))
            ids.extend([i for i in map(kind_index.get, kind_features(words, self.kinds)) if i is not None])
            ends.append(len(ids))
        return np.array(ids, dtype=np.intp), np.repeat(np.arange(len(ends) - 1), np.diff(ends))

    def _remember(self, word: str, letter_index: Mapping[str, int]) -> "array[int]":
        if len(self.letters_of) >= REMEMBERED_WORDS:
            self.letters_of.clear()
        found = array("q", [i for i in map(letter_index.get, letter_features(word)) if i is not None])
        self.letters_of[word] = found
        return found


def softmax(logits: Floats) -> Floats:
    """Probabilities along the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def digest(arrays: Arrays) -> str:
    """SHA-256 over the names, shapes, types and bytes of all arrays except the digest's own."""
    total = hashlib.sha256()
    for name in sorted(set(arrays) - {"digest"}):
        array = arrays[name]
        total.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def load(path: Path = WEIGHTS) -> Model:
    """Read and check a weights file; raises ModelDamaged, saying what is wrong and how to get a sound one."""
    arrays = _read(path)
    stated, found = bytes(arrays["digest"]).decode("ascii", "replace"), digest(arrays)
    if stated != found:
        raise ModelDamaged(path, f"checksum is {found[:12]}…, the file says {stated[:12]}…")
    header = json.loads(bytes(arrays["header"]))
    names = bytes(arrays["names"]).decode().split("\n")
    return Model(
        version=f"{header['version']}-{found[:8]}",
        kinds=header["kinds"],
        vocabularies=_vocabularies(names, header["block_sizes"]),
        weights=np.ascontiguousarray(arrays["weights"].T, dtype=np.float64),
        squared_idf=arrays["idf"].astype(np.float64) ** 2,
        intercept=arrays["intercept"],
        offset=arrays["offset"],
    )


def _read(path: Path) -> dict[str, npt.NDArray]:
    try:
        # Opened here: np.load leaves a file that it cannot read open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise ModelDamaged(path, f"cannot be read ({type(error).__name__}: {error})") from error
    missing = {"digest", "header", "names", "weights", "idf", "intercept", "offset"} - set(arrays)
    if missing:
        raise ModelDamaged(path, f"lacks {', '.join(sorted(missing))}")
    return arrays


def _vocabularies(
    names: Sequence[str], sizes: Sequence[int]
) -> tuple[Mapping[str, int], Mapping[str, int], Mapping[str, int]]:
    words, letters, _ = sizes
    numbered = list(zip(names, range(len(names)), strict=True))
    return dict(numbered[:words]), dict(numbered[words : words + letters]), dict(numbered[words + letters :])
