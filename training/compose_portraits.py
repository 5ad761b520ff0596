"""Makes the example portraits: people who do not exist, each joined from at least eight synthetic faces.

    python -m training.compose_portraits --data DATA/faces [--only portrait_2]

DATA/faces holds manifest.csv and the MIT-licensed folders sfhq and sfhq_t2i; composites.yaml says which faces
lead in which region. The pictures go to assets/examples. An upscaler is trained on the same faces when WORK
has none. The log states the largest share of one source in the face, and how alike the result is to its
sources and to other faces.
"""

from __future__ import annotations

import argparse
import csv
import logging
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from numpy.typing import NDArray

from real3d_portrait.arrays import Float32Array
from real3d_portrait.face.tracking import FaceFinder, person_matte
from training import composite_align as align
from training import composite_blend as blending
from training.composite_align import SIDE, Source
from training.upscaler import MIT_FOLDERS, Upscaler, load_faces, train

log = logging.getLogger(__name__)
Spec = dict[str, Any]


class Faces:
    """The folder of faces, read one by one: landmarks, matte, and the enlarged picture."""

    def __init__(self, folder: Path, upscaler: Upscaler, work: Path) -> None:
        self._folder, self._upscaler, self._work = folder, upscaler, work
        with (folder / "manifest.csv").open() as manifest:
            rows = [r for r in csv.DictReader(manifest) if r["file"].split("/")[0] in MIT_FOLDERS]
        self.rows = {r["group"]: r for r in rows}

    def picture(self, group: str) -> NDArray[np.uint8]:
        return cv2.cvtColor(cv2.imread(str(self._folder / self.rows[group]["file"])), cv2.COLOR_BGR2RGB)

    def enlarged(self, group: str) -> Float32Array:
        kept = self._work / f"{group}.npy"
        if not kept.exists():
            np.save(kept, self._upscaler.enlarge(self.picture(group)).astype(np.float16))
        return np.load(kept).astype(np.float32)

    def source(self, spec: Spec, finder: FaceFinder) -> Source:
        group = spec["id"]
        picture, image = self.picture(group), self.enlarged(group)
        points = finder.find(picture)[0][:, :2].astype(np.float64) * 2 + 0.5
        left, top, right, bottom = (
            2 * int(self.rows[group]["pad_" + s]) + 2 for s in ("left", "top", "right", "bottom")
        )
        inside = np.zeros(image.shape[:2], np.float32)
        inside[top : -bottom or None, left : -right or None] = 1
        neckline = np.array(spec["neckline"], np.float64) * 2 + 0.5 if "neckline" in spec else None
        return Source(group, image, fine_matte(picture, image), inside, points, neckline, spec.get("shape", 1.0))


def mirrored(source: Source, pairs: NDArray[np.int64]) -> Source:
    flip = np.array([source.image.shape[1] - 1, 0])
    return Source(
        source.name + " mirrored", source.image[:, ::-1].copy(), source.matte[:, ::-1].copy(),
        source.inside[:, ::-1].copy(), (source.points * [-1, 1] + flip)[pairs],
        None if source.neckline is None else (source.neckline * [-1, 1] + flip)[::-1], source.shapes,
    )  # fmt: skip


def fine_matte(picture: NDArray[np.uint8], enlarged: Float32Array) -> Float32Array:
    """Person matte at the enlarged size, drawn to the picture's edges by a guided filter (He et al. 2010)."""
    coarse = cv2.resize(person_matte(picture), enlarged.shape[1::-1], interpolation=cv2.INTER_CUBIC)

    def box(x: Float32Array) -> Float32Array:
        return cv2.blur(x, (21, 21))

    mean_p = box(coarse)
    refined = np.zeros_like(coarse)
    for channel in cv2.split(cv2.cvtColor(enlarged, cv2.COLOR_RGB2LAB) / 100):
        mean = box(channel)
        slope = (box(channel * coarse) - mean * mean_p) / (box(channel * channel) - mean * mean + 1e-3)
        refined += (box(slope) * channel + box(mean_p - slope * mean)) / 3
    return np.clip((refined - 0.3) / 0.6, 0, 1)


def to_lab(rgb: Float32Array) -> Float32Array:
    return cv2.cvtColor(np.clip(rgb, 0, 1).astype(np.float32), cv2.COLOR_RGB2LAB)


