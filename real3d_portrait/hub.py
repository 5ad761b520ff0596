"""Where weights come from: bundled, a folder, or a hub repo; found at once, fetched when a stage first needs them.

A folder of weights holds a `manifest.json` with the size and SHA-256 of each file. On the hub, the revision is fixed
by the first answer (or by the caller, `owner/repo@revision`) and every later file comes from that same commit. Files
go into the cache that all programs with huggingface_hub share; HF_HOME, HF_ENDPOINT, HF_HUB_OFFLINE and HF_TOKEN (or
`hf auth login`) work as everywhere else. A broken transfer goes on where it stopped; progress bars are the client's.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
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

MANIFEST, CONFIG = "manifest.json", "config.yaml"
AVATAR = "avatar.json"  # what tells the folder of a personal avatar
FORMAT = "real3d-portrait weights 1"
COMPACT, FULL = "compact", "real3d-portrait"
WEIGHTS_VARIABLE, PRIVATE_FILES_VARIABLE = "REAL3D_WEIGHTS", "REAL3D_BFM"
_REPO = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
_UPLOAD = "upload it with 'real3d-portrait weights push', or name another repo"
_IMPORT_AGAIN = "make the folder again with 'real3d-portrait weights import'"


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


class Weights:
    """A model's files in a folder, or in a hub repo at one commit, whose folder in the cache fills as they are needed.

    Attributes:
        folder: where the files lie.
        repo: the hub repo that they are fetched from; None where there is none.
        manifest: which files there are.
    """

    def __init__(self, folder: Path, repo: str | None = None, cached: bool = False) -> None:
        """Raises: ManifestError."""
        self.folder = folder
        self.repo = repo
        self.manifest = Manifest.read(folder / MANIFEST)
        self._cached = cached
        self._checked: dict[str, Path] = {}

    @classmethod
    def on_hub(cls, repo: str, revision: str = "main", cached: bool = False) -> Weights:
        """Those of a hub repo. The manifest is fetched; its commit is the one that all files come from.

        Args:
            revision: branch, tag or commit.
            cached: ask the cache alone, now and later.

        Raises: HubRefusedError, HubFetchError, WeightsFileMissingError (no manifest), ManifestError.
        """
        from huggingface_hub import snapshot_download

        with _hub_errors(repo, MANIFEST, revision):
            folder = Path(snapshot_download(repo, revision=revision, allow_patterns=MANIFEST, local_files_only=cached))
        if not (folder / MANIFEST).is_file():
            raise WeightsFileMissingError(file=MANIFEST, model=repo, where=f"revision {revision}", cure=_UPLOAD)
        return cls(folder, repo, cached)

    @property
    def name(self) -> str:
        return self.repo or str(self.folder)

    @property
    def revision(self) -> str | None:
        """The commit of a hub repo."""
        return self.folder.name if self.repo else None

    @property
    def place(self) -> str:
        return f"the hub repo '{self.repo}' at {self.revision}" if self.repo else f"the folder '{self.folder}'"

    def config(self) -> Path:
        """The model's configuration, which may be edited and is not checked. Raises as `path`."""
        return self._found(CONFIG)

    def path(self, file: str) -> Path:
        """The file, fetched where it has to be, and checked against the manifest once.

        Raises: WeightsFileMissingError, WeightsCorruptError; for a hub repo also HubRefusedError, HubFetchError.
        """
        if file not in self._checked:
            facts = self._facts(file)
            if facts.private and not (self.folder / file).is_file():
                return private_file(file, self)
            found = self._found(file)
            try:
                _check(found, facts)
            except WeightsCorruptError:
                if self.repo:  # left in the cache, the bad file would be served for ever
                    found.resolve().unlink(missing_ok=True)
                    found.unlink(missing_ok=True)
                raise
            self._checked[file] = found
        return self._checked[file]

    def require(self, file: str) -> None:
        """Raises WeightsFileMissingError where the file is neither here nor to be fetched."""
        private = self._facts(file).private
        if self.present(file) is None and (private or not self.repo):
            self.path(file)

    def present(self, file: str) -> Path | None:
        """Where the file lies now, unchecked and without fetching it."""
        found = self.folder / file
        return found if found.is_file() else _private(file)

    def _facts(self, file: str) -> FileFacts:
        if file not in self.manifest.files:
            where = f"the manifest of {self.place}"
            raise WeightsFileMissingError(file=file, model=self.name, where=where, cure=_IMPORT_AGAIN)
        return self.manifest.files[file]

    def _found(self, file: str) -> Path:
        found = self.folder / file
        if found.is_file():
            return found
        if not self.repo:
            raise WeightsFileMissingError(file=file, model=self.name, where=self.place, cure=_IMPORT_AGAIN)
        from huggingface_hub import hf_hub_download

        commit = self.folder.name
        with _hub_errors(self.repo, file, commit):
            return Path(hf_hub_download(self.repo, file, revision=commit, local_files_only=self._cached))


