"""Parameters are parsed strictly: what is malformed stops the run and names itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import catalog, settings
from pipeline.errors import ConfigInvalid
from pipeline.settings import Secret

KEYS = {"mode": str, "confidence_min": (int, float)}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("AAPL,MSFT,", "item 3 of 3 is blank"),
        ("AAPL,,MSFT", "item 2"),
        ("", "blank"),
        ("aapl", "'aapl'"),
        ("AAPL,MSFT,AAPL", "AAPL more than once"),
        ("AAPL;MSFT", "'AAPL;MSFT'"),
        ('["AAPL"]', "no symbol"),
    ],
)
def test_a_malformed_list_of_symbols_is_refused(text, named):
    with pytest.raises(ConfigInvalid, match=named):
        settings.parse_symbols(text)


def test_symbols_keep_their_order_and_lose_their_blanks():
    assert settings.parse_symbols(" MSFT, AAPL ,BRK.B") == ("MSFT", "AAPL", "BRK.B")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("mode: SIMULATED\nconfidence_min: 0.7", "not JSON"),
        ('{"mode": "SIMULATED", "confid', "not JSON"),
        ('{"mode": "SIMULATED", "confidence_min": 0.7,}', "not JSON"),
        ('{"mode": "SIMULATED", "confidence_min": 0.7, "max": 1}', "unknown key max"),
        ('{"mode": "SIMULATED"}', "missing key confidence_min"),
        ('{"mode": "SIMULATED", "confidence_min": "0.7"}', "confidence_min"),
        ('{"mode": "SIMULATED", "confidence_min": true}', "confidence_min"),
        ('{"mode": "SIMULATED", "confidence_min": NaN}', "NaN"),
        ('{"mode": "A", "mode": "B", "confidence_min": 1}', "twice"),
        ("[]", "JSON object"),
    ],
)
def test_a_malformed_object_is_refused(text, named):
    with pytest.raises(ConfigInvalid, match=named):
        settings.parse_object(text, KEYS, where="limits")


@pytest.mark.parametrize("text", ["[]", '"https://a.example/rss"', '["ftp://a.example/x"]', '["https://"]', "[1]"])
def test_a_malformed_list_of_feeds_is_refused(text):
    with pytest.raises(ConfigInvalid):
        settings.parse_urls(text)


def test_every_missing_variable_is_named_at_once():
    service = catalog.load()["telemetry_ingestor"]
    with pytest.raises(ConfigInvalid, match=r"TICKERS.*ALPACA_KEY_ID.*ALPACA_SECRET_KEY") as raised:
        settings.read({"ALPACA_DATA_FEED": "iex", "TICKERS": "  "}, service)
    assert "ALPACA_DATA_FEED" not in str(raised.value)


@given(st.text(min_size=1))
def test_a_secret_never_shows_itself(text):
    secret = Secret(text)
    assert secret.reveal() == text
    assert repr(secret) == str(secret) == f"{secret}" == "***"


def test_a_fingerprint_tells_two_values_apart_without_telling_them():
    assert settings.fingerprint("PKONE") != settings.fingerprint("PKTWO")
    assert "PKONE" not in settings.fingerprint("PKONE")
