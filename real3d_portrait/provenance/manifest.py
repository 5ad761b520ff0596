"""Signed C2PA manifests: written for a finished file, read from any.

In the file where the format can carry a manifest, else beside it.
"""

from __future__ import annotations

import io
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO

import c2pa
from PIL import Image

from real3d_portrait.errors import MarkingError, SigningKeyError
from real3d_portrait.provenance.keys import NAME, SigningKey, signing_key

EMBEDDED = {".mp4": "video/mp4", ".gif": "image/gif", ".png": "image/png"}
BESIDE = {".webm": "video/webm"}
AI_GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"

_SETTINGS: dict[str, Any] = {
    "version": 1,
    # Reading a stranger's file must not reach out to addresses that it names.
    "verify": {"verify_after_sign": False, "remote_manifest_fetch": False, "ocsp_fetch": False},
    # A thumbnail would show the person even where the picture itself was removed.
    "builder": {"thumbnail": {"enabled": False}},
    "core": {"backing_store_memory_threshold_in_mb": 16},
}


def sidecar(path: Path) -> Path:
    """Where the manifest of a file lies that cannot carry it: NAME.webm.c2pa."""
    return path.with_name(f"{path.name}.c2pa")


class Marker:
    """Signs finished files as AI-generated; what `VideoWriter` takes as `sign`.

    The manifest says: created by this program and version, digital source type trainedAlgorithmicMedia, and the hash
    of the content. It holds no file name, no text of the user, no time and no picture.

    Raises:
        SigningKeyError: C2PA does not take the key or its certificates; found at once.
    """

    def __init__(self, key: SigningKey) -> None:
        self.key = key
        self._manifest = {"claim_generator_info": [_generator()]}
        self._try()

    def __call__(self, path: Path) -> None:
        """Sign a .mp4, .gif or .png in place, or a .webm by a manifest beside it. Whole or not at all.

        Raises:
            ValueError: another suffix. OSError: on writing. MarkingError: the file is not what its suffix says.
        """
        suffix = path.suffix.lower()
        kind = (EMBEDDED | BESIDE).get(suffix)
        if kind is None:
            raise ValueError(f"C2PA marks {', '.join(EMBEDDED | BESIDE)}, not '{suffix}'")
        temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
        try:
            with open(path, "rb") as source, _Output(io.FileIO(temporary, "w+b")) as signed:
                manifest = self._sign(kind, source, signed, embed=suffix in EMBEDDED)
            if suffix in EMBEDDED:
                os.replace(temporary, path)
            else:
                temporary.write_bytes(manifest)
                os.replace(temporary, sidecar(path))
        finally:
            temporary.unlink(missing_ok=True)

    def _sign(self, kind: str, source: BinaryIO, signed: io.BytesIO | _Output, embed: bool) -> bytes:
        # All made anew for each file: a signer does not survive a fork, and costs a millisecond.
        key = self.key
        info = c2pa.C2paSignerInfo(key.algorithm, "".join(key.chain).encode(), key.private.encode(), None)
        try:
            with _context(c2pa.Signer.from_info(info)) as context, c2pa.Builder(self._manifest, context) as builder:
                ai_generated = c2pa.C2paDigitalSourceType.TRAINED_ALGORITHMIC_MEDIA
                builder.set_intent(c2pa.C2paBuilderIntent.CREATE, ai_generated)
                if not embed:
                    builder.set_no_embed()
                return builder.sign(kind, source, signed)
        except c2pa.C2paError as error:
            if isinstance(signed, _Output) and signed.problem is not None:
                raise signed.problem from None
            raise MarkingError(reason=str(error)) from error

    def _try(self) -> None:
        picture, signed = io.BytesIO(), io.BytesIO()
        Image.new("L", (1, 1)).save(picture, "PNG")
        try:
            self._sign("image/png", picture, signed, embed=True)
        except MarkingError as error:
            raise SigningKeyError(source=self.key.source, reason=error.facts["reason"]) from None
        found = read_manifest(signed, "image/png", self.key)
        if not found.trusted:
            reason = ", ".join(found.failures) or "the issuer's certificate is missing"
            raise SigningKeyError(source=self.key.source, reason=reason)


def marker() -> Marker:
    """What signs with this installation's key, which is made if there is none.

    Raises:
        SigningKeyError, SigningKeyFolderError: there is no usable key.
    """
    return Marker(signing_key())


@dataclass(frozen=True)
class Manifest:
    """What a file's active manifest says, and whether that holds.

    Attributes:
        failures: C2PA's codes for what does not hold, other than that the signer is unknown.
        trusted: all holds, and the given key signed it.
        signer: the name in the signer's certificate, checked by nobody unless `trusted`; one short, printable line.
        ai_generated: it calls the content trained algorithmic media.
    """

    failures: tuple[str, ...]
    trusted: bool
    signer: str
    ai_generated: bool


def read_manifest(file: BinaryIO, kind: str | None, key: SigningKey | None, beside: bytes | None = None) -> Manifest:
    """Read and check the manifest of an open file.

    Args:
        kind: media type; None = recognised by the content.
        key: whose signature counts as trusted.
        beside: the manifest of a file that does not carry it.

    Raises:
        c2pa.C2paError: there is none (C2paError.ManifestNotFound), or it cannot be read.
    """
    trust = {"trust_anchors": key.chain[-1]} if key else {}
    with _context(trust=trust) as context, c2pa.Reader(kind, file, beside, context) as reader:
        report = json.loads(reader.json())
    active = report["manifests"][report["active_manifest"]]
    results = report.get("validation_results", {}).get("activeManifest", {})
    codes = (failure["code"] for failure in results.get("failure", []))
    signature = active.get("signature_info", {})
    # The issuer may have vouched for others too.
    ours = key is not None and signature.get("cert_serial_number") == str(key.serial)
    return Manifest(
        failures=tuple(code for code in codes if code != "signingCredential.untrusted"),
        trusted=ours and report.get("validation_state") == "Trusted",
        signer=_one_line(signature.get("common_name") or signature.get("issuer") or ""),
        ai_generated=_calls_ai_generated(active.get("assertions", [])),
    )


def _calls_ai_generated(assertions: list[dict[str, Any]]) -> bool:
    actions = (
        action
        for assertion in assertions
        if assertion["label"].startswith("c2pa.actions") and isinstance(assertion["data"], dict)
        for action in assertion["data"].get("actions", [])
    )
    return any(action.get("digitalSourceType") == AI_GENERATED for action in actions)


def _one_line(name: str) -> str:
    """A stranger chose it, and a terminal may show it."""
    return "".join(letter for letter in name if letter.isprintable())[:80]


@contextmanager
def _context(signer: c2pa.Signer | None = None, **settings: Any) -> Iterator[c2pa.Context]:
    with c2pa.Settings.from_dict({**_SETTINGS, **settings}) as chosen, c2pa.Context(chosen, signer) as context:
        yield context


class _Output(io.BufferedRandom):
    """A file that remembers why writing failed, which the library between does not pass on."""

    problem: OSError | None = None

    def write(self, data: Any) -> int:
        with self._remembered():
            return super().write(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        with self._remembered():
            return super().seek(offset, whence)

    def flush(self) -> None:
        with self._remembered():
            super().flush()

    @contextmanager
    def _remembered(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.problem = error
            raise


def _generator() -> dict[str, str]:
    try:
        return {"name": NAME, "version": metadata.version("real3d-portrait")}
    except metadata.PackageNotFoundError:
        return {"name": NAME}
