"""YAML that people write: what is kept as they meant it, and how each kind of mistake is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ops.document import Complaints, Document, DocumentInvalid, Mistake, load, remedy
from pipeline.errors import ConfigInvalid

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["steps"],
    "properties": {
        "steps": {"type": ["array", "string"], "description": "what is done"},
        "size": {"enum": ["small", "large"]},
        "count": {"type": "integer"},
        "times": {"type": "object", "propertyNames": {"pattern": "^\\d\\d:\\d\\d$", "description": "write 10:12"}},
    },
}


def loaded(folder: Path, text: str | bytes) -> Document:
    schema, path = folder / "shape.schema.json", folder / "it.yaml"
    schema.write_text(json.dumps(SCHEMA))
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(path, schema)


def complaints(folder: Path, text: str | bytes) -> list[str]:
    with pytest.raises(DocumentInvalid) as caught:
        loaded(folder, text)
    return [line.removeprefix(f"{folder / 'it.yaml'}:") for line in str(caught.value).splitlines()]


@pytest.mark.parametrize("text", ["10:12", "9:30", "23:59:59", "10:12.5"])
def test_a_time_without_quotes_stays_a_time(tmp_path: Path, text: str) -> None:
    assert loaded(tmp_path, f"steps: {text}").content == {"steps": text}


def test_numbers_dates_and_words_are_what_they_look_like(tmp_path: Path) -> None:
    steps = loaded(tmp_path, "steps: [3, 2.5, yes, 2026-01-26, null, 'null']").content["steps"]

    assert steps == [3, 2.5, True, "2026-01-26", None, "null"]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("size: small", 1, "'steps' is missing: what is done"),
        ("steps: []\nszie: small", 2, "unknown key 'szie'; did you mean 'size'? allowed: count, size, steps, times"),
        ("steps: []\nwholly: 1", 2, "unknown key 'wholly'; allowed: count"),
        ("steps: []\nsize: lrage", 2, "\"lrage\" is not allowed; did you mean 'large'? allowed: large, small"),
        ("steps: []\ncount: three", 2, '"three" is not a whole number'),
        ("steps: {}", 1, "{} is not a list or text; what is done"),
        ("steps: []\ntimes:\n  25:99: x\n  noon: y", 4, '"noon" does not fit; write 10:12'),
        ("steps: []\nsteps: []", 2, "'steps' stands twice; remove one"),
        ("? [a]\n: b", 1, "a key must be text"),
        ("steps: [", 1, "no YAML"),
        ("steps: []\n---\nsteps: []", 2, "no YAML"),
        ("steps: [\n'\x07']", 2, "a control character; remove it"),
        ("&a [*a]", 1, "nested without end"),
        ("# nothing", 1, "the file is empty; see shape.schema.json"),
    ],
)
def test_a_mistake_is_told_with_line_and_remedy(tmp_path: Path, text: str, line: int, says: str) -> None:
    assert any(told.startswith(f"{line}: ") and says in told for told in complaints(tmp_path, text)), complaints(
        tmp_path, text
    )


def test_every_missing_key_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SCHEMA, "required", ["steps", "count"])

    assert [told[:11] for told in complaints(tmp_path, "size: small")] == ["1: 'steps' ", "1: 'count' "]


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    assert "byte 7 is no UTF-8; save the file as UTF-8" in complaints(tmp_path, b"steps: \xff")[0]


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    assert loaded(tmp_path, b"\xef\xbb\xbfsteps: []").content == {"steps": []}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("listSchedules", "did you mean 'list_schedules'?"),
        ("list_scheduels", "did you mean 'list_schedules'?"),
        ("schedules", "did you mean 'list_schedules'?"),
        ("zzz", "allowed: create_rule, list_schedules"),
    ],
)
def test_the_name_that_was_meant_is_offered(name: str, says: str) -> None:
    assert remedy(name, ["list_schedules", "create_rule"]).startswith(says)


def test_a_long_list_of_what_is_allowed_is_cut_and_counted() -> None:
    assert remedy("zzz", [f"name{number:03}" for number in range(200)]).endswith("… (200 in all)")


def test_all_complaints_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    complaints = Complaints(loaded(tmp_path, "steps:\n  - a\n  - b: {c: 1}\ncount: 1"))
    with complaints.collecting("count"):
        raise ConfigInvalid("too few")
    with complaints.collecting("steps", 1):
        raise Mistake("no c", "b", "c")
    with complaints.collecting("steps", 0, also=(ValueError,)):
        raise ValueError("no a")

    with pytest.raises(DocumentInvalid) as caught:
        complaints.end()

    assert [line.split("it.yaml:")[1] for line in str(caught.value).splitlines()] == [
        "2: no a",
        "3: no c",
        "4: too few",
    ]


def test_without_a_complaint_nothing_is_raised(tmp_path: Path) -> None:
    complaints = Complaints(loaded(tmp_path, "steps: []"))
    with complaints.collecting("steps"):
        pass

    assert complaints.end() is None