def compose(sources: list[Source], spec: Spec) -> tuple[Float32Array, Float32Array, NDArray, Float32Array]:
    """Lab (SIDE, SIDE, 3), matte (SIDE, SIDE), the mean shape (478, 2), shares of the face (bands, N)."""
    mean, _ = align.mean_shape([s.points for s in sources], [s.shapes for s in sources])
    shape = mean * SIDE / spec["frame"] + [SIDE / 2, SIDE * spec["centre"]]
    maps, neckline = align.place(sources, shape, 40 if "hair_length" in spec else 10)
    labels = blending.label_regions(shape, neckline, spec.get("hair_length"))
    masks = {r: blending.soften(labels == i, 7) for i, r in enumerate(blending.REGIONS)}
    face = blending.polygon(shape[list(blending.OVAL)]).astype(np.float32)
    clothes = np.isin(labels, [blending.REGIONS.index(r) for r in blending.CLOTHES_REGIONS])
    neck = labels == blending.REGIONS.index("neck")
    body = blending.soften(clothes | neck, 5)
    skin = blending.plain_skin(shape)

    # One skin tone for all, before the flow compares them.
    labs = [to_lab(s.image) for s in sources]
    seen = [align.sample(lab, where, cv2.INTER_LINEAR)[skin] for lab, where in zip(labs, maps)]
    tones = np.array([(x.mean(0), x.std(0)) for x in seen])
    named = [s["id"] for s in spec["sources"]]
    tone = tones[[named.index(i) for i in spec["tone"]]].mean(0)
    tone[0] += spec.get("tone_shift", (0, 0, 0))
    labs = [blending.match_skin(lab, own, tone) for lab, own in zip(labs, tones)]

    def votes(where: list[Float32Array]) -> tuple[list[Float32Array], list[Float32Array]]:
        inside = [align.sample(s.inside, m, cv2.INTER_LINEAR, border=0.0) for s, m in zip(sources, where)]
        inside = [np.clip(2 * blending.soften(cv2.erode(i, np.ones((7, 7))), 8) - 1, 0, 1) for i in inside]
        allowed = [np.where(s.neckline is not None, 1, np.clip(1 - 1.3 * body, 0, 1)) for s in sources]
        for k, own in enumerate(spec["sources"]):
            if "regions" in own:
                allowed[k] = allowed[k] * sum(masks[r] for r in region_names(own["regions"]))
        return inside, [np.float32(i * a) for i, a in zip(inside, allowed)]

    lightness = [lab[..., 0] * s.matte + 60 * (1 - s.matte) for lab, s in zip(labs, sources)]
    limit = 7 * (1 - 0.65 * blending.soften(np.maximum(face, body), 10))
    maps = align.refine(maps, lightness, votes(maps)[1], limit)

    inside, base = votes(maps)
    mattes = [np.clip(align.sample(s.matte, m, cv2.INTER_CUBIC), 0, 1) for s, m in zip(sources, maps)]
    edge = [align.sample(np.ones_like(s.matte), m, cv2.INTER_LINEAR, border=0.0) for s, m in zip(sources, maps)]
    upper = np.arange(SIDE)[:, None] < shape[:, 1].mean()
    mattes = [np.float32(np.where(upper, a * e, a)) for a, e in zip(mattes, edge)]
    pictures = []
    for s, lab, where, matte, valid in zip(sources, labs, maps, mattes, inside):
        picture = align.sample(lab, where)
        if s.neckline is not None:
            sure = (matte > 0.95) & (valid > 0.9)
            colour = np.array(spec["clothes_colour"], np.float32)
            picture = blending.dye(picture, clothes, neck, skin | neck, sure, colour, spec.get("clothes_spread", 6))
        pictures.append(blending.foreground(picture, matte, valid))

    leaders = [
        sum(
            (masks[r] * shares.get(label(own), 0) for r, shares in spec["lead"].items()),
            np.zeros((SIDE, SIDE), np.float32),
        )
        for own in spec["sources"]
    ]
    lead = [a * np.maximum(i, 0.02) for a, i in zip(leaders, inside)]
    lab, shares = blending.blend(pictures, lead, base, face)
    hair = ("hair_top", "hair_l", "hair_r") + (("side_l", "side_r") if "hair_length" in spec else ())
    lab = blending.natural_hair(lab, sum(masks[r] for r in hair))
    ballot = [b * (0.002 + a) + 1e-7 for a, b in zip(leaders, base)]
    matte = blending.joint_matte(mattes, [a * np.maximum(i, 1e-3) for a, i in zip(leaders, inside)], ballot)
    return lab, matte, shape, shares


def label(own: Spec) -> str:
    return own["id"] + (" mirrored" if own.get("mirrored") else "")


def region_names(names: list[str]) -> list[str]:
    groups = {"face": blending.FACE_REGIONS, "clothes": blending.CLOTHES_REGIONS}
    return [r for name in names for r in groups.get(name, (name,))]


