"""Face mesh and person matte from mediapipe, whose wheel carries its models.

Landmarks are (478, 3) float32 in pixels of the picture that was given: x right, y down, origin at the
top left, z away from the viewer in the same unit (weak perspective).
"""

from __future__ import annotations

import os
from functools import cached_property
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np

from real3d_portrait.arrays import Float32Array, Landmarks, UInt8Array

# mediapipe's C++ parts write their start-up chatter to stderr unless the log level is set before the import.
os.environ.setdefault("GLOG_minloglevel", "3")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

N_LANDMARKS = 478
_WINDOW = 3.5  # face heights across what is looked at round one of several faces
_FREE = 1.1  # face heights between its middle and the window's edge
_RESCALED = 1.6  # a face that grew or shrank more gets a new window


def _to_pixels(face: Any, width: int, height: int) -> Landmarks:
    """mediapipe's normalised landmarks of one face in a picture of that size."""
    return np.array([(p.x * width, p.y * height, p.z * width) for p in face.landmark], np.float32)


class SelfClosing:
    """A context manager that gives mediapipe's native graphs back at the end of the block."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        raise NotImplementedError


class FaceTracker(SelfClosing):
    """Follows one face through the frames of a video.

    Use as a context manager; `track` is called once a frame, in order. A face that the video tracker
    loses is looked for again on an enlarged crop, which finds small and far faces.
    """

    def __init__(self, min_confidence: float = 0.3) -> None:
        self._graph = FaceGraph(min_confidence)
        self._finder: FaceFinder | None = None

    def close(self) -> None:
        self._graph.close()
        if self._finder is not None:
            self._finder.close()

    def restart(self) -> None:
        """Look for the face anew in the next frame, as after a cut."""
        self._graph.reset()

    def track(self, frame: UInt8Array) -> Landmarks | None:
        """Landmarks of the face in this frame, or None where there is none."""
        found = self._graph.process(frame)
        if found is not None:
            return found
        if self._finder is None:
            self._finder = FaceFinder(max_faces=1)
        faces = self._finder.find(frame)
        return faces[0] if faces else None


class FaceGraph(SelfClosing):
    """One face through the frames of a video, as long as it is seen; then the first one that is found.

    Unlike `FaceTracker` it can be kept to one place, and looks nowhere else for a face that is lost.
    """

    def __init__(self, min_confidence: float = 0.3) -> None:
        import mediapipe as mp

        self._mesh = mp.solutions.face_mesh.FaceMesh(
            static_image_mode=False,
            max_num_faces=1,
            refine_landmarks=True,
            min_detection_confidence=min_confidence,
            min_tracking_confidence=min_confidence,
        )
        self._window: tuple[int, int, int, int] | None = None

    def close(self) -> None:
        self._mesh.close()

    def reset(self) -> None:
        """Forget the face."""
        self._mesh.reset()
        self._window = None

    def process(self, frame: UInt8Array, box: tuple[float, float, float] | None = None) -> Landmarks | None:
        """Landmarks of the face in this frame, or None where there is none.

        Args:
            frame: (H, W, 3).
            box: centre x, centre y and height of the face in the frame before, where nothing but what surrounds it is
                to be looked at; None: the whole frame.
        """
        height, width = frame.shape[:2]
        window = self._around(box, width, height)
        if window != self._window:
            self._mesh.reset()
            self._window = window
        x0, y0, x1, y1 = window
        part = frame[y0:y1, x0:x1]
        found = self._mesh.process(np.ascontiguousarray(part)).multi_face_landmarks
        if not found:
            return None
        points = _to_pixels(found[0], x1 - x0, y1 - y0)
        return points + np.array([x0, y0, 0], np.float32) if x0 or y0 else points

    def _around(self, box: tuple[float, float, float] | None, width: int, height: int) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of what is looked at: stays until the face leaves its middle, for a window that
        moves takes the face from under the graph."""
        if box is None:
            return 0, 0, width, height
        x, y, tall = box
        half = _WINDOW / 2 * tall
        if self._window is not None:
            left, top, right, bottom = self._window
            side = max(right - left, bottom - top)
            free = _FREE * tall
            inside_x = (left == 0 or x - left > free) and (right == width or right - x > free)
            inside_y = (top == 0 or y - top > free) and (bottom == height or bottom - y > free)
            if inside_x and inside_y and 1 / _RESCALED < side / (2 * half) < _RESCALED:
                return self._window
        left, top = max(0, int(x - half)), max(0, int(y - half))
        return left, top, min(width, int(x + half)), min(height, int(y + half))


