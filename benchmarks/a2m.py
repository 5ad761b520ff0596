"""How well speech drives the mouth: the bundled A2M against a ridge regression, on held-out identities.

    python -m benchmarks.a2m --data DATA --work WORK

WORK holds what the training recipe left there (tracks, fits, heard features). The ridge is trained on
log-mel of the training identities, the same ones that the A2M saw. Truth is the tracked landmarks' inner
lip gap over face height, the prediction the same measure on the mean mesh under the predicted expression.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np

from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.models.compact.speech_motion import load_a2m, predict_expression
from training.a2m.dataset import Clip, Ridge, judge_sync, lag_curve, load_clips, opening_of

REACH = 5  # frames of lag looked at


def row(predicted: np.ndarray, clip: Clip) -> list[float]:
    """Correlation at lag zero, best lag, standard deviation and mean over the true ones'."""
    frames = min(len(predicted), len(clip.opening))
    predicted, true = predicted[:frames], clip.opening[:frames]
    curve = lag_curve(predicted, true, REACH)
    return [
        curve[REACH],
        curve.argmax() - REACH,
        predicted.std() / true.std(),
        predicted.mean() / true.mean(),
    ]


def report(name: str, rows: list[list[float]]) -> None:
    r, lag, spread, mean = np.array(rows).T
    within = np.mean(np.abs(lag) <= 1)
    print(
        f"{name:28s} r median {np.median(r):.3f} mean {r.mean():.3f} min {r.min():.3f} | lag median "
        f"{np.median(lag):+.0f}, within one frame {within:.0%} | std/true {np.median(spread):.2f} "
        f"mean/true {np.median(mean):.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("work"))
    parser.add_argument("--weights", type=Path, default=Path("assets/weights/compact"))
    args = parser.parse_args()
    model = FaceModel.load(args.weights / "face_model.safetensors")
    a2m = load_a2m(args.weights)
    clips = load_clips(args.data, args.work)
    judge_sync(clips)
    held_out = [clip for clip in clips if clip.heldout]
    print(f"{len(held_out)} clips of {len({c.identity for c in held_out})} held-out identities")
    ridge = Ridge([clip for clip in clips if not clip.heldout and clip.trust > 0])
    report("ridge from log-mel", [row(ridge(clip.features[0]), clip) for clip in held_out])
    by_identity = defaultdict(list)
    for temperature in (0.0, a2m.temperature, 1.0):
        rows = []
        for clip in held_out:
            expression = predict_expression(a2m.network, clip.features[0], temperature, seed=0)
            rows.append(row(opening_of(model, expression), clip))
            if temperature == 0:
                by_identity[clip.identity].append(rows[-1][0])
        report(f"A2M, temperature {temperature:.1f}", rows)
        altered = [
            row(
                opening_of(model, predict_expression(a2m.network, clip.features[k], temperature, 0)),
                stretched,
            )
            for clip in held_out
            for k, stretched in _altered(clip)
        ]
        report("  voice, room, noise altered", altered)
    means = " ".join(f"{name} {np.mean(values):.2f}" for name, values in sorted(by_identity.items()))
    print(f"temperature 0 by identity: {means}")


def _altered(clip: Clip) -> list[tuple[int, Clip]]:
    """The altered copies of a clip's sound with the true opening stretched alike."""
    pairs = []
    for k in range(1, len(clip.features)):
        at = np.arange(len(clip.features[k]) // 4) * clip.rates[k]
        opening = np.interp(at, np.arange(len(clip.opening)), clip.opening)
        pairs.append((k, Clip(clip.name, clip.identity, True, clip.expression, opening, [], clip.rates)))
    return pairs


if __name__ == "__main__":
    main()
