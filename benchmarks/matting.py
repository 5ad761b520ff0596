"""Matte and foreground colours against PyMatting's, on portraits put before other backgrounds.

    pip install --no-deps pymatting
    python -m benchmarks.matting --faces FACES [--pictures 20] [--sheets FOLDER]

FACES holds manifest.csv. Scenes of known truth are composed over the background plate of the next portrait and over a
strong colour with grain, and every method gets the same trimap, made from the scene as the product makes it. Truths:

- drawn: the photo, cut out along an outline inside the person's, with strands of hair drawn at it
- own, library: the matte and foreground that this project, or PyMatting, finds in the photo: soft edges, of which each
  method may favour its own kind

Matte: mean absolute error, mean squared error and gradient error (mean squared difference of the magnitude of Gaussian
derivatives of 1.4 pixels, after Rhemann et al. 2009), each times 1000, on the trimap's unknown band. Foreground: mean
absolute error weighted by the true alpha where it lies between 0 and 1, in levels of 255, given the true matte and
given this project's estimated one.
"""

from __future__ import annotations

import argparse
import csv
import logging
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from real3d_portrait.arrays import BoolArray, Frame, Matte
from real3d_portrait.face.face_model import FaceModel
from real3d_portrait.media.images import read_photo
from real3d_portrait.portrait import matting
from real3d_portrait.portrait.compact import CompactPortrait, prepare_compact_portrait
from real3d_portrait.portrait.inpainting import foreground_colours
from real3d_portrait.portrait.trimap import shrunk
from real3d_portrait.resources import resource
from training.split import is_heldout_portrait

log = logging.getLogger(__name__)

SIZE = 512
COLOURS = ((0, 170, 60), (30, 60, 220), (230, 40, 40), (240, 200, 20), (255, 0, 200))
GRADIENT_SCALE = 1.4  # pixels
STRANDS = 400

Known = tuple[Matte, BoolArray, BoolArray]  # person probability, surely person, surely background
MatteMethod = Callable[[Frame, Known], Matte]
ForegroundMethod = Callable[[Frame, Matte], Frame]


def own_matte(image: Frame, known: Known) -> Matte:
    return matting.alpha_matte(image, *known)


def closed_form(image: Frame, known: Known) -> Matte:
    """Levin et al. 2008 as the library solves it: the trimap alone, incomplete Cholesky, to convergence."""
    from pymatting import estimate_alpha_cf

    _, inside, outside = known
    return estimate_alpha_cf(image / 255, np.where(inside, 1.0, np.where(outside, 0.0, 0.5))).astype(np.float32)


def closed_form_with_prior(image: Frame, known: Known) -> Matte:
    """This project's colour estimate as data term in the library's Laplacian, preconditioner and solver."""
    from pymatting import cf_laplacian, cg, ichol
    from scipy.sparse import diags

    probability, inside, outside = known
    decided = inside | outside
    unknown = ~decided
    estimate, variance = matting.mixture_estimate(image.astype(np.float32) / 255, probability, inside, outside)
    laplacian = cf_laplacian(image / 255, epsilon=1e-3, is_known=decided.ravel())
    rows = laplacian[unknown.ravel()]
    weight = 0.04 / (variance.astype(np.float64) + 0.01)
    system = rows[:, unknown.ravel()] + diags(weight)
    right = weight * estimate - rows[:, decided.ravel()] @ inside.ravel()[decided.ravel()].astype(np.float64)
    alpha = inside.astype(np.float32)
    alpha[unknown] = cg(system.tocsr(), right, M=ichol(system.tocsc()), rtol=1e-4)
    return matting.finished(alpha, inside, outside)


def library_foreground(image: Frame, alpha: Matte) -> Frame:
    from pymatting import estimate_foreground_ml

    return np.clip(255 * estimate_foreground_ml(image / 255, alpha) + 0.5, 0, 255).astype(np.uint8)


MATTES: dict[str, MatteMethod] = {
    "own": own_matte,
    "closed form": closed_form,
    "own prior, library solver": closed_form_with_prior,
}
FOREGROUNDS: dict[str, ForegroundMethod] = {"own": foreground_colours, "library": library_foreground}


