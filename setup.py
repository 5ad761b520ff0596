"""Lets the wheel carry the checkout's `assets/` and `configs/`; the rest is in pyproject.toml."""

from setuptools import find_packages, setup

DATA = {
    "real3d_portrait.assets.examples": "assets/examples",
    "real3d_portrait.assets.weights.compact": "assets/weights/compact",
    "real3d_portrait.configs": "configs",
}

setup(
    packages=[*find_packages(include=["real3d_portrait", "real3d_portrait.*"]), *DATA],
    package_dir=DATA,
    package_data={"real3d_portrait": ["py.typed"], **{name: ["*"] for name in DATA}},
)
