"""From released files to a folder of weights and to the hub."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from real3d_portrait import cli
from real3d_portrait.errors import (
    CheckpointMismatchError,
    CheckpointMissingError,
    CheckpointUnsafeError,
    FaceModelMissingError,
    OutputFolderInUseError,
    WeightsCorruptError,
)
from real3d_portrait.face.bfm import BaselFaceModel
from real3d_portrait.hub import Manifest, problems
from real3d_portrait.models.full.audio_to_motion import AudioToMotion, AudioToMotionConfig
from real3d_portrait.models.full.image_model import ImageModelConfig, Real3DImageModel
from real3d_portrait.models.full.importer import audio_config, import_released, read_checkpoint
from real3d_portrait.models.full.released_names import AUDIO_TO_MOTION
from real3d_portrait.models.network_file import load_network, save_network
from tests.full_release import IMAGE, SOUND, released_state, write_checkpoint, write_release
from tests.hub_server import Hub, serving

REPO = "someone/real3d"


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_release(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def weights(release: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("imported") / "weights"
    import_released(*release, folder, image_config=IMAGE)
    return folder


@pytest.fixture(scope="module")
def sound() -> dict[str, torch.Tensor]:
    return released_state(AudioToMotion(SOUND), AUDIO_TO_MOTION)


class Trap:
    """Leaves a file where it is unpickled by the unrestricted unpickler."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.mark),)


def test_the_imported_networks_hold_the_released_tensors(
    weights: Path, release: tuple[Path, Path], sound: dict[str, torch.Tensor]
) -> None:
    network = load_network(weights / "a2m.safetensors", AudioToMotion, AudioToMotionConfig)
    assert network.config == SOUND
    back = AUDIO_TO_MOTION.to_released(network.state_dict())
    assert all(torch.equal(back[name], sound[name]) for name in back)
    image = load_network(weights / "image.safetensors", Real3DImageModel, ImageModelConfig)
    assert image.config == IMAGE
    assert not image.training
    face = BaselFaceModel.load(weights / "face_model.safetensors")
    assert (face.codes == BaselFaceModel.load(release[1]).codes).all()


def test_the_folder_is_whole_and_marks_what_is_not_to_be_shared(weights: Path) -> None:
    manifest = Manifest.read(weights / "manifest.json")
    assert set(manifest.files) == {"a2m.safetensors", "image.safetensors", "face_model.safetensors"}
    assert [name for name, facts in manifest.files.items() if facts.private] == ["face_model.safetensors"]
    assert list(problems(weights)) == []


def test_a_malicious_pickle_does_not_run(release: tuple[Path, Path], tmp_path: Path) -> None:
    mark, checkpoints = tmp_path / "ran", tmp_path / "checkpoints"
    shutil.copytree(release[0], checkpoints)
    torch.save({"state_dict": Trap(mark)}, checkpoints / "audio2secc_vae" / "model_ckpt_steps_9999.ckpt")
    with pytest.raises(CheckpointUnsafeError, match="mkdir"):
        import_released(checkpoints, release[1], tmp_path / "out", image_config=IMAGE)
    assert not mark.exists()
    assert not (tmp_path / "out").exists()
    torch.load(checkpoints / "audio2secc_vae" / "model_ckpt_steps_9999.ckpt", weights_only=False)
    assert mark.exists()  # the trap works


def test_the_latest_checkpoint_counts_in_either_container(sound: dict[str, torch.Tensor], tmp_path: Path) -> None:
    path = tmp_path / "model_ckpt_steps_20.ckpt"
    torch.save({"state_dict": {f"model.{name}": tensor for name, tensor in sound.items()}}, path)
    assert read_checkpoint(path).keys() == sound.keys()
    plain = write_checkpoint(tmp_path / "plain", sound)
    assert read_checkpoint(plain).keys() == sound.keys()


