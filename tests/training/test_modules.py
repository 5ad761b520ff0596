"""Every recipe imports, and says what it takes."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from tests.running import run_module

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for folder in ("training", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
    if path.name not in ("__init__.py", "__main__.py")
)


@pytest.mark.parametrize("name", MODULES)
def test_the_module_imports_and_its_help_is_shown(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    module = importlib.import_module(name)
    if not hasattr(module, "main"):
        return
    with pytest.raises(SystemExit) as ended:
        run_module(name, "--help")
    assert ended.value.code == 0
    assert "--help" in capsys.readouterr().out
