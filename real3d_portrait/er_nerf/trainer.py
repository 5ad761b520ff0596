"""Training of an avatar: head, lips, torso, one after another (ER-NeRF section 4.1 and the released options)."""

from __future__ import annotations

import logging
import os
import pickle
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import Real3DError
from .audio import held_ends
from .camera import picture_points, pixel_rays
from .dataset import AvatarData, box_mask, box_pixels
from .ear import STRENGTH, EarLesson
from .head_field import Conditions
from .losses import LossWeights, edge_loss, head_loss, smoothness, torso_loss
from .model import ErNerf
from .occupancy import OccupiedCells
from .patch_critic import PatchCritic
from .perceptual import PerceptualDistance
from .schedule import WeightAverage, optimiser, rate_factor
from .torso_lesson import TorsoLesson

log = logging.getLogger(__name__)

STATE_FILE = "training.pt"
_DAMAGED = (RuntimeError, LookupError, ValueError, TypeError, OSError, EOFError, pickle.UnpicklingError, BadZipFile)
STAGES = ("head", "lips", "torso")
_GRID_EVERY = 16
_EYE_NOISE = 0.05
_SHIFT = 1e-3  # of samples that shall look alike
_EDGE_WEIGHT = 0.1
_PERCEPTUAL_WEIGHT = 0.01  # as published
_PATCH = 32
_OTHER_SHARE = 0.25  # of the pixels that are seen before a random colour
_BEHIND_HEAD = 0.75  # by which the torso counts less where the head hides it
_MARGIN = 9  # pixels by which mattes grow before empty space is carved by them


