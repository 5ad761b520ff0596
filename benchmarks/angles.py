"""Asked-for and measured head turns: render a photo at added angles and fit the face model to what came out.

    python -m benchmarks.angles PHOTO [PHOTO …]

Prints, for each photo and turn, the measured change in degrees. The measure is the project's own tracker and
fit on the rendered picture against the same on the untouched photo's rendering.
"""

from __future__ import annotations

import argparse

import numpy as np

from real3d_portrait import Real3DPortrait
from real3d_portrait.face.fitting import fit_still
from real3d_portrait.face.tracking import FaceFinder
from real3d_portrait.media.images import read_photo
from real3d_portrait.models.compact.frame import over
from real3d_portrait.portrait.compact import prepare_compact_portrait

TURNS = [(10, 0), (20, 0), (-10, 0), (-20, 0), (0, 5), (0, 10), (0, -5), (0, -10)]
SIZE = 512


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="+")
    args = parser.parse_args()
    model = Real3DPortrait.from_pretrained("compact").model
    errors = []
    with FaceFinder(max_faces=1) as finder:
        for index, photo in enumerate(args.photos):
            portrait = prepare_compact_portrait(read_photo(photo), model.face_model, size=SIZE)
            avatar = model.reconstruct(portrait)

            def measured(yaw: float, pitch: float) -> np.ndarray:
                rotation = avatar.rotation + np.radians([yaw, pitch, 0])  # noqa: B023
                rest = np.zeros(model.face_model.n_expression)
                person = model.renderer.frame(avatar, rest, rotation, avatar.translation, np.zeros(2))  # noqa: B023
                face = finder.find(over(person, avatar.plate))[0]  # noqa: B023
                return np.degrees(fit_still(model.face_model, face, SIZE).rotation)[:2]

            start = measured(0, 0)
            for turn in TURNS:
                got = measured(*turn) - start
                errors.append(np.abs(got - turn).max())
                print(f"photo {index}: asked {turn[0]:+4d} {turn[1]:+4d}  measured {got[0]:+6.1f} {got[1]:+6.1f}")
    print(f"largest error {max(errors):.1f} degrees, median {np.median(errors):.1f}")


if __name__ == "__main__":
    main()
