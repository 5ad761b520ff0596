"""Where weights come from: bundled, a folder, or a hub repo; found at once, fetched when a stage first needs them.

A folder of weights holds a `manifest.json` with the size and SHA-256 of each file. On the hub, the revision is fixed
by the first answer (or by the caller, `owner/repo@revision`) and every later file comes from that same commit. Files
go into the cache that all programs with huggingface_hub share; HF_HOME, HF_ENDPOINT, HF_HUB_OFFLINE and HF_TOKEN (or
`hf auth login`) work as everywhere else. A broken transfer goes on where it stopped; progress bars are the client's.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from real3d_portrait.errors import (
    HubFetchError,
    HubRefusedError,
    ManifestError,
    ModelMissingError,
    WeightsCorruptError,
    WeightsFileMissingError,
    WeightsUnsetError,
)
from real3d_portrait.resources import resource

log = logging.getLogger(__name__)

MANIFEST, CONFIG = "manifest.json", "config.yaml"
FORMAT = "real3d-portrait weights 1"
COMPACT, FULL = "compact", "real3d-portrait"
WEIGHTS_VARIABLE, OWN_FILES_VARIABLE = "REAL3D_WEIGHTS", "REAL3D_BFM"
_REPO = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
_AGAIN = "make the folder again with 'real3d-portrait weights import'"
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class FileFacts:
    """One file of a manifest. `private`: derived from what each user has to fetch, so it is never uploaded."""

    sha256: str
    bytes: int
    private: bool = False


@dataclass(frozen=True)
class Manifest:
    """What a folder of weights holds, by file name."""

    files: dict[str, FileFacts]

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Raises: ManifestError."""
        try:
            data = json.loads(path.read_text())
            if data["format"] != FORMAT:
                raise ManifestError(path=path, reason=f"its format is {data['format']!r}")
            files = {name: FileFacts(**facts) for name, facts in data["files"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ManifestError(path=path, reason=f"{type(error).__name__}: {error}") from error
        for name in files:
            if Path(name).name != name:
                raise ManifestError(path=path, reason=f"it names a file outside its folder, {name!r}")
        return cls(files)

    @classmethod
    def of(cls, folder: Path, private: frozenset[str] = frozenset()) -> Manifest:
        """The manifest of the files that lie in a folder now; the configuration is left out, for it may be edited."""
        files = sorted(path for path in folder.iterdir() if path.is_file() and path.name not in (MANIFEST, CONFIG))
        return cls({f.name: FileFacts(sha256(f), f.stat().st_size, f.name in private) for f in files})

    def write(self, folder: Path) -> None:
        """As `manifest.json` into the folder."""
        data = {"format": FORMAT, "files": {name: asdict(facts) for name, facts in self.files.items()}}
        (folder / MANIFEST).write_text(json.dumps(data, indent=2) + "\n")


def sha256(path: Path) -> str:
    """Of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class FolderWeights:
    """A model's files in a folder."""

    def __init__(self, folder: Path) -> None:
        """Raises: ManifestError."""
        self.name = str(folder)
        self.folder = folder
        self.manifest = Manifest.read(folder / MANIFEST)
        self._checked: dict[str, Path] = {}

    @property
    def place(self) -> str:
        return f"the folder '{self.folder}'"

    def config(self) -> Path:
        """The model's configuration. Raises WeightsFileMissingError."""
        found = self.folder / CONFIG
        if not found.is_file():
            raise WeightsFileMissingError(file=CONFIG, model=self.name, where=self.place, cure=_AGAIN)
        return found

    def path(self, file: str) -> Path:
        """The file, checked against the manifest once.

        Raises: WeightsFileMissingError, WeightsCorruptError.
        """
        if file not in self._checked:
            facts = _facts(self, file)
            found = self.folder / file
            if facts.private and not found.is_file():
                return own_file(file, self)
            if not found.is_file():
                raise WeightsFileMissingError(file=file, model=self.name, where=self.place, cure=_AGAIN)
            _check(found, facts)
            self._checked[file] = found
        return self._checked[file]

    def require(self, file: str) -> None:
        """Raises WeightsFileMissingError where the file is not here."""
        _facts(self, file)
        if self.present(file) is None:
            self.path(file)

    def present(self, file: str) -> Path | None:
        """Where the file lies now, unchecked and without fetching it."""
        found = self.folder / file
        return found if found.is_file() else _own(file)


class HubWeights:
    """A model's files in a hub repo, at one commit."""

    def __init__(self, repo: str, revision: str | None = None, cached: bool = False) -> None:
        """Asks the hub, or with `cached` the cache alone, for the manifest: its commit is where all files come from.

        Raises: HubRefusedError, HubFetchError, WeightsFileMissingError (no manifest), ManifestError.
        """
        self.name = self.repo = repo
        self._cached = cached
        manifest = fetch(repo, MANIFEST, revision or "main", cached)
        self._revision = manifest.parent.name
        self.manifest = Manifest.read(manifest)
        self._checked: dict[str, Path] = {}

    @property
    def revision(self) -> str:
        return self._revision

    @property
    def place(self) -> str:
        return f"the hub repo '{self.repo}' at {self._revision}"

    def config(self) -> Path:
        """The model's configuration, which is small and comes with the manifest. Raises as `path`."""
        return fetch(self.repo, CONFIG, self._revision, self._cached)

    def path(self, file: str) -> Path:
        """The file in the cache, fetched on first need and checked against the manifest.

        Raises: HubRefusedError, HubFetchError, WeightsFileMissingError, WeightsCorruptError.
        """
        if file not in self._checked:
            facts = _facts(self, file)
            if facts.private:
                return own_file(file, self)
            found = fetch(self.repo, file, self._revision)
            try:
                _check(found, facts)
            except WeightsCorruptError:
                # Left in the cache, the bad file would be served for ever.
                found.resolve().unlink(missing_ok=True)
                found.unlink(missing_ok=True)
                raise
            self._checked[file] = found
        return self._checked[file]

    def require(self, file: str) -> None:
        """Raises WeightsFileMissingError where the file is neither in the repo nor, if no repo may hold it, here."""
        if _facts(self, file).private:
            own_file(file, self)

    def present(self, file: str) -> Path | None:
        """Where the file lies in the cache now, unchecked and without fetching it."""
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(self.repo, file, revision=self._revision)
        return Path(found) if isinstance(found, str) else _own(file)


Weights = FolderWeights | HubWeights


def fetch(repo: str, file: str, revision: str, cached: bool = False) -> Path:
    """One file of a hub repo, from the cache or, unless `cached`, the network.

    Raises: HubRefusedError, HubFetchError, WeightsFileMissingError.
    """
    from huggingface_hub import constants, errors, hf_hub_download

    log.info("looking for %s of %s at %s", file, repo, revision)
    silence: BaseException | None = None
    try:
        silence = LookupError("it was not asked") if cached else _silence(repo, file, revision)
        return Path(hf_hub_download(repo, file, revision=revision, local_files_only=silence is not None))
    except errors.GatedRepoError as error:
        reason = "its owner grants access one by one"
        raise HubRefusedError(endpoint=constants.ENDPOINT, repo=repo, reason=reason) from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise HubRefusedError(endpoint=constants.ENDPOINT, repo=repo, reason="not found, or private") from error
    except errors.RevisionNotFoundError as error:
        raise HubRefusedError(
            endpoint=constants.ENDPOINT, repo=f"{repo}@{revision}", reason="no such revision"
        ) from error
    except errors.LocalEntryNotFoundError as error:
        raise _not_fetched(repo, file, silence or error.__cause__ or error) from error
    except errors.EntryNotFoundError as error:
        cure = "upload it with 'real3d-portrait weights push', or name another repo"
        raise WeightsFileMissingError(file=file, model=repo, where=f"revision {revision}", cure=cure) from error
    except errors.HfHubHTTPError as error:
        if error.response is not None and error.response.status_code in (401, 403):
            raise HubRefusedError(endpoint=constants.ENDPOINT, repo=repo, reason="access denied") from error
        raise _not_fetched(repo, file, error) from error
    except (OSError, errors.HTTPError) as error:
        raise _not_fetched(repo, file, error) from error


def _silence(repo: str, file: str, revision: str) -> BaseException | None:
    """Why the hub does not answer, or None: asked once, where the client itself would try for half a minute.

    Raises: what the hub answers, as the client's exceptions.
    """
    from huggingface_hub import errors, get_hf_file_metadata, hf_hub_url, try_to_load_from_cache

    if _COMMIT.fullmatch(revision) and isinstance(try_to_load_from_cache(repo, file, revision=revision), str):
        return None
    try:
        get_hf_file_metadata(hf_hub_url(repo, file, revision=revision))
    except errors.HfHubHTTPError as error:
        if error.response.status_code < 500:
            raise
        return error
    except (errors.HTTPError, OSError) as error:
        return error
    return None


def _not_fetched(repo: str, file: str, cause: BaseException) -> HubFetchError:
    from huggingface_hub import constants

    reason = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else f"{type(cause).__name__}: {cause}"[:80]
    return HubFetchError(file=file, repo=repo, cache=constants.HF_HUB_CACHE, endpoint=constants.ENDPOINT, reason=reason)


def resolve(model: str | os.PathLike[str], revision: str | None = None, cached: bool = False) -> Path | Weights:
    """Find a model's weights without fetching them: a folder of the compact model, or weights with a manifest.

    Args:
        model: `compact`; `real3d-portrait`, which is what REAL3D_WEIGHTS names; `owner/repo`, or
            `owner/repo@revision`; or a folder.
        revision: branch, tag or commit of a hub repo.
        cached: look for a hub repo on this machine only.

    Raises:
        ModelMissingError: none of these. WeightsUnsetError: REAL3D_WEIGHTS is not set.
        What `FolderWeights` and `HubWeights` raise.
    """
    if model == COMPACT:
        return resource("assets", "weights", "compact")
    if model == FULL:
        named = os.environ.get(WEIGHTS_VARIABLE)
        if not named:
            raise WeightsUnsetError(model=model, variable=WEIGHTS_VARIABLE)
        return _resolve_place(named, revision, cached)
    return _resolve_place(model, revision, cached)


def _resolve_place(place: str | os.PathLike[str], revision: str | None, cached: bool) -> Path | Weights:
    folder = Path(place).expanduser()
    if (folder / MANIFEST).is_file():
        return FolderWeights(folder)
    if folder.is_dir():
        return folder
    repo = _REPO.fullmatch(str(place)) if isinstance(place, str) else None
    if repo is None:
        raise ModelMissingError(model=place, where=f"the bundled models or the folder '{folder}'")
    return HubWeights(repo["repo"], revision or repo["revision"], cached)


def in_cache(source: str, revision: str) -> bool:
    """Whether a network in transformers' layout, a folder or a hub repo, lies on this machine."""
    from huggingface_hub import try_to_load_from_cache

    if Path(source).is_dir():
        return True
    names = ("model.safetensors", "pytorch_model.bin")
    return any(isinstance(try_to_load_from_cache(source, name, revision=revision), str) for name in names)


def own_file(file: str, weights: Weights) -> Path:
    """A file that no repo may hold, from the folder in REAL3D_BFM.

    Raises: WeightsFileMissingError, which tells how to make it.
    """
    found = _own(file)
    if found is None:
        named = os.environ.get(OWN_FILES_VARIABLE)
        looked = f"{weights.place} and " + (f"'{named}'" if named else f"{OWN_FILES_VARIABLE}, which is not set")
        cure = (
            f"its licence makes each user fetch it: make it with 'real3d-portrait weights import --bfm' and let "
            f"{OWN_FILES_VARIABLE} name its folder (docs/weights.md)"
        )
        raise WeightsFileMissingError(file=file, model=weights.name, where=looked, cure=cure)
    return found


def _own(file: str) -> Path | None:
    named = os.environ.get(OWN_FILES_VARIABLE)
    found = Path(named).expanduser() / file if named else None
    return found if found is not None and found.is_file() else None


def problems(folder: Path) -> Iterator[str]:
    """What differs between a folder and its manifest, one line each.

    Raises: ManifestError.
    """
    manifest = Manifest.read(folder / MANIFEST)
    for name, facts in manifest.files.items():
        try:
            if not (folder / name).is_file():
                yield f"{name}: missing"
            else:
                _check(folder / name, facts)
        except WeightsCorruptError as error:
            yield f"{name}: {error.facts['reason']}"
    known = {*manifest.files, MANIFEST, CONFIG}
    yield from (f"{path.name}: not in the manifest" for path in sorted(folder.iterdir()) if path.name not in known)


def _facts(weights: Weights, file: str) -> FileFacts:
    if file not in weights.manifest.files:
        raise WeightsFileMissingError(
            file=file, model=weights.name, where=f"the manifest of {weights.place}", cure=_AGAIN
        )
    return weights.manifest.files[file]


def _check(path: Path, facts: FileFacts) -> None:
    size = path.stat().st_size
    if size != facts.bytes:
        raise WeightsCorruptError(path=path, reason=f"{size} bytes instead of {facts.bytes}")
    found = sha256(path)
    if found != facts.sha256:
        raise WeightsCorruptError(path=path, reason=f"SHA-256 {found[:12]}… instead of {facts.sha256[:12]}…")
