from __future__ import annotations

import ast
import errno
import inspect
import pickle
from pathlib import Path
from string import Formatter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from real3d_portrait import errors

CAUSES = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.Real3DError) and kind not in (errors.Real3DError, errors.InputError)
]


def facts_of(kind: type[errors.Real3DError]) -> list[str]:
    return sorted({name for _, name, _, _ in Formatter().parse(kind.message) if name})


@pytest.mark.parametrize("kind", CAUSES, ids=lambda kind: kind.__name__)
def test_message_is_one_line_that_names_each_fact_and_a_cure(kind: type[errors.Real3DError]) -> None:
    facts = {name: f"<{name} value>" for name in facts_of(kind)}
    text = str(kind(**facts))
    assert all(value in text for value in facts.values())
    assert "\n" not in text
    assert ";" in text or ":" in text  # what was wrong; what to do


def test_messages_differ_and_user_errors_exit_with_2() -> None:
    assert len({kind.message for kind in CAUSES}) == len(CAUSES)
    assert all(kind.exit_code == (2 if issubclass(kind, errors.InputError) else 1) for kind in CAUSES)


@given(st.text(max_size=600))
def test_any_file_name_stays_on_one_line(name: str) -> None:
    text = str(errors.FileMissingError(what="photo", path=name))
    assert len(text.splitlines()) == 1
    assert text.isprintable()
    assert len(text) < 300


def test_wrong_facts_are_refused() -> None:
    with pytest.raises(TypeError, match="minimum"):
        errors.FaceTooSmallError(pixels=40)


def test_error_survives_a_process_boundary() -> None:
    error = pickle.loads(pickle.dumps(errors.FaceTooSmallError(pixels=40, minimum=64)))
    assert isinstance(error, errors.FaceTooSmallError)
    assert error.facts == {"pixels": 40, "minimum": 64}
    assert "40 pixels" in str(error)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_has_its_own_error(code: int) -> None:
    assert isinstance(errors.output_error(OSError(code, "x"), "a.mp4"), errors.DiskFullError)
    other = errors.output_error(OSError(errno.EACCES, "Permission denied"), "a.mp4")
    assert isinstance(other, errors.OutputNotWritableError)
    assert "Permission denied" in str(other)


def test_every_raise_in_the_package_gives_the_facts_that_its_message_names() -> None:
    # A raise on a rarely taken path would else fail with a TypeError in the user's face.
    fields = {kind.__name__: set(facts_of(kind)) for kind in CAUSES}
    wrong = []
    for path in Path(errors.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and not node.args and all(word.arg for word in node.keywords):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                given = {word.arg for word in node.keywords}
                if name in fields and given != fields[name]:
                    wrong.append(f"{path.name}:{node.lineno} {name}")
    assert not wrong
