"""Cuts the small sets of recorded numbers in `fixtures/` from the full sets of seed 1.

    python -m tests.parity.make_fixtures ../shared/parity

Numbers are kept bit by bit, pictures as lossless WebP; the statistics and tolerances in the index are those of the full
arrays.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.parity.folders import SMALL_SETS, parse_slice

Index = dict[str, Any]


@dataclass(frozen=True)
class Keep:
    """Arrays whose names fit one of `keys`.

    part: an index, nothing for all. rows: `part` takes rows of the inputs of a test as well as of its outputs, so that
    a small array is compared whole; otherwise a network puts out the whole array and its `part` is compared.
    """

    keys: tuple[str, ...]
    part: str = ""
    rows: bool = False


def keep(*keys: str, part: str = "") -> Keep:
    return Keep(keys, part)


def rows(*keys: str, part: str) -> Keep:
    return Keep(keys, part, rows=True)


# The first entry that fits a key holds; what none fits is left out.
REAL3D: dict[str, list[Keep]] = {
    "inputs": [keep("*")],
    "a2m": [keep("T24_*")],
    "planes": [
        keep("*_plane_edge", part=":,:,:,::4"),
        keep("*_plane", part=":,::4,::4,::4"),
        keep("cano_resnet_layer2", part="::2"),
        keep("secc_mit3", "cano_low", part="::2,::2,::2"),
        keep("secc_mit0", "secc_mit1", "secc_mit2", "secc_prenet", part=":,::4,::2"),
        keep("*", part="::2,::4,::4"),
    ],
    "render": [
        keep("planes_lowres"),
        rows("query_*", part=":,:96"),
        keep("cam?_ray_dir", part="::4"),
        keep("*_feature_image", part="::2,::5,::5"),
        keep("*_depth_image", "*_weights_image", part="::6,::6"),
        keep("cam*"),
    ],
    "sr": [
        keep("*_lowres"),
        keep("sr_block0_x", "fuse_*", "ht_block_x", "sr_block1_x", "torso_hid", part="::2,::6,::6"),
        keep("torso_feats", "torso_motion_fuser", part="::2,::2,::2,::2"),
        keep("torso_head_enc", part="::2,::2,::2"),
        keep("torso_deformation", part="::2,::3,::3"),
        keep("torso_occlusion*", part="::4,::4"),
        keep("*_rgb", "image*", part=":,::8,::8"),
    ],
    "e2e": [
        keep("f?_plane", part=":,::2,::4,::4"),
        keep("f?_feature_image", part="::4,::5,::5"),
        keep("f?_depth_image", "f?_weights_image", "f?_torso_occlusion_2*", part="::8,::8"),
        keep("f?_torso_deformation", part="::2,::4,::4"),
        keep("f?_image_raw", part=":,::6,::6"),
        keep("f?_image*", "f?_*_rgb", part=":,::12,::12"),
    ],
    "pure": [
        rows("bfm_*_at_kp68_plus0", part="::4"),
        rows("lm_lm2d", "lm_kp", part=":,::4"),
        rows("bfm_*_at_mp468", part="::24"),
        rows("audio_mel", part=":,:1"),  # its length is compared
        rows("lm_mp468_proj224", "secc_camera_vertices_at_mp468", part=":,::24"),
        keep("*"),
    ],
}
# Read by no test: the landmarks of another reading of the face model, a camera convention, stages that inference folds
# away. The fits need the bases of the face model at all points, which alone are 740 kB.
LEFT_OUT_OF_REAL3D = ("*_kp68_minus1", "cam_convention_c2w", "torso_occlusion", "torso_enc", "bg_enc", "fit_*")

ER_NERF: dict[str, list[Keep]] = {
    "encoders": [
        rows("points", "plane_*", "triplane", "dirs", "sh", "points2d", "tiled2d", "freq2_8", part=":48"),
        keep("*"),
    ],
    "audio": [keep("aud_npy"), rows("*", part="::4")],
    "field": [
        keep("enc_a", "eye", "code"),
        rows("points", "dirs", "aud_att", "eye_att", "sigma*", "rgb", "amb_*", "unc", part=":48"),
    ],
    "rays": [keep("*")],
    "composite": [keep("*")],
    "torso": [
        keep("p?_pose", "p?_wrapped_anchor", "code", "mask_grid", "mask_mean", "mask_bg"),
        keep("mask_alpha", "mask_deform", part="::3"),
        keep("mask_color", part=":,::3"),
        rows("p?_dx", "p?_alpha", "p?_color", "bg_coords", part="::2"),
    ],
    "render": [
        keep("hw", "intrinsics", "pose?", "bg", "aud_npy", "*_trace", "wide_*"),
        keep("torso_only_alpha", part="::8"),
        keep("torso_only_color", part=":,::8"),
        keep("head_*", "torso_*", part="::4"),  # 576 rays: of fewer none might differ
    ],
    "train": [keep("*")],
    "occupancy": [
        keep("mark_untrained_bits", "bitfield", part="::8"),
        rows("pick", "density_grid_pick", part="::2"),
        keep("torso_grid", part="::4"),
        keep("*"),
    ],
}
LEFT_OUT_OF_ER_NERF = ("sigma_in", "ns_i", "ns_j", "*_padded", "occ_centre", "occ_radii", "att_conv")
LARGEST_GRADIENT = 1200  # numbers


def planned(plan: list[Keep], left_out: Iterable[str], key: str) -> Keep | None:
    if any(fnmatchcase(key, pattern) for pattern in left_out):
        return None
    return next((entry for entry in plan if any(fnmatchcase(key, pattern) for pattern in entry.keys)), None)


def write_json(file: Path, content: Any) -> None:
    text = json.dumps(content, separators=(",", ":"))
    file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


def taken(entry: Keep, array: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(array[parse_slice(entry.part)]) if entry.part else array


def write_pictures(folder: Path, name: str, arrays: dict[str, NDArray[Any]]) -> None:
    """Moves the pictures of a file out of `arrays` into strips: side by side they share what they have in common."""
    keys = [key for key, array in arrays.items() if array.shape == (512, 512, 3)]
    for strip in ([key for key in keys if "secc" not in key], [key for key in keys if "secc" in key]):
        if strip:
            joined = np.concatenate([arrays.pop(key) for key in strip], axis=1)
            best = [cv2.IMWRITE_WEBP_QUALITY, 101]  # above 100: lossless
            _, encoded = cv2.imencode(".webp", np.ascontiguousarray(joined[..., ::-1]), best)
            (folder / f"{name}.{'-'.join(strip)}.webp").write_bytes(encoded.tobytes())


def make_real3d(full: Path, folder: Path) -> None:
    """A folder with the files `tests/parity/parity_fixtures.py` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    index = json.loads((full / "seed1_index.json").read_text())
    small_index: Index = {}
    for name, plan in REAL3D.items():
        file = f"seed1_{name}.npz"
        kept: dict[str, NDArray[Any]] = {}
        entries: Index = {}
        with np.load(full / file) as arrays:
            for key in arrays.files:
                entry = planned(plan, LEFT_OUT_OF_REAL3D, key)
                if entry is None:
                    continue
                kept[key] = taken(entry, arrays[key])
                facts = index[file][key]
                known = {name: facts[name] for name in ("full_shape", "slice") if name in facts}
                if entry.rows:
                    known = {"full_shape": list(kept[key].shape)}
                known["std"] = facts.get("std", float(arrays[key].std()))
                entries[key] = known | ({"cut": entry.part} if entry.part and not entry.rows else {})
        write_pictures(folder, name, kept)
        np.savez_compressed(folder / file, **kept)  # type: ignore[arg-type]
        checks = index[file].get("_fill_check", {})
        names = [name for name in checks if name != "note"]
        step = len(names) // 220 + (len(names) < 220)  # the test wants more than 200
        if names:
            entries["_fill_check"] = {name: [float(f"{v:.9g}") for v in checks[name]] for name in names[::step]}
        small_index[file] = entries
    write_json(folder / "seed1_index.json", small_index)
    for model in ("a2m", "secc2plane_torso"):
        write_json(folder / f"state_dict_{model}.json", json.loads((full / f"state_dict_{model}.json").read_text()))


