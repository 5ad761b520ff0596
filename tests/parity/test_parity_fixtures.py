from __future__ import annotations

import pytest
import torch

from tests.parity.parity_fixtures import filled, fixture, listing, needs_fixtures

pytestmark = [needs_fixtures, pytest.mark.slow]


@pytest.mark.parametrize(("model", "file"), [("a2m", "a2m"), ("secc2plane_torso", "planes")])
def test_the_fill_rule_gives_the_recorded_weights(model: str, file: str) -> None:
    state = filled(listing(model))
    checks = fixture(file).fill_check
    assert len(checks) > 200
    for name, values in checks.items():
        torch.testing.assert_close(state[name].flatten()[:3], torch.tensor(values), rtol=1e-5, atol=1e-6, msg=name)