class TrainingStateError(Real3DError):
    message = "The training state '{path}' cannot be continued ({reason}); delete it to begin anew."


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how broadly to train; the defaults are the published ones, for a data-centre GPU."""

    head_steps: int = 100_000
    lips_steps: int = 25_000
    torso_steps: int = 200_000
    rays: int = 65_536  # pixels of a step
    frames: int = 1  # that they come from
    lips_share: float = 0.0  # of a step's pixels that are drawn in the lips' square
    carve: bool = False  # begin with the visual hull of the head's mattes instead of all that cameras see
    table_rate: float = 1e-2  # learning rates at the beginning: of the grids' tables
    network_rate: float = 1e-3  # and of the networks
    final_rate: float = 0.5  # times these: what is left for head and torso at their end
    any_backdrop: bool = False  # learn before random colours too: opacity, which one plate alone leaves open
    frame_codes: bool = True  # a code for each frame; without, the first for all, as at test
    lessons: bool = False  # tracked lips and bodies teach ear and torso first, where the data hold them
    critic: float = 0.0  # weight of a patch discriminator at the lips
    knowing_ear: bool = False  # the ear comes from `ear.load_ear`
    average_every: int = 1000
    average_decay: float = 0.95
    seed: int = 0

    def steps(self, stage: str) -> int:
        return {"head": self.head_steps, "lips": self.lips_steps, "torso": self.torso_steps}[stage]


def short_settings(steps: int, rays: int = 4096, seed: int = 0, knowing_ear: bool = False) -> TrainingSettings:
    """For a computer without a large GPU: `steps` in all, fewer rays, rates that fall further, lessons beforehand."""
    lips, torso = int(0.15 * steps), int(0.3 * steps)
    return TrainingSettings(
        head_steps=steps - lips - torso,
        lips_steps=lips,
        torso_steps=torso,
        rays=rays,
        frames=8,
        lips_share=0.5,
        table_rate=2e-2,
        network_rate=3e-3,
        carve=True,
        any_backdrop=True,
        final_rate=0.1,
        frame_codes=False,
        lessons=True,
        knowing_ear=knowing_ear,
        average_every=max(1, steps // 800),
        seed=seed,
    )


class _Batch(NamedTuple):
    """N rays of F frames."""

    frames: list[int]  # F
    origin: Tensor  # (N, 3)
    directions: Tensor  # (N, 3)
    place: Tensor  # (N,) in `frames`
    background: Tensor  # (N, 3)
    target: Tensor  # (N, 3)
    face: Tensor  # (N,) bool
    patches: list[tuple[int, int]]  # of each frame: its rays, and the side of their squares


@dataclass(frozen=True)
class Progress:
    """Where the training stands."""

    stage: str
    step: int  # of the stage
    steps: int
    loss: float


class Trainer:
    """Holds the model, what it learns from and how far it is. Draws all random numbers from one generator, so that
    a training that was interrupted ends as one that was not."""

    def __init__(
        self,
        model: ErNerf,
        data: AvatarData,
        settings: TrainingSettings,
        device: str = "cpu",
        perceptual: PerceptualDistance | None = None,
    ) -> None:
        """perceptual: judges the lips' patches too."""
        self.model = model.to(device).train()
        self.data, self.settings, self.device = data, settings, torch.device(device)
        self.stages = [s for s in STAGES if settings.steps(s) and (s != "torso" or model.torso is not None)]
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.stage, self.step = 0, 0
        self.poses = torch.from_numpy(np.ascontiguousarray(data.poses)).to(device)
        self.speech = held_ends(torch.from_numpy(np.ascontiguousarray(data.speech)).to(device), self._windows)
        self.perceptual = perceptual.to(device) if perceptual is not None else None
        self.critic = PatchCritic(settings.seed, self.device) if settings.critic else None
        self.codes = self._lip_codes()
        self._torso_lesson: TorsoLesson | None = None
        if settings.lessons and data.body is not None and "torso" in self.stages:
            self._torso_lesson = TorsoLesson(data, self.generator, self.device)
        self._occupied: OccupiedCells | None = None
        self._begin_stage()

    def _lip_codes(self) -> Tensor | None:
        """(T, audio code) as `EarLesson` leaves them, of the tracked lips; None where the speech itself teaches the
        head."""
        if not self.settings.lessons or self.data.mouth is None:
            return None
        missing = self.model.config.audio_code - self.data.mouth.shape[1]
        return F.pad(STRENGTH * torch.from_numpy(self.data.mouth).float(), (0, missing)).to(self.device)

    @property
    def _windows(self) -> int:
        return self.model.config.audio_windows

    @property
    def done(self) -> bool:
        return self.stage >= len(self.stages)

    def _new_optimiser(self, stage: str) -> torch.optim.AdamW:
        rates = self.settings.table_rate, self.settings.network_rate
        return optimiser(self.model, stage, *rates, ear=self.codes is None)

    def _begin_stage(self) -> None:
        if self.done:
            return
        name = self.stages[self.stage]
        self.optimiser = self._new_optimiser(name)
        self.average = WeightAverage(self.model, self.settings.average_decay)
        if name != "torso" and not self.step:
            cameras = self.data.cameras
            every = max(1, self.data.training // 50)
            self.model.occupancy.mark_unseen(
                self.poses[: self.data.training : every],
                max(camera.centre_x / camera.focal_x for camera in cameras),
                max(camera.centre_y / camera.focal_y for camera in cameras),
            )
            if self.settings.carve and self.data.head is not None:
                for frame in range(0, self.data.training, every):
                    matte = cv2.dilate(self.data.head[frame], np.ones((_MARGIN, _MARGIN), np.uint8)) > 0
                    seen = torch.from_numpy(matte).to(self.device)
                    self.model.occupancy.carve(self.poses[frame], self.data.camera(frame), seen)

    def _random(self, count: int, below: int) -> Tensor:
        return torch.randint(below, (count,), generator=self.generator)

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator).to(self.device)

    def train_step(self) -> float:
        """One step of the current stage; the stage's end puts its averaged weights in place. Returns the loss."""
        name = self.stages[self.stage]
        steps = self.settings.steps(name)
        progress = self.step / steps
        if not self.step:
            self._teach(name)
        for group in self.optimiser.param_groups:
            group.setdefault("initial_lr", group["lr"])
            group["lr"] = group["initial_lr"] * rate_factor(name, progress, self.settings.final_rate)
        if self.step % _GRID_EVERY == 0:
            self._refresh(name)
        loss = self._torso(self._frame(name)) if name == "torso" else self._head(progress, name == "lips")
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.step += 1
        if self.step % self.settings.average_every == 0:
            self.average.update(self.model)
        if self.step == steps:
            if self.average.updates:
                self.average.apply(self.model)
            self.stage, self.step = self.stage + 1, 0
            self._begin_stage()
        return float(loss.detach())

    def _teach(self, stage: str) -> None:
        """What comes before a stage's pictures."""
        if stage == "head" and self.codes is not None and self.data.mouth is not None:
            training = self.data.training
            codes = torch.from_numpy(self.data.mouth[:training]).float().to(self.device)
            first = torch.from_numpy(self.data.heard[:training]).to(self.device)  # of windows with held ends
            explained = EarLesson(self.model, self.speech, first, codes, self.generator).teach(
                self.settings.knowing_ear
            )
            log.info("The speech explains %.0f%% of the lips' variance in training.", 100 * explained)
        if stage == "torso" and self._torso_lesson is not None and self.model.torso is not None:
            left = self._torso_lesson.teach_movement(self.model.torso, self.poses, self._row(0))
            log.info("The torso's movement is met within %.1f%% of the picture's side.", 100 * left)

    def _frame(self, stage: str) -> int:
        """One to train on; a torso is learned from the main shot alone, as clothes and seats differ between shots."""
        first = self.data.main.start if stage == "torso" else 0
        return first + int(self._random(1, self.data.training - first))

    def _row(self, frame: int) -> int:
        return frame % self.model.config.individual_codes if self.settings.frame_codes else 0

    def _pixels_of(self, frame: int, lips: bool, count: int) -> tuple[Tensor, int]:
        """Row-major numbers of pixels, and the side of the square patches that they make; 0 for none."""
        height, width = self.data.frames.shape[1:3]
        if not lips:
            pixels, around = self._random(count, height * width), box_pixels(self.data.lips[frame], width)
            extra = int(self.settings.lips_share * len(pixels))
            if extra and len(around):
                pixels[:extra] = around[self._random(extra, len(around))]
            return pixels, 0
        top, bottom, left, right = (int(edge) for edge in self.data.lips[frame])
        if self.step % 2 == 0 and bottom - top == right - left >= 8:
            return box_pixels(self.data.lips[frame], width), bottom - top
        side = min(_PATCH, height, width)
        patches = max(1, count // side**2)
        rows, columns = self._random(patches, height - side + 1), self._random(patches, width - side + 1)
        inside = (torch.arange(side)[:, None] * width + torch.arange(side)).flatten()
        return (rows[:, None] * width + columns[:, None] + inside).flatten(), side

    def _batch(self, stage: str) -> _Batch:
        """Rays of some frames, and what they should see."""
        data, settings = self.data, self.settings
        lips, width = stage == "lips", data.frames.shape[2]
        parts, left = [], settings.rays
        while len(parts) < settings.frames and left > 0:
            frame = self._frame(stage)
            pixels, side = self._pixels_of(frame, lips, settings.rays // settings.frames)
            if parts and lips and len(pixels) > left:
                break
            left -= len(pixels)
            origin, directions = pixel_rays(self.poses[frame], data.camera(frame), pixels.to(self.device))
            background = self._backdrop(frame, pixels, self._plate(frame, pixels))
            target = self._colours(data.frames[frame], pixels)
            if settings.any_backdrop and data.head is not None and not lips:
                shown = 1 - self._colours(data.head[frame][..., None], pixels)
                other = self._uniform(len(pixels), 3) - background
                other *= self._uniform(len(pixels), 1) < _OTHER_SHARE
                background, target = background + other, target + shown * other
            parts.append(
                _Batch(
                    [frame],
                    origin.expand_as(directions),
                    directions,
                    torch.full((len(pixels),), len(parts), device=self.device),
                    background,
                    target,
                    box_mask(pixels, width, data.face[frame]).to(self.device),
                    [(len(pixels), side)],
                )
            )
        lists = list(zip(*parts, strict=True))
        joined = [list(chain(*part)) if isinstance(part[0], list) else torch.cat(part) for part in lists]
        return _Batch(*joined)

    def _colours(self, picture: np.ndarray[Any, Any], pixels: Tensor) -> Tensor:
        flat = picture.reshape(-1, picture.shape[-1])[pixels.numpy()]
        return torch.from_numpy(flat.astype(np.float32) / 255).to(self.device)

    def _plate(self, frame: int, pixels: Tensor) -> Tensor:
        return self._colours(self.data.plate(frame), pixels)

    def _backdrop(self, frame: int, pixels: Tensor, plate: Tensor) -> Tensor:
        """(N, 3) the true torso over a plate."""
        torso = self._colours(self.data.torso[frame], pixels)
        return torso[:, :3] * torso[:, 3:] + plate * (1 - torso[:, 3:])

    def _conditions(self, frames: list[int]) -> Conditions:
        eyes = torch.from_numpy(self.data.eyes[frames]).to(self.device)
        eyes = eyes + _EYE_NOISE * (2 * self._uniform(len(frames)) - 1)
        rows = [self._row(frame) for frame in frames]
        if self.codes is not None:
            return Conditions(self.codes[frames], eyes[:, None], self.model.head.codes[rows])
        at = [int(self.data.heard[frame]) + self._windows // 2 for frame in frames]
        return self.model.conditions(self.speech, at, eyes, rows)

    def _head(self, progress: float, lips: bool) -> Tensor:
        model = self.model
        batch = self._batch("lips" if lips else "head")
        conditions = self._conditions(batch.frames)
        occupied, noise = self._occupied or model.occupancy.cells(), self._uniform(len(batch.place))
        sums, samples = model.train_rays(batch.origin, batch.directions, conditions, occupied, noise, batch.place)
        colour = (sums.colour + (1 - sums.weight[:, None]) * batch.background).clamp(0, 1)
        # The lips' stage goes on where the head's ended: its terms count fully.
        loss = head_loss(colour, batch.target, sums, batch.face, 1.0 if lips else progress, lips)
        if lips:
            loss = loss + self._sharpness(colour, batch)
        if not lips and self.step % _GRID_EVERY == 0 and len(samples.points):
            shift = _SHIFT * (2 * self._uniform(len(samples.points), 3) - 1)
            audio, eye, _ = conditions.rows(batch.place[samples.ray])
            alike = smoothness(model.head, samples.points, shift, audio, eye)
            loss = loss + progress * LossWeights().smoothness * alike
        return loss

    def _sharpness(self, colour: Tensor, batch: _Batch) -> Tensor:
        """What the lips' stage asks of its patches beyond their colours."""
        loss = colour.new_zeros(())
        made, recorded = [], []
        for kept, found in ((made, colour), (recorded, batch.target)):
            pieces = found.split([count for count, _ in batch.patches])
            for piece, (_, side) in zip(pieces, batch.patches, strict=True):
                kept.append(piece.view(-1, side, side, 3).permute(0, 3, 1, 2))
        for picture, goal in zip(made, recorded, strict=True):
            share = picture[:, 0].numel() / len(colour)
            loss = loss + _EDGE_WEIGHT * share * edge_loss(picture, goal)
            if self.perceptual is not None:
                loss = loss + _PERCEPTUAL_WEIGHT * share * self.perceptual(picture, goal).mean()
        if self.critic is not None:
            self.critic.learn(recorded, made)
            loss = loss + self.settings.critic * self.critic.doubt(made)
        return loss

    def _torso(self, frame: int) -> Tensor:
        height, width = self.data.frames.shape[1:3]
        lesson, count = self._torso_lesson, self.settings.rays
        pixels = self._random(count, height * width) if lesson is None else lesson.pixels(count, height * width)
        points = picture_points(height, width, pixels).to(self.device)
        if lesson is not None:
            points = lesson.told(points, frame)
        plate = self._uniform(len(pixels), 3) if self.settings.any_backdrop else self._plate(frame, pixels)
        found = self.model.render_torso(points, self.poses[frame], plate, self._row(frame), everywhere=not self.step)
        weight = None
        if lesson is not None and self.data.head is not None:
            weight = 1 - _BEHIND_HEAD * self._colours(self.data.head[frame][..., None], pixels)[:, 0]
        assert self.model.torso is not None
        return torso_loss(found.picture, self._backdrop(frame, pixels, plate), self.model.torso.anchors, weight)

    @torch.no_grad()
    def _refresh(self, stage: str) -> None:
        """Look again where there is something, with the speech, eye or pose of a random frame."""
        model, frame = self.model, self._frame(stage)
        if stage == "torso":
            torso, occupancy = model.torso, model.torso_occupancy
            assert torso is not None
            assert occupancy is not None
            noise = 2 * self._uniform(occupancy.size**2, 2) - 1
            code = torso.codes[self._row(frame)]
            occupancy.update(lambda points: torso(points, self.poses[frame], code).alpha[:, 0], noise)
            return
        conditions = self._conditions([frame])

        def density(points: Tensor) -> Tensor:
            return model.head.density_at(points, conditions.audio, conditions.eye)

        model.occupancy.update(density, lambda count: 2 * self._uniform(count, 3) - 1)
        self._occupied = model.occupancy.cells()

    def run(
        self,
        on_step: Callable[[Progress], None] | None = None,
        folder: Path | None = None,
        save_every: float = 60.0,
        until: float | None = None,
    ) -> bool:
        """Train to the end.

        Args:
            folder: where the state is kept, every `save_every` seconds and at the end. until: `time.monotonic()` at
                which to stop, with the state kept.

        Returns:
            Whether the end was reached.
        """
        saved = time.monotonic()
        while not self.done:
            stage, step = self.stages[self.stage], self.step
            loss = self.train_step()
            now = time.monotonic()
            if on_step is not None:
                on_step(Progress(stage, step + 1, self.settings.steps(stage), loss))
            if folder is not None and now - saved > save_every:
                self.save(folder / STATE_FILE)
                saved = now
            if until is not None and now > until:
                break
        if folder is not None:
            self.save(folder / STATE_FILE)
        return self.done

    def save(self, path: Path) -> None:
        """Keep everything that a later run needs to go on as if there had been no break."""
        state = {
            "settings": asdict(self.settings),
            "model": self.model.state_dict(),
            "torso_mean": self.model.torso_occupancy.mean if self.model.torso_occupancy else 0.0,
            "stage": self.stage,
            "step": self.step,
            "generator": self.generator.get_state(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average.state_dict(),
            "critic": self.critic.state_dict() if self.critic is not None else {},
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".part")
        torch.save(state, temporary)
        os.replace(temporary, path)

    def resume(self, path: Path) -> None:
        """Go on from a kept state.

        Raises:
            TrainingStateError: it is damaged, or of another model or settings.
        """
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            if state["settings"] != asdict(self.settings):
                raise ValueError("it was begun with other settings")
            self.model.load_state_dict(state["model"])
            if self.model.torso_occupancy is not None:
                self.model.torso_occupancy.mean = state["torso_mean"]
            self.stage, self.step = state["stage"], state["step"]
            if not self.done:
                self.optimiser = self._new_optimiser(self.stages[self.stage])
                self.average = WeightAverage(self.model, self.settings.average_decay)
                self.optimiser.load_state_dict(state["optimiser"])
                self.average.load_state_dict(state["average"])
            if self.critic is not None:
                self.critic.load_state_dict(state["critic"])
            self.generator.set_state(state["generator"].cpu())
            self._occupied = self.model.occupancy.cells()
        except _DAMAGED as error:
            raise TrainingStateError(path=path, reason=(str(error) or "it is cut off").splitlines()[0]) from error
