"""One catalogue, everything derived: folders are its keys, and no other file spells a service's name."""

import ast
from pathlib import Path

import pytest

from pipeline import catalog

ROOT = Path(__file__).resolve().parents[2]
NAMES = set(catalog.load().services)
SHARED = "base"


def test_the_image_folders_are_the_catalogue_keys():
    folders = {path.name for path in (ROOT / "images").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders - {SHARED} == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_image_folder_is_whole(name):
    folder = ROOT / "images" / name
    missing = [
        f
        for f in ("Dockerfile", "__init__.py", "__main__.py", "requirements.in", "requirements.txt")
        if not (folder / f).is_file()
    ]
    assert not missing
    assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text())), "the docstring is the purpose"


def literals(path):
    """The string literals of a Python file that are not docstrings."""
    tree = ast.parse(path.read_text())
    prose = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        n.value
        for n in ast.walk(tree)
        if isinstance(n, ast.Constant) and isinstance(n.value, str) and id(n) not in prose
    ]


def python_files():
    found = [*(ROOT / "images").rglob("*.py"), *(ROOT / "scripts").rglob("*.py")]
    return [path for path in found if "__pycache__" not in path.parts]


@pytest.mark.parametrize("path", python_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_only_a_services_own_folder_spells_its_name(path):
    own = path.relative_to(ROOT).parts[1]
    spelled = {name for name in NAMES - {own} for text in literals(path) if name == text or f"{name}/" in text}
    assert not spelled


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize(
    "path",
    [p for p in python_files() if "images" in p.relative_to(ROOT).parts],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_images_import_neither_each_other_nor_the_operators_package(path):
    own = path.relative_to(ROOT).parts[1]
    assert not set(imports(path)) & ((NAMES - {own}) | {"ops"})


def test_the_default_symbols_stand_in_one_place():
    spelled = [path for path in python_files() if any("AAPL,MSFT" in text for text in literals(path))]
    assert spelled == []
