"""The committed weights do what the model card says, survive odd text, and refuse to run when damaged."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from classifier import model as headline
from classifier.model import WEIGHTS, Model, ModelDamaged, load
from ops import training

ROOT = Path(__file__).resolve().parents[3]
NEWS = Path(os.environ.get("OPS_SHARED_DATA", ROOT.parent / "shared" / "data")) / "news"
LEAST_MACRO_F1 = 0.80


@pytest.fixture(scope="module")
def model() -> Model:
    return load()


@pytest.fixture(scope="module")
def headlines() -> tuple[list[str], np.ndarray]:
    if not (NEWS / "valid.csv").exists():
        pytest.skip(f"no {NEWS / 'valid.csv'}; set OPS_SHARED_DATA to the folder of the shared data")
    return training.read_headlines(NEWS / "valid.csv")


@pytest.mark.parametrize(
    "text",
    [
        "Apple beats estimates and raises guidance",
        "NVIDIA shares surge on record revenue",
        "Microsoft beats earnings estimates",
        "Alphabet upgraded to buy at Goldman Sachs",
        "AMZN +4% after strong results",
    ],
)
def test_good_news_scores_well_above_a_half(model: Model, text: str) -> None:
    label, score = model.classify([text])[0]
    assert label == "positive"
    assert score > 0.7


@pytest.mark.parametrize(
    "text",
    [
        "Tesla misses earnings, cuts outlook",
        "Amazon stock falls after weak guidance",
        "Tesla shares plunge after recall",
        "Meta downgraded to sell at Barclays",
        "MSFT -4% after missing estimates",
    ],
)
def test_bad_news_scores_well_below_minus_a_half(model: Model, text: str) -> None:
    label, score = model.classify([text])[0]
    assert label == "negative"
    assert score < -0.7


def test_neutral_news_scores_zero(model: Model) -> None:
    assert model.classify(["Meta Platforms to hold annual meeting"]) == [("neutral", 0.0)]


@pytest.mark.parametrize("text", ["", " ", "😀🚀", "苹果公司股价上涨", "١٢٣", "\x00\ud800", "~", "12345"])
def test_text_without_a_known_word_is_neutral(model: Model, text: str) -> None:
    assert model.classify([text]) == [("neutral", 0.0)]


@pytest.mark.parametrize("text", ["x" * 100_000, "beats " * 20_000, "$" * 100_000, "%" * 100_000, "Der Gewinn stieg"])
def test_odd_text_gets_a_label_and_a_score_in_range(model: Model, text: str) -> None:
    label, score = model.classify([text])[0]
    assert label in headline.LABELS
    assert -1.0 <= score <= 1.0


def test_a_word_said_often_weighs_as_if_said_once(model: Model) -> None:
    assert model.classify(["beats beats " * 80]) == model.classify(["beats beats beats"])
    assert abs(model.classify(["x" * 100_000])[0][1]) < 0.5


def test_no_texts_give_no_answers(model: Model) -> None:
    assert model.classify([]) == []


def test_the_sign_of_a_score_is_its_label(model: Model, headlines: tuple[list[str], np.ndarray]) -> None:
    signs = {"negative": -1, "neutral": 0, "positive": 1}
    assert all(np.sign(score) == signs[label] for label, score in model.classify(headlines[0]))


def test_a_text_gets_the_same_answer_alone_and_among_others(
    model: Model, headlines: tuple[list[str], np.ndarray]
) -> None:
    texts = ["", *headlines[0][:200], "😀"]
    assert [model.classify([text])[0] for text in texts] == model.classify(texts)


def test_a_flood_of_different_words_does_not_grow_the_memory_without_end(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(headline, "REMEMBERED_WORDS", 10)
    before = model.classify(["Apple beats estimates and raises guidance"])
    model.classify([f"{a}{b} beats" for a in "abcdefgh" for b in "klmnop"])
    assert len(model.letters_of) <= 10
    assert model.classify(["Apple beats estimates and raises guidance"]) == before


def test_macro_f1_on_the_held_out_headlines_is_better_than_promised(
    model: Model, headlines: tuple[list[str], np.ndarray]
) -> None:
    texts, labels = headlines
    answers = np.array([headline.LABELS.index(label) for label, _ in model.classify(texts)])
    assert training.macro_f1(labels, answers) >= LEAST_MACRO_F1


def test_confidence_means_what_it_says(model: Model, headlines: tuple[list[str], np.ndarray]) -> None:
    texts, labels = headlines
    shares = headline.softmax(model.logits(texts)[0])
    assert training.expected_calibration_error(shares.max(axis=1), shares.argmax(axis=1) == labels) < 0.03


def test_the_scores_and_the_card_speak_of_the_committed_weights(model: Model) -> None:
    scores = json.loads(WEIGHTS.with_suffix(".scores.json").read_text(encoding="utf-8"))
    card = (ROOT / "docs" / "model-card.md").read_text(encoding="utf-8")
    assert scores["valid"]["version"] == model.version
    assert model.version in card
    assert f"{scores['valid']['macro_f1']:.3f}" in card


def test_weights_are_small(model: Model) -> None:
    assert WEIGHTS.stat().st_size < 3_000_000


def test_missing_weights_are_named_with_their_remedy(tmp_path: Path) -> None:
    with pytest.raises(ModelDamaged, match=r"gone\.npz: cannot be read .*scripts/train-classifier"):
        load(tmp_path / "gone.npz")


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 cut"])
def test_a_file_that_is_no_weights_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.npz"
    path.write_bytes(content)
    with pytest.raises(ModelDamaged, match="retrain with scripts/train-classifier"):
        load(path)


def test_weights_cut_short_are_refused(tmp_path: Path) -> None:
    whole = WEIGHTS.read_bytes()
    path = tmp_path / "w.npz"
    for size in (100, len(whole) // 2, len(whole) - 10):
        path.write_bytes(whole[:size])
        with pytest.raises(ModelDamaged):
            load(path)


def test_one_altered_weight_is_found_by_the_checksum(tmp_path: Path) -> None:
    with np.load(WEIGHTS) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["weights"][7, 1] += 1
    path = tmp_path / "w.npz"
    np.savez_compressed(path, **arrays)
    with pytest.raises(ModelDamaged, match=r"checksum is \w{12}…, the file says \w{12}…"):
        load(path)


def test_a_weights_file_without_one_of_its_arrays_says_which(tmp_path: Path) -> None:
    with np.load(WEIGHTS) as archive:
        arrays = {name: archive[name] for name in archive.files if name != "offset"}
    path = tmp_path / "w.npz"
    np.savez_compressed(path, **arrays)
    with pytest.raises(ModelDamaged, match="lacks offset"):
        load(path)


def test_inference_needs_neither_scikit_learn_nor_pandas() -> None:
    program = (
        "import sys; from classifier.model import load; load().classify(['x']); "
        "print(sorted({'sklearn', 'scipy', 'pandas', 'click'} & set(sys.modules)))"
    )
    path = os.pathsep.join([str(ROOT / "images"), str(ROOT / "images" / "base")])
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


# Training itself, on headlines made here: enough to see that it is repeatable and that its file is what load() reads.

TEMPLATES = {
    "positive": "{} beats estimates and raises {} guidance",
    "negative": "{} misses estimates and cuts {} outlook",
    "neutral": "{} to present {} at a conference",
}
NAMES = ["Acme", "Globex", "Initech", "Umbrella", "Hooli", "Stark", "Wayne", "Tyrell", "Cyberdyne", "Soylent"]


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    path = tmp_path / "made.csv"
    rows = [f"{text.format(a, b)},{label}" for label, text in TEMPLATES.items() for a in NAMES for b in NAMES[:4]]
    path.write_text("\n".join(["text,sentiment", *rows]) + "\n", encoding="utf-8")
    return path


def test_training_twice_gives_the_same_bytes_and_a_model_that_loads(labelled: Path, tmp_path: Path) -> None:
    for out in ("one", "two"):
        arguments = ["--train", str(labelled), "--valid", str(labelled), "--out", str(tmp_path / out)]
        training.main.main(arguments, standalone_mode=False)
    one, two = (tmp_path / out / WEIGHTS.name for out in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert load(one).classify(["Vandelay misses estimates and cuts its outlook"])[0][0] == "negative"
    assert json.loads(one.with_suffix(".scores.json").read_text())["valid"]["macro_f1"] == 1.0


def test_the_served_model_decides_as_the_trained_one(labelled: Path, tmp_path: Path) -> None:
    texts, labels = training.read_headlines(labelled)
    lexicon = training.read_lexicon()
    fitted = training.fit([headline.features(text, lexicon) for text in texts], labels)
    unchanged = (np.eye(3), np.zeros(3))
    path = tmp_path / "w.npz"
    np.savez_compressed(path, **training.pack(fitted, lexicon, unchanged, np.zeros(3)))
    served, _ = load(path).logits(texts)
    trained = training.decide(fitted, [headline.features(text, lexicon) for text in texts])
    assert np.abs(served - trained).max() < 0.01  # float16 weights


def test_an_unknown_label_in_the_training_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_text("text,sentiment\nup,happy\n", encoding="utf-8")
    with pytest.raises(Exception, match="unknown sentiment 'happy'"):
        training.read_headlines(path)


def test_a_word_of_two_kinds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.toml"
    path.write_text('up = "rise"\ndown = "rise"\n', encoding="utf-8")
    with pytest.raises(Exception, match="'rise' is both up and down"):
        training.read_lexicon(path)