class FaceFinder(SelfClosing):
    """All faces of a still picture, the largest first. What finds them is loaded when it is first needed."""

    def __init__(self, max_faces: int = 8, min_confidence: float = 0.3) -> None:
        self._max_faces = max_faces
        self._min_confidence = min_confidence
        self._loaded: list[Any] = []

    def close(self) -> None:
        for graph in self._loaded:
            graph.close()

    @cached_property
    def _mesh(self) -> Any:
        import mediapipe as mp

        mesh = mp.solutions.face_mesh.FaceMesh(
            static_image_mode=True,
            max_num_faces=1,
            refine_landmarks=True,
            min_detection_confidence=self._min_confidence,
        )
        self._loaded.append(mesh)
        return mesh

    @cached_property
    def _detectors(self) -> list[Any]:
        import mediapipe as mp

        detectors = [
            mp.solutions.face_detection.FaceDetection(
                model_selection=which, min_detection_confidence=self._min_confidence + 0.1
            )
            for which in (0, 1)
        ]
        self._loaded += detectors
        return detectors

    def boxes(self, image: UInt8Array) -> list[tuple[float, float, float]]:
        """Centre x, centre y and side in pixels of each detected face, the largest first, without near-duplicates."""
        height, width = image.shape[:2]
        boxes: list[tuple[float, float, float, float]] = []
        for detector in self._detectors:
            for detection in detector.process(np.ascontiguousarray(image)).detections or ():
                box = detection.location_data.relative_bounding_box
                boxes.append(
                    (
                        (box.xmin + box.width / 2) * width,
                        (box.ymin + box.height / 2) * height,
                        max(box.width * width, box.height * height),
                        detection.score[0],
                    )
                )
        boxes.sort(key=lambda b: -b[3])
        kept: list[tuple[float, float, float]] = []
        for x, y, side, _ in boxes:
            if all(np.hypot(x - kx, y - ky) > 0.5 * max(side, ks) for kx, ky, ks in kept):
                kept.append((x, y, side))
        kept.sort(key=lambda b: -b[2])
        return kept[: self._max_faces]

    def mesh_at(self, image: UInt8Array, box: tuple[float, float, float]) -> Landmarks | None:
        """Landmarks of the face in a box of `boxes`, or None where none is seen there."""
        height, width = image.shape[:2]
        x, y, side = box
        half = max(1.1 * side, 8)
        x0, y0 = int(max(0, x - half)), int(max(0, y - half))
        x1, y1 = int(min(width, x + half)), int(min(height, y + half))
        if min(x1 - x0, y1 - y0) < 8:
            return None
        crop = image[y0:y1, x0:x1]
        scale = 512 / max(crop.shape[:2])
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        sized = cv2.resize(crop, None, fx=scale, fy=scale, interpolation=interpolation)
        found = self._mesh.process(np.ascontiguousarray(sized)).multi_face_landmarks
        if not found:
            return None
        points = _to_pixels(found[0], sized.shape[1], sized.shape[0])
        points /= np.float32(scale)
        return points + np.array([x0, y0, 0], np.float32)

    def find(self, image: UInt8Array) -> list[Landmarks]:
        """Landmarks of every face, (478, 3) each, the largest first."""
        height, width = image.shape[:2]
        boxes = self.boxes(image) or [(width / 2, height / 2, max(width, height))]
        faces = [face for face in (self.mesh_at(image, box) for box in boxes) if face is not None]
        faces.sort(key=lambda p: -float(np.ptp(p[:, 1])))
        return faces


def person_matte(image: UInt8Array) -> Float32Array:
    """Coarse matte of the person, (H, W) in 0..1, from the bundled selfie segmentation."""
    import mediapipe as mp

    with mp.solutions.selfie_segmentation.SelfieSegmentation(model_selection=0) as net:
        mask = net.process(np.ascontiguousarray(image)).segmentation_mask
    return np.clip(mask, 0, 1).astype(np.float32)
