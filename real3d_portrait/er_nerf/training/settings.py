"""How an avatar is trained: the published schedule, and a short one for computers without a large GPU."""

from __future__ import annotations

from dataclasses import dataclass

STAGES = ("head", "lips", "torso")


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how broadly to train; the defaults are the published ones, for a data-centre GPU."""

    head_steps: int = 100_000
    lips_steps: int = 25_000
    torso_steps: int = 200_000
    rays: int = 65_536  # pixels of a step
    frames: int = 1  # that they come from
    lips_share: float = 0.0  # of a step's pixels that are drawn in the lips' square
    eyes_share: float = 0.0  # of the frames, half of them shut eyes; there these pixels are drawn round the eyes
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
        eyes_share=0.25,
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
