"""A folder of weights to a hub repo; what each user has to fetch for himself stays here."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open

from real3d_portrait.errors import HubUploadError, WeightsDifferError
from real3d_portrait.hub import CONFIG, MANIFEST, Manifest, problems


def push(folder: Path, repo: str, public: bool = False) -> str:
    """Upload a folder of weights to a hub repo of the user's, made where it is missing; the face model stays here.

    Returns:
        The address of the commit.

    Raises:
        ManifestError, WeightsDifferError: the folder has no manifest, or differs from it.
        HubUploadError: the hub refused, or is out of reach.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, errors

    wrong = list(problems(folder))
    if wrong:
        raise WeightsDifferError(folder=folder, problems=wrong)
    manifest = Manifest.read(folder / MANIFEST)
    names = [name for name, facts in manifest.files.items() if not facts.private and not _is_face_model(folder / name)]
    files = [CommitOperationAdd(name, folder / name) for name in (*names, CONFIG, MANIFEST)]
    api = HfApi()
    try:
        api.create_repo(repo, private=not public, exist_ok=True)
        return api.create_commit(repo, files, commit_message="Weights of Real3D-Portrait").commit_url
    except (errors.HTTPError, errors.HFValidationError, OSError, ValueError) as error:
        raise HubUploadError(repo=repo, reason=str(error).strip().splitlines()[0]) from error


def _is_face_model(path: Path) -> bool:
    """Whether a file holds a face model whatever its name and manifest say: that is never uploaded."""
    try:
        with safe_open(path, "np") as file:
            return {"mean", "identity", "expression"} <= set(file.keys())
    except (SafetensorError, OSError):
        return False