def strong_colour(index: int, random: np.random.Generator) -> Frame:
    grain = cv2.GaussianBlur(random.normal(0, 8, (SIZE, SIZE, 1)), (0, 0), 0.8)[..., None]
    return np.clip(np.array(COLOURS[index % len(COLOURS)]) + grain, 0, 255).astype(np.uint8)


def composed(front: Frame, back: Frame, alpha: Matte) -> Frame:
    mixed = alpha[..., None] * front.astype(np.float32) + (1 - alpha[..., None]) * back
    return np.clip(mixed + 0.5, 0, 255).astype(np.uint8)


def gradient(alpha: Matte) -> Matte:
    smooth = cv2.GaussianBlur(alpha, (0, 0), GRADIENT_SCALE)
    return np.hypot(cv2.Sobel(smooth, -1, 1, 0, scale=1 / 8), cv2.Sobel(smooth, -1, 0, 1, scale=1 / 8))


def matte_errors(found: Matte, truth: Matte, band: BoolArray) -> tuple[float, float, float]:
    difference = (found - truth)[band]
    slope = (gradient(found) - gradient(truth))[band]
    return float(np.abs(difference).mean()), float(np.square(difference).mean()), float(np.square(slope).mean())


def foreground_error(found: Frame, truth: Frame, alpha: Matte) -> float:
    soft = alpha * ((alpha > 0) & (alpha < 1))
    difference = np.abs(found.astype(np.float32) - truth).mean(-1)
    return float((soft * difference).sum() / max(float(soft.sum()), 1e-6))


def prepared_portraits(faces: Path, most: int, seed: int) -> list[CompactPortrait]:
    """Held-out portraits, drawn at random."""
    with (faces / "manifest.csv").open(newline="") as table:
        files = [row["file"] for row in csv.DictReader(table) if is_heldout_portrait(row["group"])]
    np.random.default_rng(seed).shuffle(files)
    model = FaceModel.load(resource("assets", "weights", "compact", "face_model.safetensors"))
    return [prepare_compact_portrait(read_photo(faces / file), model, SIZE) for file in files[:most]]


class Table:
    """Figures by row and column, printed as means or, for seconds, as medians with their range."""

    def __init__(self) -> None:
        self._figures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def add(self, row: str, **figures: float) -> None:
        for name, figure in figures.items():
            self._figures[row][name].append(figure)

    def __str__(self) -> str:
        return "\n".join(
            f"{row:45s} " + "  ".join(_cell(name, figures) for name, figures in columns.items())
            for row, columns in self._figures.items()
        )


def _cell(name: str, figures: list[float]) -> str:
    if name.endswith("seconds"):
        return f"{name} {np.median(figures):.3f} ({min(figures):.3f}-{max(figures):.3f})"
    return f"{name} {np.mean(figures):.4g}"


def timed(table: Table, row: str, work: Callable[..., Any], *arguments: Any) -> Any:
    start, cpu_start = time.perf_counter(), time.process_time()
    result = work(*arguments)
    table.add(row, seconds=time.perf_counter() - start, core_seconds=time.process_time() - cpu_start)
    return result


def drawn_hair(alpha: Matte, chin_y: float, random: np.random.Generator) -> Matte:
    """A person whose outline lies inside that of `alpha`, with thin strands above the chin that end inside it too."""
    margin = 0.05 * len(alpha)
    solid = shrunk(alpha > 0.5, margin)
    drawn = solid.astype(np.float32)
    distance = cv2.GaussianBlur(cv2.distanceTransform((~solid).astype(np.uint8), cv2.DIST_L2, 5), (0, 0), 3)
    away = np.stack([cv2.Sobel(distance, -1, 1, 0), cv2.Sobel(distance, -1, 0, 1)], -1)
    roots = np.argwhere(solid & ~shrunk(solid, 2) & (np.arange(len(alpha))[:, None] < chin_y))
    for y, x in roots[random.integers(0, len(roots), STRANDS)]:
        turn = random.uniform(-0.8, 0.8)
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        way = rotation @ (away[y, x] / max(float(np.linalg.norm(away[y, x])), 1e-6))
        tip = np.array([x, y]) + random.uniform(0.2, 0.9) * margin * way
        ends = [tuple(np.rint(16 * np.asarray(end)).astype(int).tolist()) for end in ((x, y), tip)]
        cv2.line(drawn, *ends, float(random.uniform(0.5, 1)), 1, cv2.LINE_AA, shift=4)
    return np.clip(cv2.GaussianBlur(drawn, (0, 0), 0.7), 0, 1)


