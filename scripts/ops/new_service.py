"""Adds a service: a folder that runs as it is, its catalogue entry and a test that runs it against a real database."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from string import Template

import click

from pipeline import catalog
from pipeline.errors import PipelineError

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = Path(__file__).with_name("templates")
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


@click.command()
@click.argument("name")
@click.option("--purpose", required=True, help='One sentence: "Counts the bars of each session."')
@click.option("--every", default="5 minutes", show_default=True, help='"1 minute", "5 minutes", "1 hour", …')
@click.option("--reads", default="", help="Tables that it reads, comma-separated.")
@click.option("--writes", default="", help="Tables that it writes, comma-separated.")
@click.option("--root", type=click.Path(exists=True, file_okay=False, path_type=Path), default=ROOT, hidden=True)
def main(name: str, purpose: str, every: str, reads: str, writes: str, root: Path) -> None:
    """Add service NAME (lower case, words joined by _). Exit codes: 0 done, 2 usage, 4 refused: it exists already."""
    if not NAME.fullmatch(name):
        raise click.UsageError(f"{name!r} is not a name like bar_counter")
    if not re.fullmatch(r"[A-Z].*\.", purpose):
        raise click.UsageError("--purpose must be a sentence: a capital first, a full stop last")
    folder, test = root / "images" / name, root / "tests" / "images" / name
    if taken := [path for path in (folder, test) if path.exists()]:
        click.echo(f"new-service: {taken[0].relative_to(root)} exists already; choose another name", err=True)
        sys.exit(4)
    before = (root / catalog.FILE_NAME).read_text(encoding="utf-8")
    entry = catalog_entry(name, purpose, every, _items(reads), _items(writes))
    try:
        extended(before + entry, root)
    except PipelineError as error:
        raise click.UsageError(str(error)) from error
    _write(folder, test, name, purpose)
    (root / catalog.FILE_NAME).write_text(before.rstrip("\n") + "\n" + entry, encoding="utf-8")
    click.echo(f"""added {name}:
  images/{name}/        the service; its work goes into __main__.py and pure modules beside it
  {catalog.FILE_NAME}          its entry: rate, tables, parameters (grants follow from it)
  tests/images/{name}/  a test that runs it for real
next:
  make lock docs        its lock file, the README's table
  make check test""")


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def catalog_entry(name: str, purpose: str, every: str, reads: list[str], writes: list[str]) -> str:
    """The service's lines of services.yaml."""
    dashed = name.replace("_", "-")
    lines = [
        f"\n  {name}:",
        f"    purpose: {purpose}",
        "    when_silent: Nobody has said yet what stops with it.",
        f"    schedule: ops-pipeline-{dashed}",
        f"    rate: rate({every})",
        f"    task_definition: {dashed}",
    ]
    lines += [f"    {key}: [{', '.join(items)}]" for key, items in (("reads", reads), ("writes", writes)) if items]
    return "\n".join(lines) + "\n"


def extended(text: str, root: Path) -> catalog.Catalog:
    """The catalogue with the new entry. Raises ConfigInvalid where it does not hold."""
    import yaml

    return catalog.parse(yaml.safe_load(text), str(root / catalog.FILE_NAME))


def _write(folder: Path, test: Path, name: str, purpose: str) -> None:
    values = {"name": name, "purpose": purpose}
    folder.mkdir(parents=True)
    test.mkdir(parents=True)
    for template, target in (
        ("init.py.txt", folder / "__init__.py"),
        ("main.py.txt", folder / "__main__.py"),
        ("Dockerfile.txt", folder / "Dockerfile"),
        ("requirements.in.txt", folder / "requirements.in"),
        ("test.py.txt", test / f"test_{name}.py"),
    ):
        target.write_text(
            Template((TEMPLATES / template).read_text(encoding="utf-8")).substitute(values), encoding="utf-8"
        )


if __name__ == "__main__":
    main()
