"""From news to sentiment: the checks between the model and the store."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier import model as models
from classifier.judging import Unclassified, judge

NOW = datetime(2026, 1, 26, 15, 0, tzinfo=UTC)
SYMBOLS = ("AAPL", "MSFT", "TSLA")


def news(number: int, title: str, summary: str = "") -> Unclassified:
    return Unclassified(id=number, title=title, summary=summary, published_at=NOW)


class Scripted:
    """A model that says what a title says: 'positive 0.5', or fails on 'poison'."""

    def classify(self, texts: Sequence[str]) -> list[tuple[str, float]]:
        if any("poison" in text for text in texts):
            raise ValueError("cannot take this")
        return [(text.split()[0], float(text.split()[1])) for text in texts]


def test_each_item_gets_label_score_and_the_tickers_of_title_and_summary() -> None:
    judged, failed = judge(Scripted(), [news(1, "positive 0.5 $AAPL", "Microsoft too")], SYMBOLS)
    assert not failed
    assert (judged[0].news_id, judged[0].label, judged[0].score) == (1, "positive", 0.5)
    assert (judged[0].tickers, judged[0].published_at) == (("AAPL", "MSFT"), NOW)


def test_one_item_that_the_model_cannot_take_keeps_no_other_from_its_sentiment() -> None:
    batch = [news(1, "positive 0.5"), news(2, "poison"), news(3, "negative -0.5")]
    judged, failed = judge(Scripted(), batch, SYMBOLS)
    assert [row.news_id for row in judged] == [1, 3]
    assert failed == {2: "ValueError: cannot take this"}


@pytest.mark.parametrize(
    "opinion",
    ["happy 0.5", "positive -0.5", "positive 0", "negative 0.5", "neutral 0.1", "positive 1.5", "positive nan"],
)
def test_an_opinion_that_contradicts_itself_is_a_failure_and_never_neutral(opinion: str) -> None:
    judged, failed = judge(Scripted(), [news(1, opinion)], SYMBOLS)
    assert judged == []
    assert list(failed) == [1]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.text(max_size=300), max_size=4))
def test_the_real_model_has_a_storable_opinion_on_any_text(titles: list[str]) -> None:
    judged, failed = judge(_MODEL, [news(n, title) for n, title in enumerate(titles)], SYMBOLS)
    assert not failed
    assert all(math.isfinite(row.score) and abs(row.score) <= 1 for row in judged)


_MODEL = models.load()