@contextmanager
def _hub_errors(repo: str, file: str, revision: str) -> Iterator[None]:
    """Turns the client's exceptions into HubRefusedError, HubFetchError and WeightsFileMissingError."""
    from huggingface_hub import constants, errors

    try:
        yield
    except (errors.HTTPError, errors.HFValidationError, OSError) as error:
        # Where the cache lacks a file, the cause is why the hub did not answer; there is none if it was not asked.
        cause = error.__cause__ if isinstance(error, errors.LocalEntryNotFoundError) else error
        match cause:
            case errors.GatedRepoError():
                reason = "its owner grants access one by one"
            case errors.RepositoryNotFoundError() | errors.HFValidationError():
                reason = "not found, or private"
            case errors.RevisionNotFoundError():
                reason = f"no revision {revision}"
            case errors.RemoteEntryNotFoundError():
                where = f"revision {revision}"
                raise WeightsFileMissingError(file=file, model=repo, where=where, cure=_UPLOAD) from error
            case errors.HfHubHTTPError(response=response) if response.status_code in (401, 403):
                reason = "access denied"
            case _:
                reason = f"{type(cause).__name__}: {cause}"[:80] if cause else "only the cache was asked"
                raise HubFetchError(
                    file=file,
                    repo=repo,
                    cache=constants.HF_HUB_CACHE,
                    endpoint=constants.ENDPOINT,
                    reason="HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else reason,
                ) from error
        raise HubRefusedError(endpoint=constants.ENDPOINT, repo=repo, reason=reason) from error


def resolve(model: str | os.PathLike[str], revision: str | None = None, cached: bool = False) -> Path | Weights:
    """Find a model's weights without fetching them: a folder of the compact model, or weights with a manifest.

    Args:
        model: `compact`; `real3d-portrait`, which is what REAL3D_WEIGHTS names; `owner/repo`, or
            `owner/repo@revision`; or a folder.
        revision: branch, tag or commit of a hub repo.
        cached: look for a hub repo on this machine only.

    Raises:
        ModelMissingError: none of these. WeightsUnsetError: REAL3D_WEIGHTS is not set.
        What `Weights` and `Weights.on_hub` raise.
    """
    if model == COMPACT:
        return resource("assets", "weights", "compact")
    if model == FULL:
        model = os.environ.get(WEIGHTS_VARIABLE, "")
        if not model:
            raise WeightsUnsetError(model=FULL, variable=WEIGHTS_VARIABLE)
    folder = Path(model).expanduser()
    if folder.is_dir():
        return Weights(folder) if (folder / MANIFEST).is_file() else folder
    repo = _REPO.fullmatch(model) if isinstance(model, str) else None
    if repo is None:
        raise ModelMissingError(model=model, where=f"the bundled models or the folder '{folder}'")
    return Weights.on_hub(repo["repo"], revision or repo["revision"] or "main", cached)


def in_cache(source: str, revision: str) -> bool:
    """Whether a network in transformers' layout, a folder or a hub repo, lies on this machine."""
    from huggingface_hub import try_to_load_from_cache

    if Path(source).is_dir():
        return True
    names = ("model.safetensors", "pytorch_model.bin")
    return any(isinstance(try_to_load_from_cache(source, name, revision=revision), str) for name in names)


def private_file(file: str, weights: Weights) -> Path:
    """A file that no repo may hold, from the folder in REAL3D_BFM.

    Raises: WeightsFileMissingError, which tells how to make it.
    """
    found = _private(file)
    if found is None:
        named = os.environ.get(PRIVATE_FILES_VARIABLE)
        looked = f"{weights.place} and " + (f"'{named}'" if named else f"{PRIVATE_FILES_VARIABLE}, which is not set")
        cure = (
            f"its licence makes each user fetch it: make it with 'real3d-portrait weights import --bfm' and let "
            f"{PRIVATE_FILES_VARIABLE} name its folder (docs/weights.md)"
        )
        raise WeightsFileMissingError(file=file, model=weights.name, where=looked, cure=cure)
    return found


def _private(file: str) -> Path | None:
    named = os.environ.get(PRIVATE_FILES_VARIABLE)
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


def _check(path: Path, facts: FileFacts) -> None:
    size = path.stat().st_size
    if size != facts.bytes:
        raise WeightsCorruptError(path=path, reason=f"{size} bytes instead of {facts.bytes}")
    found = sha256(path)
    if found != facts.sha256:
        raise WeightsCorruptError(path=path, reason=f"SHA-256 {found[:12]}… instead of {facts.sha256[:12]}…")
