"""Adds a service: a folder that runs as it is, its catalogue entry, a migration for its new tables and a real test."""

from __future__ import annotations

import importlib.util
import json
import keyword
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template

import click
import yaml

from pipeline import catalog
from pipeline.errors import PipelineError

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = Path(__file__).with_name("templates")
MIGRATIONS = Path("images", "base", "pipeline", "store", "migrations")
QUERIES = MIGRATIONS.with_name("queries")
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
# ops-pipeline-<name> and a suffix must fit the 64 characters that AWS gives the names of schedules and roles.
NAME_MAX = 40
# The purpose is a docstring line of 120 characters at most, a YAML value and a cell of the README's table.
PURPOSE_MAX = 100
RESERVED = {"base", "public", "none"}  # the shared image's folder; words that PostgreSQL takes for no role's name
_CREATED = re.compile(r"^create table (?:if not exists )?(\w+)", re.M)


class Refused(Exception):
    """What was asked for would overwrite or hide something that exists; the text names it."""


@dataclass(frozen=True, kw_only=True)
class NewService:
    """What was asked for, with the tables that no migration makes yet."""

    name: str
    purpose: str
    every: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    new_tables: tuple[str, ...]


@click.command()
@click.argument("name")
@click.option("--purpose", required=True, help='One sentence: "Counts the bars of each session."')
@click.option("--every", default="5 minutes", show_default=True, help='"1 minute", "5 minutes", "1 hour", …')
@click.option("--reads", default="", help="Tables that it reads, comma-separated.")
@click.option("--writes", default="", help="Tables that it writes, comma-separated; new ones get a migration.")
@click.option("--root", type=click.Path(exists=True, file_okay=False, path_type=Path), default=ROOT, hidden=True)
def main(name: str, purpose: str, every: str, reads: str, writes: str, root: Path) -> None:
    """Add service NAME (lower case, words joined by _).

    Exit codes: 0 done, 1 a file could not be written, 2 usage, 4 refused: the name is taken. Nothing is half-written.
    """
    try:
        service = _asked_for(name, purpose, every, _items(reads), _items(writes), root)
        _refuse_taken(name, root)
        before = (root / catalog.FILE_NAME).read_text(encoding="utf-8")
        text = before.rstrip("\n") + "\n" + catalog_entry(service)
        catalog.parse(yaml.safe_load(text), catalog.FILE_NAME)
    except (ValueError, PipelineError) as error:
        raise click.UsageError(str(error)) from error
    except Refused as refusal:
        click.echo(f"new-service: {refusal}", err=True)
        sys.exit(4)
    migration = migration_path(service, root)
    try:
        write(service, text, root)
    except OSError as error:
        click.echo(f"new-service: {error}; nothing was added", err=True)
        sys.exit(1)
    click.echo(_what_next(service, migration))


