from __future__ import annotations

import ast
from pathlib import Path

import pytest

import real3d_portrait.models.full as full

ASSEMBLY = {"__init__", "expression_space", "importer", "model", "speech_motion"}
NETWORKS = sorted(file for file in Path(full.__path__[0]).glob("*.py") if file.stem not in ASSEMBLY)
ALLOWED = {"__future__", "collections.abc", "dataclasses", "functools", "math", "re", "typing", "torch", "xformers"}
OWN = ("real3d_portrait.errors", "real3d_portrait.face.landmarks", f"{full.__name__}.")


def imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("file", NETWORKS, ids=lambda file: file.stem)
def test_a_network_imports_neither_files_nor_images_nor_the_hub(file: Path) -> None:
    others = {name for name in imported(file) if name not in ALLOWED and name.split(".")[0] not in ALLOWED}
    assert all(name.startswith(OWN) for name in others), others
    assert not others & {f"{full.__name__}.{name}" for name in ASSEMBLY}


def test_there_are_networks_to_look_at() -> None:
    assert len(NETWORKS) > 20
