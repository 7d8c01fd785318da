"""From news to sentiment: what the model says, checked, and whom it is about. A model's error is never an opinion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from classifier.tickers import find_tickers
from pipeline.rows import Label, Sentiment

# What numpy and text handling raise on input they cannot take; anything else is a bug and ends the run.
MODEL_ERRORS = (ArithmeticError, LookupError, TypeError, ValueError)


class Model(Protocol):
    """What a model must be able to do; score is −1 … 1, its sign that of the label."""

    def classify(self, texts: Sequence[str]) -> list[tuple[str, float]]: ...


@dataclass(frozen=True, kw_only=True)
class Unclassified:
    """The part of a news row that is judged. The model has learned from headlines, so it is given the title alone."""

    id: int
    title: str
    summary: str
    published_at: datetime


def judge(model: Model, news: Sequence[Unclassified], symbols: Sequence[str]) -> tuple[list[Sentiment], dict[int, str]]:
    """(sentiments, news id → reason): one item that the model cannot take keeps none of the others from theirs."""
    try:
        opinions = model.classify([item.title for item in news])
    except MODEL_ERRORS as error:
        if len(news) == 1:
            return [], {news[0].id: f"{type(error).__name__}: {error}"}
        return _one_by_one(model, news, symbols)
    sentiments: list[Sentiment] = []
    failures: dict[int, str] = {}
    for item, (label, score) in zip(news, opinions, strict=True):
        if reason := _implausible(label, score):
            failures[item.id] = reason
        else:
            sentiments.append(_sentiment(item, Label(label), score, symbols))
    return sentiments, failures


def _one_by_one(
    model: Model, news: Sequence[Unclassified], symbols: Sequence[str]
) -> tuple[list[Sentiment], dict[int, str]]:
    sentiments: list[Sentiment] = []
    failures: dict[int, str] = {}
    for item in news:
        judged, failed = judge(model, [item], symbols)
        sentiments += judged
        failures |= failed
    return sentiments, failures


def _implausible(label: str, score: float) -> str | None:
    """Why the store must not have this opinion, None when it may."""
    directions = {Label.NEGATIVE: -1, Label.NEUTRAL: 0, Label.POSITIVE: 1}
    if label not in directions:
        return f"label {label!r} is unknown"
    if not math.isfinite(score) or abs(score) > 1:
        return f"score {score} is not within −1 … 1"
    if (score > 0) - (score < 0) != directions[Label(label)]:
        return f"score {score} does not go with {label}"
    return None


def _sentiment(item: Unclassified, label: Label, score: float, symbols: Sequence[str]) -> Sentiment:
    return Sentiment(
        news_id=item.id,
        published_at=item.published_at,
        label=label,
        score=score,
        tickers=tuple(find_tickers(item.title, item.summary, symbols)),
    )