def labelled(picture: Frame, text: str) -> Frame:
    picture = picture.copy()
    cv2.putText(picture, text, (8, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 0, 0), 3)
    cv2.putText(picture, text, (8, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 1)
    return picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True, help="folder with manifest.csv")
    parser.add_argument("--pictures", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheets", type=Path, help="folder for each photo's person on strong colours, by each method")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    start = time.perf_counter()
    import pymatting

    log.info("import of pymatting %s: %.1f s", pymatting.__version__, time.perf_counter() - start)
    people = prepared_portraits(options.faces, options.pictures, options.seed)
    random = np.random.default_rng(options.seed)
    mattes, fronts = Table(), Table()
    for index, person in enumerate(people):
        image, alpha = person.image, person.matte
        known = matting.portrait_trimap(image, person.landmarks)
        found = {name: timed(mattes, name, method, image, known) for name, method in MATTES.items()}
        colours = {name: timed(fronts, name, method, image, alpha) for name, method in FOREGROUNDS.items()}
        if options.sheets:
            write_sheet(options.sheets / f"{index:02d}.png", person, found, colours, COLOURS[index % len(COLOURS)])
        library = found["closed form"]
        truths = {
            "drawn": (drawn_hair(alpha, float(person.landmarks[:, 1].max()), random), image),
            "own": (alpha, colours["own"]),
            "library": (library, library_foreground(image, library)),
        }
        backs = {"plate": people[(index + 1) % len(people)].background, "colour": strong_colour(index, random)}
        for (truth, (true_alpha, front)), (place, back) in product(truths.items(), backs.items()):
            scene = composed(front, back, true_alpha)
            known = matting.portrait_trimap(scene, person.landmarks)
            case = f"{truth}, {place}"
            compare_mattes(mattes, case, scene, known, true_alpha)
            if truth == "drawn":
                compare_foregrounds(fronts, case, scene, known, true_alpha, front)
        log.info("%d of %d", index + 1, len(people))
    log.info("matte\n%s\nforeground\n%s", mattes, fronts)


def compare_mattes(table: Table, case: str, scene: Frame, known: Known, truth: Matte) -> None:
    band = ~(known[1] | known[2])
    for name, method in MATTES.items():
        mean, square, slope = matte_errors(method(scene, known), truth, band)
        table.add(f"{case}: {name}", mean=1e3 * mean, square=1e3 * square, gradient=1e3 * slope)


def compare_foregrounds(table: Table, case: str, scene: Frame, known: Known, alpha: Matte, truth: Frame) -> None:
    estimated = own_matte(scene, known)
    for name, estimate in FOREGROUNDS.items():
        table.add(
            f"{case}: {name}",
            true_matte=foreground_error(estimate(scene, alpha), truth, alpha),
            estimated_matte=foreground_error(estimate(scene, estimated), truth, alpha),
        )


def write_sheet(
    path: Path,
    person: CompactPortrait,
    found: dict[str, Matte],
    colours: dict[str, Frame],
    colour: tuple[int, int, int],
) -> None:
    """Above each matte with this project's foreground, below the photo and each foreground with the own matte."""
    plain = np.broadcast_to(np.array(colour, np.uint8), person.image.shape)
    above = [
        labelled(composed(foreground_colours(person.image, alpha), plain, alpha), name) for name, alpha in found.items()
    ]
    below = [labelled(person.image, "photo")]
    below += [labelled(composed(front, plain, person.matte), f"colours: {name}") for name, front in colours.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.vstack([np.hstack(above), np.hstack(below)])).save(path)


if __name__ == "__main__":
    main()
