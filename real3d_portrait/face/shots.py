"""Where a video is cut: a new shot begins where the whole picture changes, or where the face jumps in place or size."""

from __future__ import annotations

import cv2
import numpy as np

from real3d_portrait.arrays import Float32Array, FloatArray, Landmarks, UInt8Array
from real3d_portrait.face.landmarks import RIGID
from real3d_portrait.face.tracking import FaceTracker, SelfClosing

_THUMBNAIL = 16
# Within shots of 200 clips neither was exceeded; between two people's clips the first was in 99.5%.
_CUT = 0.08  # mean change of a thumbnail, of full scale
_JUMP = 0.2  # face heights by which landmarks move from one frame to the next
# Within 50 clips at 25 fps the largest was 0.058.
_GROWTH = 0.085  # change of the face's size from one frame to the next, as a logarithm


class ShotTracker(SelfClosing):
    """Follows one face through a video and tells where its shots begin; a context manager.

    A tracker looks for the face where it was in the frame before, so after a cut it has to start anew.
    """

    def __init__(self, tracker: FaceTracker | None = None) -> None:
        self._tracker = FaceTracker() if tracker is None else tracker
        self._thumbnail: Float32Array | None = None
        self._face: Landmarks | None = None

    def close(self) -> None:
        self._tracker.close()

    def track(self, frame: UInt8Array) -> tuple[Landmarks | None, bool]:
        """Face of the next frame (H, W, 3), or None, and whether a new shot begins with it; the first begins none."""
        thumbnail = cv2.resize(frame, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA) / np.float32(255)
        face = self._tracker.track(frame)
        changed = self._thumbnail is not None and np.abs(thumbnail - self._thumbnail).mean() > _CUT
        begins = bool(changed or _jumped(self._face, face))
        if begins:
            self._tracker.restart()
            face = self._tracker.track(frame)
        self._thumbnail, self._face = thumbnail, face
        return face, begins


def _jumped(before: FloatArray | None, face: FloatArray | None) -> bool:
    if before is None or face is None:
        return False
    way = np.linalg.norm(face[:, :2] - before[:, :2], axis=1).mean()
    sizes = [max(float(points[RIGID, :2].std(0).mean()), 1e-6) for points in (before, face)]
    return bool(way > _JUMP * np.ptp(face[:, 1]) or abs(np.log(sizes[1] / sizes[0])) > _GROWTH)
