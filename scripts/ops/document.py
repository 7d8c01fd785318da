"""YAML files that people write, checked against a schema; every complaint names file, line and remedy."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import yaml

from pipeline.errors import PipelineError

Place = tuple[str | int, ...]
PLAIN = ("str", "int", "float", "bool", "null")
KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}
ALLOWED_SHOWN = 400


class DocumentInvalid(PipelineError):
    """A file that cannot be used as it is: `file:line: what is wrong; what would do`, a line each."""


class Mistake(PipelineError):
    """Something wrong in one part of a document, for `Complaints.collecting`; `place` leads on from that part."""

    def __init__(self, text: str, *place: str | int) -> None:
        super().__init__(text)
        self.place = place


@dataclass(frozen=True, kw_only=True)
class Document:
    """What a file holds, and on which line each part of it begins (from 1)."""

    path: Path
    content: Any
    lines: Mapping[Place, int]

    def line(self, *place: str | int) -> int:
        """The line of a part, or of the nearest part that holds it."""
        while place not in self.lines and place:
            place = place[:-1]
        return self.lines.get(place, 1)

    def wrong(self, text: str, *place: str | int) -> DocumentInvalid:
        """An error at a part."""
        return DocumentInvalid(f"{self.path}:{self.line(*place)}: {text}")


class Complaints:
    """All that is wrong with a document, so that one run tells it all."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.found: list[tuple[int, str]] = []

    def add(self, text: str, *place: str | int) -> None:
        """Something wrong at a part."""
        self.found.append((self.document.line(*place), text))

    @contextmanager
    def collecting(self, *place: str | int, also: tuple[type[Exception], ...] = ()) -> Iterator[None]:
        """Turns a PipelineError (or one of `also`) of the block into a complaint about a part."""
        kinds: tuple[type[Exception], ...] = (PipelineError, *also)
        try:
            yield
        except Mistake as error:
            self.add(str(error), *place, *error.place)
        except kinds as error:
            self.add(str(error), *place)

    def end(self) -> None:
        """Raises DocumentInvalid with all complaints in the file's order, where there are any."""
        if self.found:
            told = dict.fromkeys(
                f"{self.document.path}:{line}: {text}" for line, text in sorted(self.found, key=lambda told: told[0])
            )
            raise DocumentInvalid("\n".join(told))


def remedy(name: str, known: Iterable[str]) -> str:
    """What to write in the place of an unknown name: the nearest known one, and all of them."""
    names = sorted(known)
    near = _nearest(name, names)
    listed = ", ".join(names)
    if len(listed) > ALLOWED_SHOWN:
        listed = f"{listed[:ALLOWED_SHOWN].rpartition(', ')[0]} … ({len(names)} in all)"
    allowed = f"allowed: {listed}" if names else "none is allowed here"
    return f"did you mean {near!r}? {allowed}" if near else allowed


def _nearest(name: str, names: list[str]) -> str | None:
    """The name meant: alike but for its spelling, else the one that it begins or that begins it."""
    folded = {re.sub(r"[-_ ]", "", each).lower(): each for each in reversed(names)}
    key = re.sub(r"[-_ ]", "", name).lower()
    if close := difflib.get_close_matches(key, folded, n=1, cutoff=0.6):
        return folded[close[0]]
    return next((folded[each] for each in sorted(folded) if key and (each.startswith(key) or key in each)), None)


def load(path: Path, schema: Path) -> Document:
    """Reads a YAML file and checks it. Raises DocumentInvalid, with all that the schema has against it."""
    document = read(path, schema.name)
    complaints = Complaints(document)
    for place, text in _complaints(document.content, schema):
        complaints.add(text, *place)
    complaints.end()
    return document


