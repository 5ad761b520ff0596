"""Training settings of an avatar: the published schedule, and a short one for computers without a large GPU."""

from __future__ import annotations

from dataclasses import dataclass

STAGES = ("head", "lips", "torso")


@dataclass(frozen=True)
class TrainingSettings:
    """Steps, sampling and rates of a training; the defaults are the published ones, for a data-centre GPU."""

    head_steps: int = 100_000
    lips_steps: int = 25_000
    torso_steps: int = 200_000
    rays: int = 65_536  # pixels of a step
    frames: int = 1  # that a step's pixels are sampled from
    lips_share: float = 0.0  # of a step's pixels that are sampled in the square round the lips
    eyes_share: float = 0.0  # of the frames whose such pixels are sampled round the eyes instead, half with eyes shut
    carve: bool = False  # initialise occupancy with the visual hull of the head's mattes, not all that cameras see
    table_rate: float = 1e-2  # initial learning rate of the grids' tables
    network_rate: float = 1e-3  # and of the networks
    final_rate: float = 0.5  # factor of both at the end of the head's and the torso's stage
    random_background: bool = False  # also over random colours, as one plate alone does not determine opacity
    frame_codes: bool = True  # an individual code for each frame; False: the first for all, as at inference
    pretraining: bool = (
        False  # of speech encoder and torso deformation on tracked lips and body, where the data hold them
    )
    pretrained_speech_encoder: bool = False  # it starts from `speech_pretraining.load_speech_encoder`
    average_every: int = 1000
    average_decay: float = 0.95
    seed: int = 0

    def steps(self, stage: str) -> int:
        """Steps of one of `STAGES`."""
        return {"head": self.head_steps, "lips": self.lips_steps, "torso": self.torso_steps}[stage]


def short_settings(
    steps: int, rays: int = 4096, seed: int = 0, pretrained_speech_encoder: bool = False
) -> TrainingSettings:
    """For a computer without a large GPU: `steps` in all, fewer rays, rates that decay further, pretraining."""
    lips, torso = int(0.15 * steps), int(0.3 * steps)
    return TrainingSettings(
        head_steps=steps - lips - torso,
        lips_steps=lips,
        torso_steps=torso,
        rays=rays,
        frames=8,
        lips_share=0.5,
        eyes_share=0.25,
        table_rate=2e-2,
        network_rate=3e-3,
        carve=True,
        random_background=True,
        final_rate=0.1,
        frame_codes=False,
        pretraining=True,
        pretrained_speech_encoder=pretrained_speech_encoder,
        average_every=max(1, steps // 800),
        seed=seed,
    )
