from __future__ import annotations

import pytest

from real3d_portrait.er_nerf.training.settings import short_settings
from real3d_portrait.er_nerf.training.time_estimate import steps_in, training_seconds, warnings_before_training

STEP_SECONDS = {"head": 0.05, "lips": 0.08, "torso": 0.03}


@pytest.mark.parametrize("minutes", [2.0, 30.0])
def test_as_many_steps_are_planned_as_take_the_time(minutes: float) -> None:
    settings = short_settings(steps_in(60 * minutes, STEP_SECONDS))
    assert training_seconds(settings, STEP_SECONDS) == pytest.approx(60 * minutes, rel=0.02)


def test_a_short_video_is_named_with_what_it_costs() -> None:
    (said,) = warnings_before_training(6, 120, 10, 110)
    assert "6 s" in said
    assert "one to five minutes" in said
    assert warnings_before_training(61, 120, 10, 110) == []


def test_a_time_that_cannot_be_kept_is_said_before_the_training() -> None:
    (said,) = warnings_before_training(90, 120, 400, 120)
    assert "8.7 min" in said
    assert "2.0 min asked for" in said
    assert warnings_before_training(90, 120, 12, 120) == []
    assert warnings_before_training(90, None, 400, 9000) == []
