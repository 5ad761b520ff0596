"""The wheel carries all it needs and works outside the checkout; the lists of requirements agree."""

from __future__ import annotations

import os
import re
import shutil
import site
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path
from zipfile import ZipFile

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import real3d_portrait
from tests.example_inputs import speech

ROOT = Path(__file__).parents[1]
FOLDERS = ("real3d_portrait", "assets", "configs")
FILES = ("pyproject.toml", "setup.py", "requirements.txt", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing of an earlier build can slip in."""
    copy = tmp_path_factory.mktemp("source")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, copy)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    ]
    subprocess.run([*command, "--wheel-dir", "dist", "."], cwd=copy, check=True)
    return next((copy / "dist").glob("*.whl"))


def test_the_wheel_holds_every_module_weight_example_and_config(wheel: Path) -> None:
    expected = {path.relative_to(ROOT).as_posix() for path in (ROOT / "real3d_portrait").rglob("*.py")}
    for folder in ("assets/weights/compact", "assets/examples", "configs"):
        expected |= {f"real3d_portrait/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / folder).iterdir()}
    expected.add("real3d_portrait/py.typed")
    held = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == expected


def test_the_weights_fit_in_25_megabytes() -> None:
    weights = (ROOT / "assets" / "weights" / "compact").glob("*.safetensors")
    assert sum(path.stat().st_size for path in weights) <= 25_000_000


@pytest.mark.slow
def test_the_installed_wheel_works_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
    ]
    subprocess.run([*install, str(wheel)], check=True)
    # The libraries are borrowed; a .pth file inside them, such as this checkout's own, is not followed.
    packages = next((home / "lib").glob("python*/site-packages"))
    (packages / "borrowed.pth").write_text("\n".join(site.getsitepackages()))

    outside = tmp_path / "outside"
    outside.mkdir()
    # No program beside Python is needed: nothing is on the PATH.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"PATH": str(outside)}
    command = str(home / "bin" / "real3d-portrait")
    told = subprocess.run([command, "info"], cwd=outside, env=environment, capture_output=True, text=True, check=True)
    assert str(packages / "real3d_portrait" / "assets" / "weights" / "compact") in told.stdout

    portrait = str(next((packages / "real3d_portrait" / "assets" / "examples").glob("portrait_*.jpg")))
    voice = speech(tmp_path / "voice.wav", 0.4)
    animate = [
        command,
        "animate",
        "--portrait",
        portrait,
        "--audio",
        voice,
        "--size",
        "256",
        "--output",
        "out.mp4",
    ]
    subprocess.run(animate, cwd=outside, env=environment, check=True, capture_output=True)
    assert (outside / "out.mp4").stat().st_size > 0


def test_exactly_one_opencv_is_installed() -> None:
    assert set(metadata.packages_distributions()["cv2"]) == {"opencv-contrib-python"}


def requirements(name: str) -> list[Requirement]:
    lines = (line.split("#")[0].strip() for line in (ROOT / name).read_text().splitlines())
    return [Requirement(line) for line in lines if line]


def test_every_pin_is_what_is_installed_and_lies_in_its_range() -> None:
    pins = {canonicalize_name(pin.name): pin.specifier for pin in requirements("constraints.txt")}
    for name, pin in pins.items():
        assert re.fullmatch(r"==[\w.]+", str(pin)), name
        assert Version(metadata.version(name)) in pin, name
    for wanted in requirements("requirements.txt"):
        version = str(pins[canonicalize_name(wanted.name)]).removeprefix("==")
        assert version in wanted.specifier, wanted.name


def test_a_missing_debian_package_is_named() -> None:
    if shutil.which("dpkg-query") is None:
        pytest.skip("no Debian machine")
    script = str(ROOT / ".ci" / "missing-packages")
    told = subprocess.run(
        [script, "/dev/stdin"], input="dpkg\nno-such-package\n", capture_output=True, text=True, check=True
    )
    assert told.stdout == "no-such-package"


@pytest.mark.parametrize(
    ("user", "need", "ends_with"), [(1000, "required", 1), (1000, "optional", 0), (0, "required", 0)]
)
def test_missing_packages_are_installed_by_root_and_named_to_others(
    tmp_path: Path, user: int, need: str, ends_with: int
) -> None:
    if shutil.which("dpkg-query") is None:
        pytest.skip("no Debian machine")
    calls = tmp_path / "calls"
    for name, body in (("id", f"echo {user}"), ("apt-get", f'echo "$@" >> {calls}')):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
    wanted = tmp_path / "wanted.txt"
    wanted.write_text("dpkg\nno-such-package\n")
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = [str(ROOT / ".ci" / "packages"), need, str(wanted)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == ends_with
    if user:
        assert "sudo apt-get install -y no-such-package" in run.stderr
        assert not calls.exists()
    else:
        assert calls.read_text().splitlines()[-1].endswith(" no-such-package")


def test_the_version_is_stated_once() -> None:
    assert real3d_portrait.__version__ == metadata.version("real3d-portrait")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == real3d_portrait.__version__