def finish(lab: Float32Array, matte: Float32Array, spec: Spec, seed: int) -> NDArray[np.uint8]:
    """RGB over a plain runner wall, with a slight tone curve and one film grain over both."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    reach = np.clip(np.hypot(x - 0.42, y - 0.35) / 0.85, 0, 1)[..., None]
    light, dark = (np.array(c, np.float32) for c in spec["wall"])
    wall = light * (1 - reach) + dark * reach
    cloud = blending.soften(rng.normal(size=(SIDE, SIDE)), 60)
    wall[..., 0] += 1.2 * cloud / cloud.std()

    lab = lab.copy()
    lab[..., 0] += spec.get("contrast", 2.5) * np.sin((lab[..., 0] / 50 - 1) * np.pi) + spec.get("lift", 0)
    lab[..., 1:] *= spec.get("chroma", 1.0)
    person, behind = (cv2.cvtColor(np.float32(p), cv2.COLOR_LAB2RGB) for p in (lab, wall))
    picture = to_lab(person * matte[..., None] + behind * (1 - matte[..., None]))
    fine, coarse = (blending.soften(rng.normal(size=(SIDE, SIDE)), s) for s in (0.6, 1.3))
    grain = 0.75 * fine / fine.std() + 0.4 * coarse / coarse.std()
    picture[..., 0] += grain * (0.55 + 0.45 * matte) * np.clip(picture[..., 0] / 40, 0.5, 1)
    return (np.clip(cv2.cvtColor(picture, cv2.COLOR_LAB2RGB), 0, 1) * 255 + 0.5).astype(np.uint8)


def details(lightness: Float32Array, points: NDArray, shape: NDArray) -> Float32Array:
    """The face's lightness on the mean shape's oval, low frequencies taken out, mean 0, length 1."""
    matrix = align.similarity(points, shape)
    placed = cv2.warpAffine(lightness, matrix, (SIDE, SIDE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    placed = blending.soften(placed, 2) - blending.soften(placed, 24)
    inner = placed[blending.polygon(shape[list(blending.OVAL)])]
    inner = inner - inner.mean()
    return inner / np.linalg.norm(inner)


def resemblance(picture: NDArray[np.uint8], spec: Spec, faces: Faces, finder: FaceFinder, others: int = 100) -> str:
    """Correlation of facial detail between the composite and each source, and unrelated frontal faces."""
    shape = finder.find(picture)[0][:, :2].astype(np.float64)
    own = details(to_lab(picture / 255)[..., 0], shape, shape)
    used = {s["id"] for s in spec["sources"]}
    frontal = [
        g for g, r in faces.rows.items()
        if g not in used and abs(float(r["yaw_deg"])) < 8 and abs(float(r["pitch_deg"])) < 12
    ]  # fmt: skip
    chosen = [frontal[i] for i in np.random.default_rng(0).permutation(len(frontal))[:others]]
    values: dict[str, list[float]] = {"source": [], "other": []}
    for kind, groups in (("source", sorted(used)), ("other", chosen)):
        for group in groups:
            found = finder.find(faces.picture(group))
            if found:
                lightness = to_lab(faces.picture(group) / np.float32(255))[..., 0]
                values[kind].append(float(own @ details(lightness, found[0][:, :2].astype(np.float64), shape)))
    s, o = np.array(values["source"]), np.array(values["other"])
    return (
        f"detail correlation with its {len(s)} sources: median {np.median(s):.2f}, largest {s.max():.2f}; "
        f"with {len(o)} others: median {np.median(o):.2f}, "
        f"95 % {np.quantile(o, 0.95):.2f}, largest {o.max():.2f}"
    )


def load_upscaler(path: Path, folder: Path) -> Upscaler:
    if not path.exists():
        log.info("training the upscaler")
        torch.save(train(load_faces(folder), steps=3000).state_dict(), path)
    net = Upscaler()
    net.load_state_dict(torch.load(path))
    return net.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv")
    parser.add_argument("--work", type=Path, default=Path("work/composites"))
    parser.add_argument("--output", type=Path, default=Path("assets/examples"))
    parser.add_argument("--only", help="name of one portrait")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args.work.mkdir(parents=True, exist_ok=True)
    args.output.mkdir(parents=True, exist_ok=True)
    specs = yaml.safe_load(Path(__file__).with_name("composites.yaml").read_text())
    faces = Faces(args.data, load_upscaler(args.work / "upscaler.pt", args.data), args.work)
    with FaceFinder(max_faces=1) as finder:
        for seed, (name, spec) in enumerate(specs.items()):
            if args.only not in (None, name):
                continue
            read = [faces.source(s, finder) for s in spec["sources"]]
            _, pairs = align.mean_shape([s.points for s in read], [s.shapes for s in read])
            sources = [mirrored(r, pairs) if s.get("mirrored") else r for r, s in zip(read, spec["sources"])]
            lab, matte, _, shares = compose(sources, spec)
            picture = finish(lab, matte, spec, seed)
            path = args.output / f"{name}.jpg"
            cv2.imwrite(str(path), picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
            log.info("%s: %d sources, largest share of the face in any band %.2f", name, len(sources), shares.max())
            log.info("%s: %s", name, resemblance(picture, spec, faces, finder))


if __name__ == "__main__":
    main()