def read(path: Path, shape: str) -> Document:
    """Reads a YAML file; `shape` tells where it is described. Raises DocumentInvalid for what is no YAML."""
    lines: dict[Place, int] = {}
    try:
        node = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
        if node is None:
            raise DocumentInvalid(f"{path}:1: the file is empty; see {shape} for what it may hold")
        return Document(path=path, content=_content(path, node, (), lines), lines=lines)
    except OSError as error:
        raise DocumentInvalid(f"{path}: {error.strerror}; give a file that can be read") from error
    except UnicodeDecodeError as error:
        raise DocumentInvalid(f"{path}: byte {error.start} is no UTF-8; save the file as UTF-8") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise DocumentInvalid(f"{path}:{line}: no YAML: {error.problem}; check indentation and quotes") from error
    except yaml.reader.ReaderError as error:
        line = path.read_text(encoding="utf-8-sig")[: error.position].count("\n") + 1
        raise DocumentInvalid(f"{path}:{line}: no YAML: a control character; remove it") from error
    except RecursionError as error:
        raise DocumentInvalid(
            f"{path}:1: nested without end (an alias within its own anchor?); write it out"
        ) from error


def _content(path: Path, node: yaml.Node, place: Place, lines: dict[Place, int]) -> Any:
    """A node as plain values; dates stay text. Keys are text and may stand only once."""
    lines[place] = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        return [_content(path, item, (*place, index), lines) for index, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise DocumentInvalid(f"{path}:{key.start_mark.line + 1}: a key must be text, not a list or a mapping")
            name = str(key.value)
            if name in found:
                raise DocumentInvalid(f"{path}:{key.start_mark.line + 1}: {name!r} stands twice; remove one")
            found[name] = _content(path, value, (*place, name), lines)
            lines[(*place, name)] = key.start_mark.line + 1
        return found
    kind = node.tag.rsplit(":", 1)[-1]
    # YAML 1.1 takes 10:12 for a number in base 60; whoever writes it means a time.
    if kind not in PLAIN or (kind in ("int", "float") and ":" in node.value):
        return node.value
    try:
        return yaml.SafeLoader("").construct_object(node)
    except ValueError:
        return node.value


def _complaints(content: Any, schema: Path) -> Iterator[tuple[Place, str]]:
    """(place, text) of each part that the schema does not allow."""
    validator = jsonschema.Draft202012Validator(json.loads(schema.read_text(encoding="utf-8")))
    for error in validator.iter_errors(content):
        # Where alternatives are allowed, the one that came nearest says more than "not valid under any".
        yield from _told(jsonschema.exceptions.best_match([error]) or error)


def _told(error: Any) -> Iterator[tuple[Place, str]]:
    """One error of the schema's in words, with what would do."""
    place: Place = tuple(error.absolute_path)
    if error.validator == "additionalProperties" and error.validator_value is False:
        for name, text in _unknown_keys(error):
            yield (*place, name), text
        return
    if "propertyNames" in error.absolute_schema_path:
        place = (*place, error.instance)
    yield place, _words(error)


def _unknown_keys(error: Any) -> Iterator[tuple[str, str]]:
    """Each key that is not allowed, and what is."""
    known, patterns = error.schema.get("properties", {}), error.schema.get("patternProperties", {})
    for name in error.instance:
        if name not in known and not any(re.search(pattern, name) for pattern in patterns):
            yield name, f"unknown key {name!r}; {remedy(name, known)}"


def _words(error: Any) -> str:
    description = error.schema.get("description") if isinstance(error.schema, dict) else None
    after = f"; {description}" if description else ""
    found = shown(error.instance)
    if error.validator == "required":
        missing = error.message.removesuffix(" is a required property").strip("'")
        about = error.schema.get("properties", {}).get(missing, {}).get("description")
        return f"{missing!r} is missing" + (f": {about}" if about else after)
    if error.validator == "enum":
        return f"{found} is not allowed; {remedy(str(error.instance), map(str, error.validator_value))}"
    if error.validator == "type":
        wanted = [error.validator_value] if isinstance(error.validator_value, str) else error.validator_value
        quote = "; put it in quotes" if wanted == ["string"] and isinstance(error.instance, int | float) else ""
        return f"{found} is not {' or '.join(KINDS[kind] for kind in wanted)}{quote}{after}"
    if error.validator == "pattern":
        return f"{found} does not fit{after}"
    return f"{error.message:.300}{after}"


def shown(value: Any) -> str:
    """A value as it is written, cut short."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"