def test_of_several_steps_the_largest_is_taken(
    release: tuple[Path, Path], sound: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    checkpoints = tmp_path / "checkpoints"
    shutil.copytree(release[0], checkpoints)
    name = "vae.decoder.out_proj.bias"
    for steps in (999, 20000):
        write_checkpoint(checkpoints / "audio2secc_vae", {**sound, name: torch.full_like(sound[name], steps)}, steps)
    import_released(checkpoints, release[1], tmp_path / "out", image_config=IMAGE)
    network = load_network(tmp_path / "out" / "a2m.safetensors", AudioToMotion, AudioToMotionConfig)
    assert (network.output.bias == 20000).all()


def test_the_variant_is_read_from_the_tensors(sound: dict[str, torch.Tensor]) -> None:
    assert audio_config(sound) == SOUND
    hidden = SOUND.hidden
    without = {name: tensor for name, tensor in sound.items() if name != "mouth_amp_embed"}
    without["cond_proj.weight"] = sound["cond_proj.weight"][:, : 3 * hidden]
    assert not audio_config(without).mouth_amplitude
    with pytest.raises(ValueError, match="pitch"):
        audio_config({name: tensor for name, tensor in sound.items() if not name.startswith("pitch_embed")})
    wide = torch.cat([sound["cond_proj.weight"], sound["cond_proj.weight"][:, :hidden]], 1)
    with pytest.raises(ValueError, match="2 embeddings"):
        audio_config({**sound, "cond_proj.weight": wide, "eye_amp_embed": torch.zeros(hidden)})


def test_what_is_missing_or_does_not_fit_is_named(
    release: tuple[Path, Path], sound: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointMissingError, match="audio-to-motion"):
        import_released(tmp_path / "empty", release[1], out)
    with pytest.raises(FaceModelMissingError, match="BFM_model_front"):
        import_released(release[0], tmp_path / "empty", out)
    checkpoints = tmp_path / "checkpoints"
    shutil.copytree(release[0], checkpoints)
    write_checkpoint(checkpoints / "audio2secc_vae", {**sound, "vae.more": torch.zeros(1)}, 5000)
    with pytest.raises(CheckpointMismatchError, match=r"vae\.more"):
        import_released(checkpoints, release[1], out, image_config=IMAGE)
    (checkpoints / "audio2secc_vae" / "model_ckpt_steps_6000.ckpt").write_bytes(b"PK no zip")
    with pytest.raises((CheckpointMismatchError, CheckpointUnsafeError)):
        import_released(checkpoints, release[1], out, image_config=IMAGE)
    assert not out.exists()
    with pytest.raises(OutputFolderInUseError):
        import_released(*release, release[1], image_config=IMAGE)
    assert (release[1] / "BFM_model_front.mat").is_file()


def test_a_damaged_network_file_is_refused(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "a2m.safetensors"
    for content in (b"", b"no tensors", (weights / "a2m.safetensors").read_bytes()[:-100]):
        path.write_bytes(content)
        with pytest.raises(WeightsCorruptError):
            load_network(path, AudioToMotion, AudioToMotionConfig)
    save_network(path, torch.nn.Linear(2, 2), SOUND)
    with pytest.raises(WeightsCorruptError):
        load_network(path, AudioToMotion, AudioToMotionConfig)
    with pytest.raises(WeightsCorruptError, match="unknown key"):
        load_network(weights / "image.safetensors", AudioToMotion, AudioToMotionConfig)


@pytest.mark.slow
def test_verify_and_push_through_the_command_line(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["weights", "verify", str(weights)]) == 0
    copy = tmp_path / "copy"
    shutil.copytree(weights, copy)
    # A face model under another name stays here too, whatever the manifest says of it.
    shutil.copy(copy / "face_model.safetensors", copy / "innocent.safetensors")
    Manifest.of(copy, frozenset({"face_model.safetensors"})).write(copy)

    with serving(Hub({})) as hub:
        done = push(hub, tmp_path, copy, HF_TOKEN=hub.token)
        assert (done.returncode, done.stderr) == (0, "")
        assert set(hub.repos[REPO]) == {"a2m.safetensors", "image.safetensors", "config.yaml", "manifest.json"}
        assert hub.repos[REPO]["image.safetensors"] == (weights / "image.safetensors").read_bytes()
        assert REPO in hub.private
        assert json.loads(hub.repos[REPO]["manifest.json"])["files"]["face_model.safetensors"]["private"]

        done = push(hub, tmp_path, copy, HF_TOKEN="wrong")
        assert done.returncode == 2
        assert "token" in done.stderr
        (copy / "a2m.safetensors").write_bytes(b"damaged")
        hub.repos.clear()
        assert push(hub, tmp_path, copy, HF_TOKEN=hub.token).returncode == 2
        assert hub.repos == {}

    assert cli.main(["weights", "verify", str(copy)]) == 2
    assert "a2m.safetensors: 7 bytes instead of" in capsys.readouterr().err


# Loads a model from a repo and uses one stage after the other; tells what each has fetched by then.
STAGES = """
import json, sys, urllib.request
from real3d_portrait import Real3DPortrait
def fetched():
    return json.load(urllib.request.urlopen(sys.argv[2] + "/fetched"))
seen = {"import": fetched()}
portraits = Real3DPortrait.from_pretrained(sys.argv[1], device="cpu")
seen["load"] = fetched()
for stage in ("audio_network", "face_model", "image_network"):
    getattr(portraits.model, stage)
    seen[stage] = fetched()
print(json.dumps(seen))
"""


@pytest.mark.slow
def test_a_model_on_the_hub_is_fetched_stage_by_stage(weights: Path, tmp_path: Path) -> None:
    files = {path.name: path.read_bytes() for path in weights.iterdir() if path.name != "face_model.safetensors"}
    with serving(Hub({REPO: files}, private=frozenset({REPO}))) as hub:
        done = subprocess.run(
            [sys.executable, "-c", STAGES, REPO, hub.url],
            env={**_clean(), **_at(hub, tmp_path), "HF_TOKEN": hub.token, "REAL3D_BFM": str(weights)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    start = ["manifest.json", "config.yaml"]
    assert seen == {
        "import": [],
        "load": start,
        "audio_network": [*start, "a2m.safetensors"],
        "face_model": [*start, "a2m.safetensors"],
        "image_network": [*start, "a2m.safetensors", "image.safetensors"],
    }


def _clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING", "REAL3D_"))}


def _at(hub: Hub, home: Path) -> dict[str, str]:
    return {"HF_ENDPOINT": hub.url, "HF_HOME": str(home)}


def push(hub: Hub, home: Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "real3d_portrait", "weights", "push", str(folder), REPO],
        env={**_clean(), **_at(hub, home), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
