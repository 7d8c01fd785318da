"""What a stored text must be to be a value of its parameter, as far as kind and initial value tell."""

from __future__ import annotations

import pytest

from pipeline import catalog
from pipeline.errors import ConfigInvalid
from pipeline.settings import read, require_usable

DECLARED = catalog.load().parameters
LIMITS = DECLARED["dispatch_limits"].initial or ""


@pytest.mark.parametrize("name", [name for name, each in DECLARED.items() if not each.secret])
def test_every_initial_value_is_usable(name: str) -> None:
    require_usable(DECLARED[name], DECLARED[name].initial or "")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("dispatch_limits", "mode: SIMULATED", "not JSON"),
        ("dispatch_limits", '{"mode": "SIMULATED"', "not JSON"),
        ("dispatch_limits", '{"mode": "SIMULATED"}', "missing key sides"),
        ("dispatch_limits", LIMITS.replace('"sides"', '"side"'), "unknown key side"),
        ("dispatch_limits", LIMITS.replace("0.70", '"0.70"'), "confidence_min is"),
        ("rss_feeds", "[]", "at least one item"),
        ("rss_feeds", '{"a": 1}', "expected a JSON array"),
        ("tickers", "AAPL,MSFT,", "is blank"),
        ("tickers", "AAPL,msft", "is no symbol"),
        ("alpaca_data_feed", "  ", "missing or blank"),
    ],
)
def test_what_cannot_be_its_value_is_refused_by_name(name: str, text: str, words: str) -> None:
    with pytest.raises(ConfigInvalid, match=rf"(?=.*parameter {name})(?=.*{words})"):
        require_usable(DECLARED[name], text)


@pytest.mark.parametrize(("name", "code"), [("tickers", "ticker_config"), ("rss_feeds", "config_invalid")])
def test_a_blank_text_has_the_code_of_its_kind(name: str, code: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        require_usable(DECLARED[name], " ")
    assert refused.value.code == code
    ingestor, feeds = catalog.load().writers("bars")[0], catalog.load().writers("news")[0]
    service = ingestor if name == "tickers" else feeds
    environment = {parameter.env: " " if parameter.name == name else "x" for parameter in service.environment}
    with pytest.raises(ConfigInvalid) as refused:
        read(environment, service)
    assert refused.value.code == code
