"""Training of an avatar: head, lips, torso, one after another (ER-NeRF section 4.1 and the released options)."""

from __future__ import annotations

import logging
import os
import pickle
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from zipfile import BadZipFile

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from real3d_portrait.er_nerf.camera import picture_points
from real3d_portrait.er_nerf.data.dataset import AvatarData
from real3d_portrait.er_nerf.fields.audio_encoder import held_ends
from real3d_portrait.er_nerf.fields.head_field import Conditions
from real3d_portrait.er_nerf.rendering.model import ErNerf
from real3d_portrait.er_nerf.rendering.occupancy import OccupiedCells
from real3d_portrait.er_nerf.training.batches import Batch, Batches
from real3d_portrait.er_nerf.training.ear import STRENGTH, EarLesson
from real3d_portrait.er_nerf.training.losses import LossWeights, edge_loss, head_loss, smoothness, torso_loss
from real3d_portrait.er_nerf.training.patch_critic import PatchCritic
from real3d_portrait.er_nerf.training.perceptual import PerceptualDistance
from real3d_portrait.er_nerf.training.schedule import WeightAverage, optimiser, rate_factor
from real3d_portrait.er_nerf.training.settings import STAGES, TrainingSettings
from real3d_portrait.er_nerf.training.torso_lesson import TorsoLesson
from real3d_portrait.errors import Real3DError

log = logging.getLogger(__name__)

STATE_FILE = "training.pt"
_DAMAGED = (RuntimeError, LookupError, ValueError, TypeError, OSError, EOFError, pickle.UnpicklingError, BadZipFile)
_GRID_EVERY = 16
_EYE_NOISE = 0.05
_SHIFT = 1e-3  # of samples that shall look alike
_EDGE_WEIGHT = 0.1
_PERCEPTUAL_WEIGHT = 0.01  # as published
_BEHIND_HEAD = 0.75  # by which the torso counts less where the head hides it
_MARGIN = 9  # pixels by which mattes grow before empty space is carved by them


class TrainingStateError(Real3DError):
    message = "The training state '{path}' cannot be continued ({reason}); delete it to begin anew."


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
        self.batches = Batches(data, settings, self.poses, self.generator)
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
        loss = self._torso(self.batches.frame(name)) if name == "torso" else self._head(progress, name == "lips")
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

    def _row(self, frame: int) -> int:
        return frame % self.model.config.individual_codes if self.settings.frame_codes else 0

    def _conditions(self, frames: list[int]) -> Conditions:
        eyes = torch.from_numpy(self.data.eyes[frames]).to(self.device)
        eyes = eyes + _EYE_NOISE * (2 * self.batches.uniform(len(frames)) - 1)
        rows = [self._row(frame) for frame in frames]
        if self.codes is not None:
            return Conditions(self.codes[frames], eyes[:, None], self.model.head.codes[rows])
        at = [int(self.data.heard[frame]) + self._windows // 2 for frame in frames]
        return self.model.conditions(self.speech, at, eyes, rows)

    def _head(self, progress: float, lips: bool) -> Tensor:
        model = self.model
        batch = self.batches.rays("lips" if lips else "head", squares=self.step % 2 == 0)
        conditions = self._conditions(batch.frames)
        occupied, noise = self._occupied or model.occupancy.cells(), self.batches.uniform(len(batch.place))
        sums, samples = model.train_rays(batch.origin, batch.directions, conditions, occupied, noise, batch.place)
        colour = (sums.colour + (1 - sums.weight[:, None]) * batch.background).clamp(0, 1)
        # The lips' stage goes on where the head's ended: its terms count fully.
        loss = head_loss(colour, batch.target, sums, batch.face, 1.0 if lips else progress, lips)
        if lips:
            loss = loss + self._sharpness(colour, batch)
        if not lips and self.step % _GRID_EVERY == 0 and len(samples.points):
            shift = _SHIFT * (2 * self.batches.uniform(len(samples.points), 3) - 1)
            audio, eye, _ = conditions.rows(batch.place[samples.ray])
            alike = smoothness(model.head, samples.points, shift, audio, eye)
            loss = loss + progress * LossWeights().smoothness * alike
        return loss

    def _sharpness(self, colour: Tensor, batch: Batch) -> Tensor:
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
        pixels = self.batches.random(count, height * width) if lesson is None else lesson.pixels(count, height * width)
        points = picture_points(height, width, pixels).to(self.device)
        if lesson is not None:
            points = lesson.told(points, frame)
        plate = (
            self.batches.uniform(len(pixels), 3) if self.settings.any_backdrop else self.batches.plate(frame, pixels)
        )
        found = self.model.render_torso(points, self.poses[frame], plate, self._row(frame), everywhere=not self.step)
        weight = None
        if lesson is not None and self.data.head is not None:
            weight = 1 - _BEHIND_HEAD * self.batches.colours(self.data.head[frame][..., None], pixels)[:, 0]
        assert self.model.torso is not None
        return torso_loss(found.picture, self.batches.backdrop(frame, pixels, plate), self.model.torso.anchors, weight)

    @torch.no_grad()
    def _refresh(self, stage: str) -> None:
        """Look again where there is something, with the speech, eye or pose of a random frame."""
        model, frame = self.model, self.batches.frame(stage)
        if stage == "torso":
            torso, occupancy = model.torso, model.torso_occupancy
            assert torso is not None
            assert occupancy is not None
            noise = 2 * self.batches.uniform(occupancy.size**2, 2) - 1
            code = torso.codes[self._row(frame)]
            occupancy.update(lambda points: torso(points, self.poses[frame], code).alpha[:, 0], noise)
            return
        conditions = self._conditions([frame])

        def density(points: Tensor) -> Tensor:
            return model.head.density_at(points, conditions.audio, conditions.eye)

        model.occupancy.update(density, lambda count: 2 * self.batches.uniform(count, 3) - 1)
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
