"""Tickers are found where they are meant, and ordinary words are left alone."""

import csv

import pytest

from classifier.tickers import COMPANIES, companies, find_tickers

DEFAULTS = ["AAPL", "MSFT", "TSLA", "GOOGL", "AMZN", "META", "NVDA"]
MORE = [*DEFAULTS, "ALL", "IT", "A", "ON", "AIG", "BAC", "IBM", "SPY", "BRK.B", "CAT"]


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("$TSLA - deliveries up", ["TSLA"]),
        ("bullish on $aapl, and $msft.", ["AAPL", "MSFT"]),
        ("NVDA rallies (NASDAQ: MSFT)", ["MSFT", "NVDA"]),
        ("AAPL.O closes higher", ["AAPL"]),
        ("Apple's new phone", ["AAPL"]),
        ("Microsoft/Google deal", ["MSFT", "GOOGL"]),
        ("Alphabet and Meta Platforms report", ["GOOGL", "META"]),
        ("Facebook fined", ["META"]),
        ("Bank of America, AIG and IBM-led group", ["AIG", "BAC", "IBM"]),
        ("$BRK.B or BRK.B or $BRK-B", ["BRK.B"]),
        ("AIG, BAC", ["AIG", "BAC"]),
    ],
)
def test_a_ticker_is_found_however_it_is_written(title: str, expected: list[str]) -> None:
    assert find_tickers(title, "", MORE) == expected


@pytest.mark.parametrize(
    "title",
    [
        "IT spending is ON the rise for ALL; A new plan",
        "An apple a day",
        "Apple pie season opens",
        "Best apple-pie recipes",
        "Amazon rainforest burns",
        "Meta-analysis of 40 trials",
        "New York, the Big Apple",
        "Pineapple exports",
        "MSFTX and XAAPL are nobody",
        "Read https://example.com/AAPL/Tesla",
        "US$A and R&D",
        "@Tesla",
        "",
    ],
)
def test_a_word_that_only_looks_like_a_ticker_is_left_alone(title: str) -> None:
    assert find_tickers(title, "", MORE) == []


def test_an_ordinary_word_counts_with_a_cashtag_or_an_exchange() -> None:
    assert find_tickers("$ALL and NYSE:A", "", MORE) == ["ALL", "A"]


def test_a_headline_in_capitals_is_read_by_names_and_by_symbols_that_are_no_words() -> None:
    assert find_tickers("APPLE AND NVDA BEAT, A CAT WAS FOUND", "", MORE) == ["AAPL", "NVDA"]


def test_amazon_that_fires_workers_is_the_company_and_fires_that_rage_are_not() -> None:
    assert find_tickers("Amazon fires 20 workers", "", DEFAULTS) == ["AMZN"]
    assert find_tickers("Amazon fires rage in Brazil", "", DEFAULTS) == []


def test_a_decoy_does_not_hide_the_company_elsewhere_in_the_text() -> None:
    assert find_tickers("Apple pie day at Apple", "", DEFAULTS) == ["AAPL"]


def test_only_symbols_of_the_list_are_returned_in_its_order_and_once() -> None:
    assert find_tickers("Tesla, Apple, TSLA, $TSLA and Microsoft", "", ["TSLA", "AAPL", "TSLA"]) == ["TSLA", "AAPL"]
    assert find_tickers("Tesla and Apple", "", []) == []


def test_the_summary_is_read_too() -> None:
    assert find_tickers("Big day for chips", "Shares of NVIDIA rose", DEFAULTS) == ["NVDA"]


def test_odd_text_is_read_without_complaint() -> None:
    for text in ("😀", "\ud800", "$" * 10_000, "Apple " * 20_000, "AAPL" * 25_000):
        find_tickers(text, text, DEFAULTS)


def test_the_table_names_the_defaults_and_a_hundred_large_companies() -> None:
    named = {symbol for symbol, _ in companies() if symbol}
    assert {*DEFAULTS, "AIG", "BAC", "IBM", "SPY"} <= named
    assert len(named) >= 100


def test_no_row_of_the_table_is_empty_or_doubled() -> None:
    with COMPANIES.open(encoding="utf-8", newline="") as file:
        rows = [tuple(row) for row in csv.reader(file)][1:]
    assert all(len(row) == 2 and row[1] for row in rows)
    assert len(set(rows)) == len(rows)
