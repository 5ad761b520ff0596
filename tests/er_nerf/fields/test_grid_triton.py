"""The grids' look-up in Triton against the plain form. Without a GPU, Triton's interpreter runs the kernels."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from real3d_portrait.er_nerf.config import ErNerfConfig, GridConfig
from real3d_portrait.er_nerf.fields.encoders import GridEncoder, triton_runs

pytestmark = pytest.mark.slow

triton = pytest.importorskip("triton")

Results = tuple[Tensor, Tensor, Tensor]

# Grids, and points: fewer than a program takes, more, none.
CASES = {
    "head": (ErNerfConfig().planes, 100),
    "torso": (ErNerfConfig().torso_grid, 100),
    "wrapping": (GridConfig(2, 2, 4, 40, 6, hashed=False), 300),
    "three features": (GridConfig(2, 3, 4, 300, 5, hashed=True), 50),
    "no points": (GridConfig(2, 1, 4, 8, 6, hashed=False), 0),
}
EDGES = torch.tensor([[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [-1.0, -1.0001], [1.0001, 1.0], [1e30, 0.0]])


def inputs(config: GridConfig, number: int) -> tuple[GridEncoder, Tensor, Tensor]:
    """A grid, points in the box, on its edges and beyond, and a slope of the features."""
    generator = torch.Generator().manual_seed(3)
    grid = GridEncoder(config)
    torch.nn.init.normal_(grid.table, generator=generator)
    points = torch.cat([EDGES, torch.rand(300, 2, generator=generator) * 2.2 - 1.1])[:number]
    return grid, points, torch.randn(number, grid.width, generator=generator)


def results(form: Callable[[Tensor], Tensor], table: Tensor, points: Tensor, slope: Tensor) -> Results:
    """Features, and gradients of the points and of the table."""
    at = points.clone().requires_grad_()
    features = form(at)
    on_points, on_table = torch.autograd.grad(features, (at, table), slope)
    return features.detach(), on_points, on_table


def assert_same(found: Results, expected: Results) -> None:
    for one, other in zip(found, expected, strict=True):
        largest = float(other.abs().max()) if other.numel() else 0.0
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6 * largest)


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Results]:
    """Of each case, by a process of its own: Triton reads when it is imported whether it is to interpret."""
    file = tmp_path_factory.mktemp("triton") / "results.pt"
    command = [sys.executable, "-m", "tests.er_nerf.fields.test_grid_triton", str(file)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[3], env=os.environ | {"TRITON_INTERPRET": "1"})
    return torch.load(file)


@pytest.mark.parametrize("case", CASES)
def test_the_kernels_find_what_the_plain_form_does(case: str, interpreted: dict[str, Results]) -> None:
    grid, points, slope = inputs(*CASES[case])
    assert_same(interpreted[case], results(grid.look_up, grid.table, points, slope))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("case", CASES)
def test_so_do_they_on_a_gpu(case: str) -> None:
    grid, points, slope = (part.cuda() for part in inputs(*CASES[case]))
    assert triton_runs(points.device)
    assert_same(results(grid, grid.table, points, slope), results(grid.look_up, grid.table, points, slope))


@pytest.mark.parametrize("name", ["_look_up", "_table_gradient", "_point_gradient"])
def test_the_kernels_compile_to_steps_that_are_not_fused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a GPU that need not be there; the interpreter takes more than the compiler does."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from real3d_portrait.er_nerf.fields import grid_triton

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernel = getattr(grid_triton, name)
    fixed = {"depth": 16, "width": 2, "block": 256}
    kinds = {"count": "i32", "facts": "*i64"} | dict.fromkeys(fixed, "constexpr")
    source = ASTSource(kernel, {argument: kinds.get(argument, "*fp32") for argument in kernel.arg_names}, fixed)
    built = triton.compile(source, target=GPUTarget("cuda", 80, 32), options=grid_triton.OPTIONS)
    assert "mul.rn.f32" in built.asm["ptx"]
    assert "fma" not in built.asm["ptx"]


def test_a_device_without_triton_keeps_its_own_form() -> None:
    assert not triton_runs(torch.device("cpu"))


if __name__ == "__main__":
    found = {}
    for case, facts in CASES.items():
        grid, points, slope = inputs(*facts)
        found[case] = results(grid.look_up_by_triton, grid.table, points, slope)
    torch.save(found, sys.argv[1])
