"""What the synthetic market's newspapers write: bursts of strong headlines on a move, neutral chatter otherwise."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from ops.local.exchange.market import Headline

FEEDS = ("wire", "desk")

COMPANIES = {
    "AAPL": "Apple",
    "MSFT": "Microsoft",
    "TSLA": "Tesla",
    "GOOGL": "Alphabet",
    "AMZN": "Amazon",
    "META": "Meta Platforms",
    "NVDA": "Nvidia",
}

GOOD = (
    "{company} beats earnings estimates and raises full-year guidance",
    "{company} shares jump after strong quarterly earnings beat expectations",
    "{company} stock price target raised to ${target} from ${price} at {bank}",
    "{company} upgraded to buy at {bank} on strong demand",
    "${symbol} shares surge as {company} raises its outlook",
    "{company} stock rallies to a record high on strong sales growth",
    "{company} profit tops estimates; shares gain",
    "{company} upgraded to outperform from neutral at {bank}",
)
BAD = (
    "{company} misses earnings estimates and cuts full-year guidance",
    "{company} shares tumble after weak quarterly results",
    "{company} stock price target cut to ${target} from ${price} at {bank}",
    "{company} downgraded to sell at {bank} on weak demand",
    "${symbol} shares plunge as {company} cuts its outlook",
    "{company} stock falls to a low on slumping sales",
    "{company} profit misses estimates; shares drop",
    "{company} downgraded to underperform from neutral at {bank}",
)
NEUTRAL = (
    "{company} to present at the {bank} technology conference",
    "{company} schedules its annual meeting of shareholders",
    "{company} earnings call transcript",
    "{company} files its quarterly report with the SEC",
    "{company} names a new head of human resources",
    "Notable insider filings: {company} and others",
)
GENERAL = (
    "Stocks to watch today",
    "What the calendar holds for markets this week",
    "Treasury announces the schedule of its next auctions",
    "How index funds rebalance: an explainer",
)
BANKS = ("Morgan Stanley", "Goldman Sachs", "Barclays", "Citi", "Deutsche Bank", "Wells Fargo", "UBS", "Evercore")
SUMMARIES = {
    1: "The report lifted {company} ({symbol}) and sent the shares higher in heavy trading.",
    -1: "The report weighed on {company} ({symbol}) and sent the shares lower in heavy trading.",
    0: "No figures were given.",
}


@dataclass(frozen=True, kw_only=True)
class Event:
    """News that moves one symbol: from minute `start` of the session for `minutes`, up (1) or down (−1)."""

    symbol: str
    start: int
    minutes: int
    direction: int


def company_of(symbol: str) -> str:
    """A name for any symbol (made up for those outside the default seven)."""
    return COMPANIES.get(symbol, f"{symbol} Holdings")


def burst(event: Event, opens: datetime, price: float, dice: np.random.Generator) -> list[Headline]:
    """Three to six headlines within about six minutes; every second one also runs on the other feed, reworded."""
    texts = dice.permutation(np.array(GOOD if event.direction > 0 else BAD))[: int(dice.integers(3, 7))]
    at = opens + timedelta(minutes=event.start)
    found: list[Headline] = []
    for number, text in enumerate(texts.tolist()):
        at += timedelta(seconds=int(dice.integers(20, 75)))
        found.append(_written(text, event.symbol, event.direction, at, FEEDS[number % 2], price, dice))
        if number % 2 == 0:
            found.append(_copied(found[-1], at + timedelta(seconds=int(dice.integers(10, 120)))))
    return found


def chatter(symbols: tuple[str, ...], opens: datetime, minutes: int, dice: np.random.Generator) -> list[Headline]:
    """Neutral items through the day: about one a quarter of an hour, some on no company at all."""
    found: list[Headline] = []
    for minute in range(0, minutes, 15):
        at = opens + timedelta(minutes=minute, seconds=int(dice.integers(0, 900)))
        feed = FEEDS[int(dice.integers(len(FEEDS)))]
        if dice.random() < 0.25:
            text = GENERAL[int(dice.integers(len(GENERAL)))]
            found.append(_item(text, SUMMARIES[0], None, at, feed))
        else:
            symbol = symbols[int(dice.integers(len(symbols)))]
            text = NEUTRAL[int(dice.integers(len(NEUTRAL)))]
            found.append(_written(text, symbol, 0, at, feed, 100.0, dice))
    return found


def _written(
    text: str, symbol: str, direction: int, at: datetime, feed: str, price: float, dice: np.random.Generator
) -> Headline:
    words = {
        "company": company_of(symbol),
        "symbol": symbol,
        "bank": BANKS[int(dice.integers(len(BANKS)))],
        "price": f"{price:.0f}",
        "target": f"{price * (1 + 0.15 * direction):.0f}",
    }
    return _item(text.format(**words), SUMMARIES[direction].format(**words), symbol, at, feed)


def _item(title: str, summary: str, symbol: str | None, at: datetime, feed: str) -> Headline:
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    link = f"https://{feed}.example.com/{at:%Y/%m/%d/%H%M%S}-{slug[:60]}"
    return Headline(published_at=at, title=title, summary=summary, link=link, feeds=(feed,), symbol=symbol)


def _copied(item: Headline, at: datetime) -> Headline:
    """The same story on the other feed: another link, the title almost the same."""
    other = FEEDS[1 - FEEDS.index(item.feeds[0])]
    return _item(item.title.replace(" and ", " & ") + " - report", item.summary, item.symbol, at, other)
