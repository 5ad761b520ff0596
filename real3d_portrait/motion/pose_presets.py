"""How much a speaker moves: presets on top of the head motion that `pose_tracks` makes.

Head motion has two parts: slow posture, and the nods and tilts that go with stressed words. A preset takes more or
less of each. The eyes, which hold the viewer while the head turns, follow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from real3d_portrait.arrays import Float64Array, FloatArray
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.motion.gaze import held_gaze
from real3d_portrait.motion.motion import Motion
from real3d_portrait.motion.smoothing import low_pass

POSTURE_HZ = 0.6  # slower is posture, quicker goes with words


@dataclass(frozen=True)
class PosePreset:
    """Factors on the learned motion; 1 everywhere is `natural`.

    Attributes:
        posture: on head motion below `POSTURE_HZ`.
        stress: on head motion above it.
        brow, gaze: for `liveliness`.
    """

    posture: float = 1.0
    stress: float = 1.0
    brow: float = 1.0
    gaze: float = 1.0

    def moved(self, motion: Motion) -> Motion:
        """The motion with its head pose so changed: it starts where it did, or has the rest that it had.

        The eyes are not changed: see `hold_gaze`.
        """
        if self.posture == self.stress == 1:
            return motion
        rotation, translation = (np.asarray(track, np.float64) for track in (motion.rotation, motion.translation))
        if motion.rest is None:
            turned, moved = self._mixed(rotation), self._mixed(translation)
            turned, moved = turned + rotation[0] - turned[0], moved + translation[0] - moved[0]
        else:
            start, place = motion.rest[:, :3], motion.rest[:, 3:]
            turned, moved = start + self._mixed(rotation - start), place + self._mixed(translation - place)
        return replace(motion, rotation=turned.astype(np.float32), translation=moved.astype(np.float32))

    def _mixed(self, track: FloatArray) -> Float64Array:
        slow = low_pass(track, POSTURE_HZ)
        return self.posture * slow + self.stress * (track - slow)


NATURAL = PosePreset()
PRESETS: dict[str, PosePreset] = {
    "calm": PosePreset(posture=0.5, stress=0.35, brow=0.7, gaze=0.7),
    "presenter": PosePreset(posture=0.6, stress=1.35, brow=1.3, gaze=0.6),
    "lively": PosePreset(posture=1.4, stress=1.7, brow=1.6, gaze=1.3),
}


def hold_gaze(moved: Motion, learned: Motion, model: FaceModel) -> Motion:
    """The expression of `moved` with eyes that hold the viewer in its head pose as they did in that of `learned`."""
    expression = moved.expression.copy()
    expression[:, -2:] += held_gaze(model, moved.rotation) - held_gaze(model, learned.rotation)
    return replace(moved, expression=expression)
