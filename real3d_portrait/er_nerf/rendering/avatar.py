"""A trained avatar: its folder (weights, poses and eyes of its video, background plate) and its rendering to frames."""

from __future__ import annotations

import itertools
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import cv2
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor

from real3d_portrait.arrays import Float32Array, UInt8Array
from real3d_portrait.config import from_mapping
from real3d_portrait.er_nerf.config import ErNerfConfig
from real3d_portrait.er_nerf.fields.audio_encoder import held_ends
from real3d_portrait.er_nerf.fields.head_field import Conditions
from real3d_portrait.er_nerf.rendering.camera import Intrinsics, picture_points
from real3d_portrait.er_nerf.rendering.model import ErNerf
from real3d_portrait.er_nerf.rendering.occupancy import OccupiedCells
from real3d_portrait.errors import InputError, Real3DError, output_error
from real3d_portrait.face.pose_path import ping_pong
from real3d_portrait.hub import AVATAR
from real3d_portrait.timing import FPS

FORMAT = 1
RELEASED_SPEECH = {29: "deepspeech", 44: "esperanto", 1024: "hubert"}  # feature kinds of released avatars, by width
_DAMAGED = (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, BadZipFile, SafetensorError)
FACTS_FILE = AVATAR
PLAN_FILE = "training.json"  # exists until a training is finished
_WEIGHTS, _SCENE, _PLATE = "weights.safetensors", "scene.npz", "plate.png"


class AvatarNotReadyError(InputError):
    """A folder without an avatar that this version can load: empty, not finished, or of a newer format."""

    message = "{avatar} {problem}; {cure}."


class AvatarCorruptError(Real3DError):
    message = "The avatar '{folder}' is damaged ({reason}); train it again or restore it from a copy."


class AvatarFolderError(InputError):
    """A folder that a new avatar cannot be written to, as it holds something."""

    message = "The folder '{folder}' holds {found}; {cure}."


class AvatarSpeechError(InputError):
    message = "The avatar takes {expected} features of kind '{kind}', but {found} were given; use that kind."


