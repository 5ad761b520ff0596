"""Was this file made here? Ours, signed with another key, altered since, or without a mark."""

from __future__ import annotations

import mmap
import os
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import c2pa

from real3d_portrait.errors import VerifyUnreadableError
from real3d_portrait.media.clip import STATEMENT
from real3d_portrait.provenance.keys import SigningKey, known_key
from real3d_portrait.provenance.manifest import BESIDE, read_manifest, sidecar

# Description boxes of a manifest store, a manifest, a claim, its assertions, its signature (C2PA 2.2, section 11.1):
# what is left of a manifest that cannot be read any more.
_REMAINS = re.compile(rb"jumdc2(?:pa|ma|cl|as|cs)\x00\x11\x00\x10\x80\x00\x00\xaa\x00\x38\x9b\x71")


class Marking(StrEnum):
    """What a file's marking amounts to."""

    OURS = "ours"
    OTHER_KEY = "other-key"
    ALTERED = "altered"
    NONE = "none"


@dataclass(frozen=True)
class Verdict:
    """The result of `verify`.

    Attributes:
        marking: which of the four.
        ai_generated: an intact manifest calls the content AI-generated.
        statement: the statement of this project's files is in it, as metadata that anybody can write.
        signer: the name in the certificate of an intact manifest; for OTHER_KEY a claim that nobody checked.
    """

    marking: Marking
    ai_generated: bool = False
    statement: bool = False
    signer: str = ""

    def __str__(self) -> str:
        """One or two sentences for the reader."""
        if self.marking is Marking.OURS:
            return (
                "Made here with AI, and unchanged since. This installation's own key says so, which is on no public "
                "trust list: other verifiers call the signer unknown."
            )
        if self.marking is Marking.OTHER_KEY:
            content = "as AI-generated" if self.ai_generated else "without saying that it is AI-generated"
            return f"Unchanged since it was signed {content}, but not here; the signer calls itself '{self.signer}'."
        if self.marking is Marking.ALTERED:
            return "Altered: a signed manifest is there but does not fit, so it proves nothing about this file."
        hint = " Its metadata says that it was made with Real3D-Portrait, which anybody can write." * self.statement
        return f"No signed manifest. That proves nothing: copies made by other programs lose it.{hint}"


def verify(
    path: str | os.PathLike[str], key: SigningKey | None = None, manifest: str | os.PathLike[str] | None = None
) -> Verdict:
    """Find out whose marking a file carries, without any network.

    Args:
        path: a file, or a folder of PNG pictures, which is as good as its worst picture.
        key: whose files are ours; None = this installation's key, if it has one.
        manifest: of a WebM; None = NAME.webm.c2pa beside it, if that is there.

    Raises:
        VerifyUnreadableError: it is absent, locked, or a folder without PNG pictures.
        SigningKeyError: the installation's key cannot be read.
    """
    path, key = Path(path), key or known_key()
    try:
        if not path.is_dir():
            return _verify(path, key, Path(manifest) if manifest else sidecar(path))
        verdicts = [_verify(picture, key, sidecar(picture)) for picture in sorted(path.glob("*.png"))]
    except OSError as error:
        raise VerifyUnreadableError(path=path, reason=error.strerror or type(error).__name__) from None
    if not verdicts:
        raise VerifyUnreadableError(path=path, reason="a folder without PNG pictures")
    worst = [Marking.ALTERED, Marking.NONE, Marking.OTHER_KEY, Marking.OURS]
    return min(verdicts, key=lambda verdict: worst.index(verdict.marking))


def _verify(path: Path, key: SigningKey | None, manifest_file: Path) -> Verdict:
    beside, kind = None, None
    if path.suffix.lower() in BESIDE and manifest_file.is_file():
        beside, kind = manifest_file.read_bytes(), BESIDE[path.suffix.lower()]
    with open(path, "rb") as file:
        if path.stat().st_size == 0:
            return Verdict(Marking.NONE)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            statement = content.find(STATEMENT.encode()) >= 0
            remains = beside is not None or _REMAINS.search(content) is not None
        try:
            manifest = read_manifest(file, kind, key, beside)
        except c2pa.C2paError:
            # No manifest, a damaged one, or no media at all.
            return Verdict(Marking.ALTERED if remains else Marking.NONE, statement=statement)
    if manifest.failures:
        return Verdict(Marking.ALTERED, statement=statement)
    marking = Marking.OURS if manifest.trusted else Marking.OTHER_KEY
    return Verdict(marking, manifest.ai_generated, statement, manifest.signer)
