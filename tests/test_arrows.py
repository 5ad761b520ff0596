"""Imports point one way: no circles between files, nothing below imports what stands above it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "real3d_portrait"
# From the top floor down; a folder may import its own floor's other files and those below.
FLOORS = (
    ("app", "cli", "commands"),
    ("pipeline", "__init__"),
    ("steps",),
    ("calls",),
    ("loading",),
    ("er_nerf",),
    ("rendering",),
    ("models",),
    ("motion", "portrait", "background", "provenance", "controls"),
    ("media", "hub"),
    ("face",),
)
BELOW_ALL = {"arrays", "compute", "config", "errors", "parallel", "progress", "resources", "timing", "console"}
# `controls` names types of higher floors, for editors alone.


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in PACKAGE.rglob("*.py")}


def imports(path: Path, lazily: bool = True) -> Iterator[str]:
    """Modules of the package that a file imports; without those that only type checkers read."""
    tree = ast.parse(path.read_text())
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    late = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in typing_only or (not lazily and node in late) or not isinstance(node, ast.ImportFrom):
            continue
        if node.module and node.module.split(".")[0] == PACKAGE.name:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else node.module


def test_no_file_is_part_of_a_circle() -> None:
    graph = {name: set(imports(path)) - {name} for name, path in MODULES.items()}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way[way.index(name) :], name))
        if name not in done:
            for other in graph.get(name, ()):
                visit(other, (*way, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("floor", range(len(FLOORS)), ids=lambda n: FLOORS[n][0])
def test_nothing_imports_what_stands_above_it(floor: int) -> None:
    above = {room for rooms in FLOORS[:floor] for room in rooms}
    for name, path in MODULES.items():
        room = (name.split(".") + ["__init__"])[1]
        if room in FLOORS[floor]:
            wrong = sorted({m for m in imports(path) if (m.split(".") + ["__init__"])[1] in above})
            assert not wrong, f"{name} imports {wrong}"


def test_each_room_has_its_floor() -> None:
    rooms = {(name.split(".") + ["__init__"])[1] for name in MODULES}
    assert rooms - {room for floor in FLOORS for room in floor} - BELOW_ALL - {"__main__", "hub_upload"} == set()


def test_fields_know_tensors_only() -> None:
    """The full model's networks have a test of their own."""
    for path in (PACKAGE / "er_nerf" / "fields").glob("*.py"):
        names = {
            (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
        }
        rooms = {name.split(".")[0] for name in names}
        assert not rooms & {"cv2", "PIL", "pathlib", "huggingface_hub", "safetensors", "av", "os"}, path.name
