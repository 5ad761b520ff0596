"""Import of released avatars: a checkpoint, and camera, poses and background from its data folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from real3d_portrait.er_nerf.rendering.avatar import RELEASED_SPEECH, Avatar, claim_folder
from real3d_portrait.er_nerf.rendering.camera import Intrinsics, camera_pose
from real3d_portrait.er_nerf.rendering.released_checkpoint import read_released
from real3d_portrait.errors import InputError, MissingInputError
from real3d_portrait.media.images import read_photo


class TransformsError(InputError):
    message = (
        "'{path}' does not say where the camera is ({reason}); give a transforms_*.json of the avatar's data folder."
    )


def import_avatar(
    checkpoint: str | Path,
    transforms: str | Path,
    plate: str | Path,
    output: str | Path,
    size: int | None = None,
    features: str | None = None,
) -> Avatar:
    """Make an avatar's folder from a released checkpoint.

    Args:
        checkpoint: `ngp.pth`. transforms: a `transforms_*.json` of its data folder. plate: its `bc.jpg`.
        output: a new or empty folder. size: side of the frames; None for that of the data.
        features: kind of its speech features; None: derived from their width.

    Raises:
        MissingInputError: a file is not there. TransformsError. CheckpointUnsafeError, CheckpointMismatchError: see
        `released_checkpoint`. AvatarFolderError. What `media.images.read_photo` raises.
    """
    for name, path in (("the checkpoint", checkpoint), ("the poses", transforms), ("the background", plate)):
        if not Path(path).is_file():
            raise MissingInputError(name=name, cure=f"a file; '{path}' does not exist")
    model = read_released(Path(checkpoint))
    camera, poses = _camera(Path(transforms))
    picture = read_photo(plate, what="background").pixels
    picture = cv2.resize(picture, (camera.width, camera.height), interpolation=cv2.INTER_AREA).astype(np.uint8)
    kind = features or RELEASED_SPEECH.get(model.config.audio_channels, "other")
    avatar = Avatar(model, camera, poses, np.zeros(len(poses), np.float32), picture, kind, {"imported": True})
    if size is not None:
        avatar = avatar.sized(size)
    claim_folder(Path(output))
    avatar.save(Path(output))
    return avatar


def _camera(path: Path) -> tuple[Intrinsics, np.ndarray[Any, np.dtype[np.float32]]]:
    try:
        facts = json.loads(path.read_text())
        matrices = np.array([frame["transform_matrix"] for frame in facts["frames"]], np.float32)
        if matrices.ndim != 3 or matrices.shape[1:] != (4, 4) or not np.isfinite(matrices).all():
            raise ValueError("its matrices are not 4 x 4 numbers")
        height, width = int(facts.get("h", 2 * int(facts["cy"]))), int(facts.get("w", 2 * int(facts["cx"])))
        focal_x, focal_y = (float(facts.get("focal_len", facts.get(key, 0))) for key in ("fl_x", "fl_y"))
        if min(height, width, focal_x, focal_y) <= 0:
            raise ValueError("it names no size or focal length")
        camera = Intrinsics(height, width, focal_x, focal_y, float(facts["cx"]), float(facts["cy"]))
        return camera, camera_pose(matrices)
    except KeyError as error:
        raise TransformsError(path=path, reason=f"{error} is absent") from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise TransformsError(path=path, reason=str(error).splitlines()[0]) from error
