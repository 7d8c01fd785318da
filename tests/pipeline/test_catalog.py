"""The catalogue's reader refuses what the schema refuses, and names the entry at fault."""

import copy
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema
import pytest
import yaml

from pipeline import catalog
from pipeline.errors import ConfigInvalid

ROOT = Path(__file__).resolve().parents[2]
RAW = yaml.safe_load((ROOT / "services.yaml").read_text())
SCHEMA = jsonschema.Draft202012Validator(json.loads((ROOT / "services.schema.json").read_text()))


def test_the_catalogue_fits_its_schema():
    SCHEMA.validate(RAW)


def test_the_eight_services_come_in_the_order_in_which_a_row_meets_them():
    assert [s.schedule for s in catalog.load()][:8] == [
        "ops-pipeline-telemetry-ingestor-1m",
        "ops-pipeline-feature-computer-1m",
        "ops-pipeline-rss-ingest",
        "ops-pipeline-classifier",
        "ops-pipeline-watchlist-engine-5m",
        "ops-pipeline-signal-engine-1m",
        "ops-pipeline-dispatcher",
        "ops-pipeline-healthcheck-5m",
    ]


def changed(path: str, value: object) -> dict:
    raw = copy.deepcopy(RAW)
    *folders, key = path.split("/")
    at = raw
    for folder in folders:
        at = at[folder]
    if value is None:
        del at[key]
    else:
        at[key] = value
    return raw


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("services/dispatcher/retrys", 0),
        ("services/dispatcher/rate", "rate(1 minutes)"),
        ("services/dispatcher/rate", "every minute"),
        ("services/dispatcher/schedule", None),
        ("defaults/cpu", None),
        ("defaults/timeout", 3),
        ("parameters/tickers/kind", None),
        ("secrets/alpaca_key_id/initial", "PKREAL"),
        ("cluster", None),
    ],
)
def test_reader_and_schema_refuse_alike(path, value):
    raw = changed(path, value)
    assert not SCHEMA.is_valid(raw)
    with pytest.raises(ConfigInvalid) as raised:
        catalog.parse(raw)
    assert any(part in str(raised.value) for part in path.split("/")), raised.value


def test_a_deadline_as_long_as_the_period_is_refused():
    with pytest.raises(ConfigInvalid, match=r"dispatcher.deadline_seconds: 60"):
        catalog.parse(changed("services/dispatcher/deadline_seconds", 60))


def test_two_services_under_one_schedule_are_refused():
    with pytest.raises(ConfigInvalid, match="telemetry_ingestor's already"):
        catalog.parse(changed("services/dispatcher/schedule", "ops-pipeline-telemetry-ingestor-1m"))


def test_an_undeclared_parameter_is_refused():
    with pytest.raises(ConfigInvalid, match="symbols not declared"):
        catalog.parse(changed("services/classifier/parameters", ["symbols"]))


def test_an_unknown_service_is_refused_with_the_known_ones():
    with pytest.raises(ConfigInvalid, match=r"no service 'ingestor'.*telemetry_ingestor"):
        catalog.load()["ingestor"]


def test_text_that_is_not_yaml_is_refused(tmp_path):
    (tmp_path / "services.yaml").write_text("services: [")
    with pytest.raises(ConfigInvalid, match="not YAML"):
        catalog.load(tmp_path / "services.yaml")


def test_a_period_is_what_the_rate_says():
    assert catalog.load()["classifier"].period == timedelta(minutes=5)


def test_a_service_rests_until_the_instant_that_its_entry_names():
    resting = catalog.parse(changed("services/classifier/paused_until", "2026-02-01"))["classifier"]
    assert resting.is_paused(datetime(2026, 1, 31, 23, 59, tzinfo=UTC))
    assert not resting.is_paused(datetime(2026, 2, 1, tzinfo=UTC))
    assert not catalog.load()["classifier"].is_paused(datetime(2026, 1, 31, tzinfo=UTC))


@pytest.mark.parametrize("text", ["tomorrow", "2026-02-01T15:00:00", 20260201])
def test_a_pause_without_a_certain_end_is_refused(text):
    with pytest.raises(ConfigInvalid, match=r"classifier\.paused_until"):
        catalog.parse(changed("services/classifier/paused_until", text))
