"""Training of an avatar in three stages, head, lips, torso (ER-NeRF section 4.1 and the released options)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from real3d_portrait.er_nerf.data.dataset import AvatarData
from real3d_portrait.er_nerf.fields.audio_encoder import held_ends
from real3d_portrait.er_nerf.fields.head_field import Conditions
from real3d_portrait.er_nerf.rendering.camera import picture_points
from real3d_portrait.er_nerf.rendering.model import ErNerf
from real3d_portrait.er_nerf.rendering.occupancy import OccupiedCells
from real3d_portrait.er_nerf.training.batches import Batches
from real3d_portrait.er_nerf.training.losses import LossWeights, head_loss, patch_loss, smoothness, torso_loss
from real3d_portrait.er_nerf.training.perceptual import PerceptualDistance
from real3d_portrait.er_nerf.training.progress import TrainingProgress
from real3d_portrait.er_nerf.training.schedule import WeightAverage, optimiser, rate_factor
from real3d_portrait.er_nerf.training.settings import STAGES, TrainingSettings
from real3d_portrait.er_nerf.training.speech_pretraining import CODE_SCALE, SpeechPretraining
from real3d_portrait.er_nerf.training.state import STATE_FILE, reading_state, write_state
from real3d_portrait.er_nerf.training.torso_pretraining import TorsoPretraining

log = logging.getLogger(__name__)

_GRID_EVERY = 16  # steps between updates of an occupancy grid
_EYE_NOISE = 0.05
_SHIFT = 1e-3  # of the samples that the smoothness term compares
_BEHIND_HEAD = 0.75  # by which the torso's loss is reduced where the head hides it
_MARGIN = 9  # pixels, kernel of the dilation of mattes before carving


class Trainer:
    """A training: model, data, optimiser and position in the schedule.

    All random numbers come from one generator, so that a resumed training ends with the weights of an uninterrupted
    one.
    """

    def __init__(
        self,
        model: ErNerf,
        data: AvatarData,
        settings: TrainingSettings,
        device: str = "cpu",
        perceptual: PerceptualDistance | None = None,
    ) -> None:
        """perceptual: additional loss on the patches of the lips' stage."""
        self.model = model.to(device).train()
        self.data, self.settings, self.device = data, settings, torch.device(device)
        self.stages = [s for s in STAGES if settings.steps(s) and (s != "torso" or model.torso is not None)]
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.stage, self.step = 0, 0
        self.poses = torch.from_numpy(np.ascontiguousarray(data.poses)).to(device)
        self.batches = Batches(data, settings, self.poses, self.generator)
        self.speech = held_ends(torch.from_numpy(np.ascontiguousarray(data.speech)).to(device), self._windows)
        self.perceptual = perceptual.to(device) if perceptual is not None else None
        self.lip_codes = self._scaled_lip_codes()
        self._torso_pretraining: TorsoPretraining | None = None
        if settings.pretraining and data.body is not None and "torso" in self.stages:
            self._torso_pretraining = TorsoPretraining(data, self.generator, self.device)
        self._occupied: OccupiedCells | None = None
        self._begin_stage()

    def _scaled_lip_codes(self) -> Tensor | None:
        """(T, audio code) tracked lip codes in the scale of a pretrained encoder; None without pretraining."""
        if not self.settings.pretraining or self.data.mouth is None:
            return None
        missing = self.model.config.audio_code - self.data.mouth.shape[1]
        return F.pad(CODE_SCALE * torch.from_numpy(self.data.mouth).float(), (0, missing)).to(self.device)

    @property
    def _windows(self) -> int:
        return self.model.config.audio_windows

    @property
    def done(self) -> bool:
        """Whether all stages are finished."""
        return self.stage >= len(self.stages)

    def _new_optimiser(self, stage: str) -> torch.optim.AdamW:
        rates = self.settings.table_rate, self.settings.network_rate
        return optimiser(self.model, stage, *rates, speech_encoder=self.lip_codes is None)

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
                    visible = torch.from_numpy(matte).to(self.device)
                    self.model.occupancy.carve(self.poses[frame], self.data.camera(frame), visible)

    def train_step(self) -> float:
        """One step of the current stage, whose last step installs its averaged weights. Returns the loss."""
        name = self.stages[self.stage]
        steps = self.settings.steps(name)
        progress = self.step / steps
        if not self.step:
            self._pretrain(name)
        for group in self.optimiser.param_groups:
            group.setdefault("initial_lr", group["lr"])
            group["lr"] = group["initial_lr"] * rate_factor(name, progress, self.settings.final_rate)
        if self.step % _GRID_EVERY == 0:
            self._update_occupancy(name)
        if name == "torso":
            loss = self._torso_loss(self.batches.frame(name))
        else:
            loss = self._head_loss(progress, name == "lips")
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

    def _pretrain(self, stage: str) -> None:
        """Pretraining of the speech encoder before the head, and of the deformation before the torso."""
        if stage == "head" and self.lip_codes is not None and self.data.mouth is not None:
            training = self.data.training
            codes = torch.from_numpy(self.data.mouth[:training]).float().to(self.device)
            first = torch.from_numpy(self.data.window[:training]).to(self.device)  # of windows with held ends
            pretraining = SpeechPretraining(self.model, self.speech, first, codes, self.generator)
            explained = pretraining.run(self.settings.pretrained_speech_encoder)
            log.info("Speech explains %.0f%% of the lips' variance in training.", 100 * explained)
        if stage == "torso" and self._torso_pretraining is not None and self.model.torso is not None:
            error = self._torso_pretraining.run(self.model.torso, self.poses, self._row(0))
            log.info("Mean error of the torso's deformation: %.1f%% of the picture's side.", 100 * error)

    def _row(self, frame: int) -> int:
        """Row of the individual codes for a frame."""
        return frame % self.model.config.individual_codes if self.settings.frame_codes else 0

    def _conditions(self, frames: list[int]) -> Conditions:
        eyes = torch.from_numpy(self.data.eyes[frames]).to(self.device)
        eyes = eyes + _EYE_NOISE * (2 * self.batches.uniform(len(frames)) - 1)
        rows = [self._row(frame) for frame in frames]
        if self.lip_codes is not None:
            return Conditions(self.lip_codes[frames], eyes[:, None], self.model.head.codes[rows])
        at = [int(self.data.window[frame]) + self._windows // 2 for frame in frames]
        return self.model.conditions(self.speech, at, eyes, rows)

    def _head_loss(self, progress: float, lips: bool) -> Tensor:
        model = self.model
        batch = self.batches.rays("lips" if lips else "head", squares=self.step % 2 == 0)
        conditions = self._conditions(batch.frames)
        occupied, noise = self._occupied or model.occupancy.cells(), self.batches.uniform(len(batch.frame))
        sums, samples = model.train_rays(batch.origin, batch.directions, conditions, occupied, noise, batch.frame)
        colour = (sums.colour + (1 - sums.weight[:, None]) * batch.background).clamp(0, 1)
        # The lips' stage continues where the head's ended, with full weight of its terms.
        loss = head_loss(colour, batch.target, sums, batch.face, 1.0 if lips else progress, lips)
        if lips:
            loss = loss + patch_loss(colour, batch.target, batch.patches, self.perceptual)
        if not lips and self.step % _GRID_EVERY == 0 and len(samples.points):
            shift = _SHIFT * (2 * self.batches.uniform(len(samples.points), 3) - 1)
            audio, eye, _ = conditions.rows(batch.frame[samples.ray])
            difference = smoothness(model.head, samples.points, shift, audio, eye)
            loss = loss + progress * LossWeights().smoothness * difference
        return loss

    def _torso_loss(self, frame: int) -> Tensor:
        height, width = self.data.frames.shape[1:3]
        pretraining, count = self._torso_pretraining, self.settings.rays
        sample = self.batches.random if pretraining is None else pretraining.pixels
        pixels = sample(count, height * width)
        points = picture_points(height, width, pixels).to(self.device)
        if pretraining is not None:
            points = pretraining.to_predicted(points, frame)
        plate = (
            self.batches.uniform(len(pixels), 3)
            if self.settings.random_background
            else self.batches.plate(frame, pixels)
        )
        rendered = self.model.render_torso(points, self.poses[frame], plate, self._row(frame), everywhere=not self.step)
        weight = None
        if pretraining is not None and self.data.head is not None:
            weight = 1 - _BEHIND_HEAD * self.batches.colours(self.data.head[frame][..., None], pixels)[:, 0]
        assert self.model.torso is not None
        target = self.batches.background(frame, pixels, plate)
        return torso_loss(rendered.picture, target, self.model.torso.anchors, weight)

    @torch.no_grad()
    def _update_occupancy(self, stage: str) -> None:
        """Update the stage's occupancy grid under the speech, eyes or pose of a random frame."""
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
        on_step: Callable[[TrainingProgress], None] | None = None,
        folder: Path | None = None,
        save_every: float = 60.0,
        until: float | None = None,
    ) -> bool:
        """Train to the end.

        Args:
            on_step: called after each step.
            folder: where the state is saved, every `save_every` seconds and at the end. until: `time.monotonic()` at
                which to stop.

        Returns:
            Whether the end was reached.
        """
        saved = time.monotonic()
        while not self.done:
            stage, step = self.stages[self.stage], self.step
            loss = self.train_step()
            now = time.monotonic()
            if on_step is not None:
                on_step(TrainingProgress(stage, step + 1, self.settings.steps(stage), loss))
            if folder is not None and now - saved > save_every:
                self.save(folder / STATE_FILE)
                saved = now
            if until is not None and now > until:
                break
        if folder is not None:
            self.save(folder / STATE_FILE)
        return self.done

    def save(self, path: Path) -> None:
        """Save the whole state of the training, for `resume`."""
        write_state(
            path,
            {
                "settings": asdict(self.settings),
                "model": self.model.state_dict(),
                "torso_mean": self.model.torso_occupancy.mean if self.model.torso_occupancy else 0.0,
                "stage": self.stage,
                "step": self.step,
                "generator": self.generator.get_state(),
                "optimiser": self.optimiser.state_dict(),
                "average": self.average.state_dict(),
            },
        )

    def resume(self, path: Path) -> None:
        """Continue from a saved state.

        Raises:
            TrainingStateError: it is damaged, or of another model or settings.
        """
        with reading_state(path, self.device) as state:
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
            self.generator.set_state(state["generator"].cpu())
            self._occupied = self.model.occupancy.cells()