def _items(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _asked_for(
    name: str, purpose: str, every: str, reads: tuple[str, ...], writes: tuple[str, ...], root: Path
) -> NewService:
    """The request. Raises ValueError saying what is wrong with it and what would be right."""
    if not NAME.fullmatch(name) or len(name) > NAME_MAX:
        raise ValueError(f"{name!r} is not a name like bar_counter (lower case, at most {NAME_MAX} characters)")
    if not re.fullmatch(r"[A-Z].*\.", purpose):
        raise ValueError("--purpose must be a sentence: a capital first, a full stop last")
    if len(purpose) > PURPOSE_MAX or any(sign in purpose for sign in '"\\|`'):
        raise ValueError(f'--purpose must have at most {PURPOSE_MAX} characters, none of them " \\ | or `')
    known = tables(root)
    if unknown := [table for table in reads if table not in known + writes]:
        raise ValueError(f"--reads: no table {', '.join(unknown)}; there are: {', '.join(known)}")
    if wrong := [table for table in writes if not NAME.fullmatch(table)]:
        raise ValueError(f"--writes: {', '.join(wrong)} is not a table's name like bar_counts")
    return NewService(
        name=name,
        purpose=purpose,
        every=every,
        reads=reads,
        writes=writes,
        new_tables=tuple(table for table in writes if table not in known),
    )


def tables(root: Path) -> tuple[str, ...]:
    """The tables that the migrations make, in their order."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((root / MIGRATIONS).glob("*.sql"))]
    return tuple(table for text in texts for table in _CREATED.findall(text))


def _refuse_taken(name: str, root: Path) -> None:
    """Raises Refused where a folder, or a Python module that the service would hide, has the name already."""
    for path in (root / "images" / name, root / "tests" / "images" / name):
        if path.exists():
            raise Refused(f"{path.relative_to(root)} exists already; choose another name")
    if name in RESERVED or name.startswith("pg_") or keyword.iskeyword(name):
        raise Refused(f"{name} has a meaning in Python, PostgreSQL or this repository; choose another name")
    if importlib.util.find_spec(name):
        raise Refused(f"a Python module {name} exists already and would be hidden; choose another name")


def catalog_entry(service: NewService) -> str:
    """The service's lines of services.yaml."""
    dashed = service.name.replace("_", "-")
    lines = [
        f"\n  {service.name}:",
        f"    purpose: {_yaml(service.purpose)}",
        "    when_silent: Nobody has said yet what stops with it.",
        f"    schedule: ops-pipeline-{dashed}",
        f"    rate: {_yaml(f'rate({service.every})')}",
        f"    task_definition: {dashed}",
    ]
    listed = (("reads", service.reads), ("writes", service.writes))
    lines += [f"    {key}: [{', '.join(items)}]" for key, items in listed if items]
    return "\n".join(lines) + "\n"


def _yaml(text: str) -> str:
    """The text as a YAML value: bare where YAML reads it back as it is, else quoted."""
    try:
        bare = yaml.safe_load(f"key: {text}") == {"key": text}
    except yaml.YAMLError:
        bare = False
    return text if bare else json.dumps(text, ensure_ascii=False)


def write(service: NewService, catalog_text: str, root: Path) -> None:
    """Writes all the files, the catalogue last; takes back what it has written if it cannot write all."""
    with _undone_on_failure() as created:
        for folder in _folders(service, root):
            created.append(folder)
            folder.mkdir(parents=True)
        for template, target in _files(service, root):
            text = _filled(template, name=service.name, purpose=service.purpose)
            target.write_text(text, encoding="utf-8")
        if service.new_tables:
            created.append(root / migration_path(service, root))
            created[-1].write_text(migration_text(service), encoding="utf-8")
        created.append(root / f"{catalog.FILE_NAME}.new")
        created[-1].write_text(catalog_text, encoding="utf-8")
        created[-1].replace(root / catalog.FILE_NAME)


def _filled(template: str, **values: str) -> str:
    return Template((TEMPLATES / template).read_text(encoding="utf-8")).substitute(values)


def _folders(service: NewService, root: Path) -> list[Path]:
    return [root / "images" / service.name, root / "tests" / "images" / service.name]


def _files(service: NewService, root: Path) -> list[tuple[str, Path]]:
    """Each template with the file that it becomes. No library is asked for yet, so the lock file is empty."""
    folder, test = _folders(service, root)
    return [
        ("init.py.txt", folder / "__init__.py"),
        ("main.py.txt", folder / "__main__.py"),
        ("Dockerfile.txt", folder / "Dockerfile"),
        ("requirements.in.txt", folder / "requirements.in"),
        ("requirements.txt.txt", folder / "requirements.txt"),
        ("test.py.txt", test / f"test_{service.name}.py"),
    ]


@contextmanager
def _undone_on_failure() -> Iterator[list[Path]]:
    """Yields a list for the paths that its body is about to make; removes them all if the body raises."""
    made: list[Path] = []
    with ExitStack() as undo:
        undo.callback(_remove, made)
        yield made
        undo.pop_all()


def _remove(paths: list[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def migration_path(service: NewService, root: Path) -> Path:
    """The next migration, from `root`; their numbers run without a gap."""
    number = len(list((root / MIGRATIONS).glob("*.sql"))) + 1
    return MIGRATIONS / f"{number:04d}_{service.name}.sql"


def migration_text(service: NewService) -> str:
    """A beginning for the service's own tables that runs as it is."""
    return "\n".join(_filled("migration.sql.txt", table=table, name=service.name) for table in service.new_tables)


def _what_next(service: NewService, migration: Path) -> str:
    name = service.name
    added = [
        (f"images/{name}/", "the service; its work goes into __main__.py and pure modules beside it"),
        (catalog.FILE_NAME, "its entry; say in when_silent what stops without it"),
        (f"tests/images/{name}/", "a test that runs it for real"),
    ]
    if service.new_tables:
        added.append((str(migration), f"makes {', '.join(service.new_tables)}; give it its columns"))
    regenerate = [("make docs", "the README's table")]
    if service.new_tables:
        regenerate.append(("make schema", "the healthcheck's expectation; again after each edit of the migration"))
    steps = [
        *regenerate,
        (f"make test ONLY=tests/images/{name}", "its own test"),
        ("make check test", "everything"),
    ]
    later = [
        (f"{QUERIES}/{name}/", "where its SQL goes, a statement a file"),
        ("make lock", "after adding a library to its requirements.in and to pyproject.toml"),
    ]
    return "\n".join([f"added {name}:", *_listed(added), "next:", *_listed(steps), "later:", *_listed(later)])


def _listed(pairs: list[tuple[str, str]]) -> list[str]:
    """Two columns; what is too long for the first has a line of its own."""
    return [f"  {left}\n{'':40}{right}" if len(left) > 36 else f"  {left:<36}  {right}" for left, right in pairs]


if __name__ == "__main__":
    main()