def make_er_nerf(full: Path, folder: Path) -> None:
    """A folder with the files `tests/parity/er_nerf_fixtures.py` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    index = json.loads((full / "index.json").read_text())
    small_index: Index = {}
    for name, plan in ER_NERF.items():
        file = f"{name}_seed1.npz"
        kept: dict[str, NDArray[Any]] = {}
        entries: Index = {}
        with np.load(full / file) as arrays, np.load(full / "audio_seed1.npz") as audio:
            for key in arrays.files:
                entry = planned(plan, LEFT_OUT_OF_ER_NERF, key)
                if entry is None or ("_grad:" in key and arrays[key].size > LARGEST_GRADIENT):
                    continue
                facts = index["files"][file].get(key, {})
                entries[key] = {name: facts[name] for name in ("atol", "rel_l2") if name in facts}
                if name != "audio" and key == "aud_npy":
                    assert (arrays[key] == audio[key]).all()
                    entries[key]["from"] = "audio"
                    continue
                kept[key] = taken(entry, arrays[key])
                if entry.part and not entry.rows:
                    entries[key] |= {"shape": list(arrays[key].shape), "cut": entry.part}
        np.savez_compressed(folder / file, **kept)  # type: ignore[arg-type]
        small_index[file] = entries
    write_json(folder / "index.json", {name: index[name] for name in ("seed", "rtol")} | {"files": small_index})
    for which in ("head", "torso"):
        listing = json.loads((full / f"state_dict_{which}.json").read_text())
        write_json(folder / f"state_dict_{which}.json", {"tensors": listing["tensors"]})
    weights = json.loads((full / "weights_seed1.json").read_text())
    facts = {
        which: {name: {"first": fact["first"], "sha256": fact["sha256"]} for name, fact in weights[which].items()}
        for which in ("head", "torso")
    }
    write_json(folder / "weights_seed1.json", facts)


def make(full_sets: Path, folder: Path) -> None:
    make_real3d(full_sets / "real3d", folder / "real3d")
    make_er_nerf(full_sets / "ernerf", folder / "ernerf")


if __name__ == "__main__":
    make(Path(sys.argv[1]), SMALL_SETS)