@dataclass
class Avatar:
    """A trained person.

    Attributes:
        model: in evaluation mode.
        camera: at the size of the training video.
        poses: (T, 4, 4), and eyes (T,) 0 open … 1 closed, of the training frames of the main shot.
        plate: (H, W, 3) uint8, its background.
        speech_kind: kind of the speech features that it was trained on.
        notes: facts about the training, such as steps and seconds of video.
    """

    model: ErNerf
    camera: Intrinsics
    poses: Float32Array
    eyes: Float32Array
    plate: UInt8Array
    speech_kind: str
    notes: dict[str, Any]

    def save(self, folder: Path) -> None:
        """Write the folder's files; an older avatar in it is replaced only when the new one is complete."""
        folder.mkdir(parents=True, exist_ok=True)
        facts = {
            "format": FORMAT,
            "config": asdict(self.model.config),
            "torso_mean": self.model.torso_occupancy.mean if self.model.torso_occupancy else 0.0,
            "camera": asdict(self.camera),
            "speech": self.speech_kind,
            "fps": FPS,
            "notes": self.notes,
        }
        with tempfile.TemporaryDirectory(dir=folder, prefix=".new") as name:
            new = Path(name)
            state = {key: value.contiguous().cpu() for key, value in self.model.state_dict().items()}
            # Rendering needs the occupancy bits only; the densities are four times as large as the rest.
            state.pop("occupancy.density")
            # As bytes: files that the library writes itself are readable by their owner alone.
            (new / _WEIGHTS).write_bytes(to_bytes(state))
            np.savez(new / _SCENE, poses=self.poses, eyes=self.eyes)
            cv2.imwrite(str(new / _PLATE), cv2.cvtColor(self.plate, cv2.COLOR_RGB2BGR))
            (new / FACTS_FILE).write_text(json.dumps(facts, indent=1))
            for file in (_WEIGHTS, _SCENE, _PLATE, FACTS_FILE):
                os.replace(new / file, folder / file)

    @classmethod
    def load(cls, folder: str | Path, device: str | torch.device = "cpu") -> Avatar:
        """Read an avatar's folder.

        Raises:
            AvatarNotReadyError: there is none, its training is not finished, or it is of a newer format.
            AvatarCorruptError: a file is missing or damaged.
        """
        folder = Path(folder)
        if not (folder / FACTS_FILE).is_file():
            if (folder / PLAN_FILE).is_file():
                raise AvatarNotReadyError(
                    avatar=f"The avatar '{folder}'",
                    problem="is not finished",
                    cure="the command that began its training goes on with it when called again",
                )
            raise AvatarNotReadyError(
                avatar="No avatar",
                problem=f"was found in '{folder}'",
                cure="give a folder made by 'real3d-portrait avatar train'",
            )
        try:
            facts = json.loads((folder / FACTS_FILE).read_text())
            if int(facts["format"]) > FORMAT:
                raise AvatarNotReadyError(
                    avatar=f"The avatar '{folder}'",
                    problem=f"was made by a newer version (format {facts['format']}, this one knows {FORMAT})",
                    cure="update",
                )
            model = ErNerf(from_mapping(ErNerfConfig, facts["config"]))
            state = load_file(folder / _WEIGHTS)
            state["occupancy.density"] = model.occupancy.density
            model.load_state_dict(state)
            if model.torso_occupancy is not None:
                model.torso_occupancy.mean = float(facts["torso_mean"])
            with np.load(folder / _SCENE) as scene:
                poses, eyes = scene["poses"], scene["eyes"]
            picture = cv2.imread(str(folder / _PLATE), cv2.IMREAD_COLOR)
            camera = Intrinsics(**facts["camera"])
            kind, notes = str(facts["speech"]), dict(facts["notes"])
            if picture is None or picture.shape[:2] != (camera.height, camera.width) or len(poses) != len(eyes):
                raise ValueError(f"{_PLATE} or {_SCENE} does not fit")
        except _DAMAGED as error:
            raise AvatarCorruptError(folder=folder, reason=(str(error) or "it is cut off").splitlines()[0]) from error
        model.eval().requires_grad_(False).to(device)
        plate = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB).astype(np.uint8)
        return cls(model, camera, poses, eyes, plate, kind, notes)

    def sized(self, side: int) -> Avatar:
        """The same person seen by a camera with `side` pixels on its shorter side."""
        c = self.camera
        factor = side / min(c.height, c.width)
        height, width = round(c.height * factor), round(c.width * factor)
        camera = Intrinsics(height, width, *(factor * x for x in (c.focal_x, c.focal_y, c.centre_x, c.centre_y)))
        shrink = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        plate = cv2.resize(self.plate, (width, height), interpolation=shrink)
        return replace(self, camera=camera, plate=plate.astype(np.uint8))

    def frames(
        self,
        speech: Float32Array,
        poses: Float32Array | None = None,
        backgrounds: Iterator[UInt8Array] | None = None,
        transparent: bool = False,
    ) -> Iterator[UInt8Array]:
        """One frame for each window of speech; the same input gives the same frames.

        Args:
            speech: (T, steps, C) feature windows of the avatar's kind.
            poses: (N, 4, 4), played as a ping-pong loop; None: those of its video.
            backgrounds: one (H, W, 3) a frame; None: the plate of its video.
            transparent: yield the person without a background.

        Yields:
            (H, W, 3) uint8; transparent (H, W, 4), with the plate's colours where alpha is 0.

        Raises:
            AvatarSpeechError: the features are of another size.
        """
        config = self.model.config
        if speech.ndim != 3 or speech.shape[1:] != (config.audio_steps, config.audio_channels):
            expected = f"{config.audio_steps} x {config.audio_channels}"
            found = " x ".join(str(n) for n in speech.shape[1:])
            raise AvatarSpeechError(expected=expected, kind=self.speech_kind, found=found)
        device = self.model.box.device
        features = torch.from_numpy(np.ascontiguousarray(speech, dtype=np.float32)).to(device)
        offset = 0
        if self.speech_kind not in RELEASED_SPEECH.values():
            features, offset = held_ends(features, config.audio_windows), config.audio_windows // 2
        path = torch.from_numpy(np.ascontiguousarray(self.poses if poses is None else poses, dtype=np.float32)).to(
            device
        )
        behind = itertools.repeat(self.plate) if backgrounds is None else backgrounds
        occupied = self.model.occupancy.cells()
        eyes, steps = (ping_pong(len(track), len(speech)) for track in (self.eyes, path))
        for frame, background in zip(range(len(speech)), behind, strict=False):
            eye = float(self.eyes[eyes[frame]])
            conditions = self.model.conditions(features, [frame + offset], [eye])
            pose = path[steps[frame]]
            if transparent:
                yield self._without_background(pose, conditions, occupied)
            else:
                flat = torch.from_numpy(background.reshape(-1, 3).astype(np.float32) / 255).to(device)
                picture = self.model.render(pose, self.camera, conditions, flat, occupied)
                yield (picture * 255).round().to(torch.uint8).cpu().numpy()

    @torch.no_grad()
    def _without_background(self, pose: Tensor, conditions: Conditions, occupied: OccupiedCells) -> UInt8Array:
        """(H, W, 4) straight colour and alpha of the person."""
        model, height, width = self.model, self.camera.height, self.camera.width
        colour = torch.zeros(height * width, 3, device=pose.device)
        alpha = colour[:, :1]
        if model.torso is not None:
            points = picture_points(height, width).to(pose.device)
            torso = model.render_torso(points, pose, colour)
            colour, alpha = torso.picture, torso.alpha
        head = model.render_head(pose, self.camera, conditions, occupied)
        weight = head.sums.weight[:, None]
        alpha = (weight + (1 - weight) * alpha).clamp(0, 1)
        visible = alpha > 0.5 / 255
        plate = torch.from_numpy(self.plate.reshape(-1, 3) / np.float32(255)).to(pose.device)
        straight = torch.where(visible, head.over(colour) / alpha.clamp_min(0.5 / 255), plate).clamp(0, 1)
        picture = torch.cat([straight, alpha], 1).view(height, width, 4)
        return (picture * 255).round().to(torch.uint8).cpu().numpy()


def claim_folder(folder: Path) -> None:
    """Make the folder of a new avatar.

    Raises:
        AvatarFolderError: it holds something. OutputNotWritableError.
    """
    if (folder / FACTS_FILE).is_file():
        raise AvatarFolderError(
            folder=folder, found="a finished avatar", cure="give another one, or delete it to train anew"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = next(folder.iterdir(), None)
    except OSError as error:
        raise output_error(error, folder) from error
    if found is not None:
        raise AvatarFolderError(
            folder=folder, found=f"other files, such as '{found.name}'", cure="give the avatar a new or empty one"
        )
