from __future__ import annotations

import argparse
import datetime
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import c2pa
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from PIL import Image

from real3d_portrait import errors
from real3d_portrait.commands.verify import add_verify_command
from real3d_portrait.media.audio import Audio
from real3d_portrait.media.clip import STATEMENT
from real3d_portrait.media.video import read_frames
from real3d_portrait.media.writer import VideoWriter
from real3d_portrait.provenance import keys
from real3d_portrait.provenance.badge import add_badge
from real3d_portrait.provenance.keys import known_key, new_key, parse_key, signing_key
from real3d_portrait.provenance.manifest import Marker, marker, sidecar
from real3d_portrait.provenance.verify import Marking, Verdict, verify

NAMES = ["a.mp4", "a.webm", "a.gif", "pictures"]
TONE = Audio((np.sin(np.arange(16000) / 6) / 3).astype(np.float32), 16000)


@pytest.fixture(autouse=True)
def key_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test touches the key of whoever runs it."""
    folder = tmp_path_factory.mktemp("keys") / "new"
    monkeypatch.setenv(keys.FOLDER, str(folder))
    monkeypatch.delenv(keys.SECRET, raising=False)
    return folder


def other_marker() -> Marker:
    return Marker(parse_key(new_key(), "a test"))


def write(path: Path, sign: Callable[[Path], None] | None = None, **options: Any) -> Path:
    ramp = np.linspace(0, 255, 64)[None, :, None]
    with VideoWriter(path, 64, 48, sign=sign, audio=TONE, **options) as writer:
        for step in range(12):
            writer.write(np.broadcast_to((ramp + 9 * step) % 256, (48, 64, 3)).astype(np.uint8))
    return path


def flipped(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 0x10
    path.write_bytes(content)


# What the four answers stand for


@pytest.mark.parametrize("name", NAMES)
def test_a_marked_output_is_ours_and_says_that_it_is_ai_generated(tmp_path: Path, name: str) -> None:
    verdict = verify(write(tmp_path / name, marker()))
    assert verdict == Verdict(Marking.OURS, ai_generated=True, statement=True, signer="Real3D-Portrait installation")
    assert "Made here" in str(verdict)
    assert "no public trust list" in str(verdict)
    beside = ["a.webm.c2pa"] if name == "a.webm" else []
    assert sorted(path.name for path in tmp_path.iterdir()) == [name, *beside]


@pytest.mark.parametrize("name", NAMES)
def test_without_a_mark_only_the_metadata_speaks(tmp_path: Path, name: str) -> None:
    verdict = verify(write(tmp_path / name))
    assert verdict == Verdict(Marking.NONE, statement=True)
    assert "anybody can write" in str(verdict)


@pytest.mark.parametrize("name", NAMES)
def test_another_installation_s_key_is_told_apart(tmp_path: Path, name: str) -> None:
    signing_key()
    verdict = verify(write(tmp_path / name, other_marker()))
    assert verdict == Verdict(Marking.OTHER_KEY, True, statement=True, signer="Real3D-Portrait installation")
    assert "not here" in str(verdict)


def test_who_has_no_key_made_nothing(tmp_path: Path, key_folder: Path) -> None:
    assert verify(write(tmp_path / "a.mp4", other_marker())).marking is Marking.OTHER_KEY
    assert not key_folder.exists()  # and asking makes none


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.gif", "pictures/frame_000007.png"])
def test_one_changed_bit_anywhere_in_the_content_is_found(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name.split("/")[0], marker())
    victim = tmp_path / name
    whole = victim.read_bytes()
    # From behind the manifest on: MP4's media and index, GIF's frames, PNG's pixels.
    start = {".mp4": whole.find(b"moov"), ".png": whole.find(b"IDAT"), ".gif": whole.find(b"NETSCAPE")}
    first = start.get(victim.suffix, 0)
    assert first >= 0
    for position in np.linspace(first, len(whole) - 1, 40).astype(int):
        flipped(victim, int(position))
        assert verify(path).marking is Marking.ALTERED, position
        victim.write_bytes(whole)
    assert verify(path).marking is Marking.OURS


@pytest.mark.parametrize("word", [b"trainedAlgorithmicMedia", b"instanceID", b"installation", b"jumdc2pa", b"mdat"])
def test_a_changed_statement_claim_certificate_or_structure_is_found(tmp_path: Path, word: bytes) -> None:
    path = write(tmp_path / "a.mp4", marker())
    flipped(path, path.read_bytes().index(word) + 2)
    assert verify(path).marking is Marking.ALTERED


def test_a_changed_signature_is_found(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", marker())
    flipped(path, path.read_bytes().index(b"moov") - 20)  # the manifest's last field
    assert verify(path).marking is Marking.ALTERED


def test_a_copy_by_another_program_has_lost_the_mark(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", marker())
    with av.open(str(tmp_path / "a.mp4")) as source, av.open(str(tmp_path / "b.mp4"), "w") as copy:
        streams = {stream.index: copy.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                copy.mux(packet)
    assert verify(tmp_path / "b.mp4").marking is Marking.NONE


def test_a_folder_is_as_good_as_its_worst_picture(tmp_path: Path) -> None:
    folder = write(tmp_path / "pictures", marker())
    Image.new("RGB", (64, 48)).save(folder / "frame_000003.png")
    assert verify(folder).marking is Marking.NONE
    other_marker()(folder / "frame_000003.png")
    assert verify(folder).marking is Marking.OTHER_KEY


def test_a_manifest_that_does_not_speak_of_ai_is_reported_as_such(tmp_path: Path) -> None:
    key = parse_key(new_key(), "a test")
    info = c2pa.C2paSignerInfo(key.algorithm, "".join(key.chain).encode(), key.private.encode(), None)
    write(tmp_path / "a.mp4")
    with c2pa.Builder({"claim_generator_info": [{"name": "camera"}]}) as builder, c2pa.Signer.from_info(info) as signer:
        builder.set_intent(c2pa.C2paBuilderIntent.CREATE, c2pa.C2paDigitalSourceType.DIGITAL_CAPTURE)
        builder.sign_file(tmp_path / "a.mp4", tmp_path / "b.mp4", signer)
    verdict = verify(tmp_path / "b.mp4")
    assert (verdict.marking, verdict.ai_generated) == (Marking.OTHER_KEY, False)
    assert "without saying" in str(verdict)


@pytest.mark.parametrize("content", [b"", b"words " * 50, b"\x89PNG\r\n\x1a\n" + b"x" * 50])
def test_what_is_no_media_has_no_mark(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    assert verify(tmp_path / "a.mp4") == Verdict(Marking.NONE)


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    for path in (tmp_path / "none.mp4", tmp_path):
        with pytest.raises(errors.VerifyUnreadableError, match="cannot be verified"):
            verify(path)


# Beside a WebM


def test_a_webm_needs_the_manifest_beside_it(tmp_path: Path) -> None:
    sign = marker()
    path, twin = write(tmp_path / "a.webm", sign), write(tmp_path / "b.webm", sign, metadata={"title": "twin"})
    sidecar(twin).replace(sidecar(path))
    assert verify(path).marking is Marking.ALTERED
    assert verify(twin).marking is Marking.NONE


def test_the_manifest_may_lie_elsewhere(tmp_path: Path) -> None:
    path = write(tmp_path / "a.webm", marker())
    elsewhere = sidecar(path).rename(tmp_path / "upload")
    assert verify(path).marking is Marking.NONE
    assert verify(path, manifest=elsewhere).marking is Marking.OURS


def test_a_manifest_that_is_none_is_no_proof(tmp_path: Path) -> None:
    path = write(tmp_path / "a.webm")
    for content in (b"", b"words " * 50):
        sidecar(path).write_bytes(content)
        assert verify(path).marking is Marking.ALTERED


def test_writing_anew_leaves_no_manifest_of_the_older_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.webm", marker())
    write(path)
    assert verify(path).marking is Marking.NONE
    assert [file.name for file in tmp_path.iterdir()] == ["a.webm"]


# The file itself


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.gif"])
def test_the_marked_file_plays_as_the_unmarked_one(tmp_path: Path, name: str) -> None:
    (tmp_path / "plain").mkdir()
    marked, plain = write(tmp_path / name, marker()), write(tmp_path / "plain" / name)
    if name != "a.gif":
        pairs = list(zip(read_frames(marked), read_frames(plain), strict=True))
        assert len(pairs) == 12
        assert all((one.pixels == two.pixels).all() and one.time == two.time for one, two in pairs)
        assert decoded_sound(marked) == decoded_sound(plain)
    else:
        with Image.open(marked) as one, Image.open(plain) as two:
            assert one.n_frames == two.n_frames == 12
            one.seek(11)
            two.seek(11)
            assert one.convert("RGB").tobytes() == two.convert("RGB").tobytes()
            assert (one.info["loop"], one.info["duration"]) == (0, 40)


def test_a_marked_mp4_starts_fast_and_keeps_its_tags(tmp_path: Path) -> None:
    content = write(tmp_path / "a.mp4", marker(), metadata={"title": "Hello"}).read_bytes()
    assert content.index(b"jumb") < content.index(b"moov") < content.index(b"mdat")
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.metadata["title"] == "Hello"
        assert container.metadata["comment"] == STATEMENT


@pytest.mark.parametrize("name", ["alice-secret.mp4", "alice-secret.webm"])
def test_the_manifest_holds_nothing_of_the_user(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, marker(), metadata={"title": "Alice at home"})
    content = (tmp_path / name).read_bytes()
    manifest = content[: content.find(b"moov")] if name.endswith("mp4") else sidecar(tmp_path / name).read_bytes()
    for text in ("alice", str(tmp_path), "pytest", str(Path.home()), platform.node()):
        if len(text) > 4:  # a shorter one may stand in a key by chance
            assert text.lower().encode() not in manifest.lower(), text
    assert b"trainedAlgorithmicMedia" in manifest


# Whole or not at all


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_cannot_be_marked_does_not_appear(tmp_path: Path, name: str) -> None:
    def fail(path: Path) -> None:
        raise errors.MarkingError(reason="a reason")

    write(tmp_path / name, marker())
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(errors.MarkingError):
        write(tmp_path / name, fail)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert len(list(tmp_path.iterdir())) == (2 if name == "a.webm" else 1)


@pytest.mark.parametrize("name", NAMES)
def test_a_disk_that_fills_up_while_marking_has_its_error(tmp_path: Path, name: str) -> None:
    sign = marker()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def narrow(path: Path) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
        try:
            sign(path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    with pytest.raises(errors.DiskFullError, match=name):
        write(tmp_path / name, narrow)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_not_what_it_seems_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"words " * 50)
    with pytest.raises(errors.MarkingError):
        marker()(tmp_path / "a.mp4")
    with pytest.raises(ValueError, match="C2PA marks"):
        marker()(tmp_path / "a.wav")
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_marking_works_in_threads_and_after_a_fork(tmp_path: Path) -> None:
    sign = marker()
    paths = [write(tmp_path / f"{index}.mp4") for index in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(sign, paths))
    child = os.fork()
    if child == 0:
        try:
            write(tmp_path / "child.mp4", sign)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert all(verify(path).marking is Marking.OURS for path in [*paths, tmp_path / "child.mp4"])


# Keys


def test_the_key_is_made_once_and_for_its_owner_only(key_folder: Path) -> None:
    previous = os.umask(0)
    try:
        key = signing_key()
    finally:
        os.umask(previous)
    path = key_folder / "signing" / "key.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert signing_key() == known_key() == key
    assert key.private not in repr(key)
    assert [entry.name for entry in key_folder.iterdir()] == ["signing"]


def test_of_many_first_starts_one_makes_the_key(key_folder: Path) -> None:
    script = "from real3d_portrait.provenance.keys import signing_key\nprint(signing_key().serial)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    starts = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment) for _ in range(5)
    ]
    serials = {start.communicate(timeout=60)[0].strip() for start in starts}
    assert serials == {str(signing_key().serial).encode()}
    with ThreadPoolExecutor(8) as pool:
        assert len({key.serial for key in pool.map(lambda _: signing_key(), range(8))}) == 1
    assert [entry.name for entry in key_folder.iterdir()] == ["signing"]


def test_eight_threads_that_race_agree(key_folder: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len({key.serial for key in pool.map(lambda _: signing_key(), range(8))}) == 1
    assert [entry.name for entry in key_folder.iterdir()] == ["signing"]


def test_a_folder_that_cannot_keep_a_key_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path / "file", Path("/proc/none")):
        monkeypatch.setenv(keys.FOLDER, str(folder))
        with pytest.raises(errors.SigningKeyFolderError, match=f"'{folder}'.*REAL3D_KEY_FOLDER"):
            marker()


def test_a_secret_comes_first_and_is_kept_nowhere(
    tmp_path: Path, key_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = new_key()
    for form in (pem, pem.replace("\n", "\\n")):
        monkeypatch.setenv(keys.SECRET, form)
        assert verify(write(tmp_path / "a.mp4", marker())).marking is Marking.OURS
        assert signing_key().serial == parse_key(pem, "").serial
    assert not key_folder.exists()
    monkeypatch.delenv(keys.SECRET)
    assert verify(tmp_path / "a.mp4").marking is Marking.OTHER_KEY


def test_a_damaged_key_file_is_named_and_left_alone(key_folder: Path) -> None:
    signing_key()
    path = key_folder / "signing" / "key.pem"
    path.write_text("not a key")
    with pytest.raises(errors.SigningKeyError, match=r"key\.pem"):
        marker()
    assert path.read_text() == "not a key"


PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
NOW = datetime.datetime.now(datetime.UTC)


def certificate(
    key: PrivateKey,
    issuer: PrivateKey,
    name: str,
    issuer_name: str,
    is_issuer: bool = False,
    serial: int = 77,
    end: datetime.datetime = NOW + datetime.timedelta(days=9),
) -> x509.Certificate:
    usage = [False] * 9
    usage[5 if is_issuer else 0] = True
    public = key.public_key()
    builder = (
        x509.CertificateBuilder()
        .serial_number(serial)
        .not_valid_before(NOW - datetime.timedelta(days=20))
        .subject_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, issuer_name)]))
        .public_key(public)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(is_issuer, None), critical=True)
        .add_extension(x509.KeyUsage(*usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False)
    )
    if not is_issuer:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return builder.sign(issuer, None if isinstance(issuer, ed25519.Ed25519PrivateKey) else hashes.SHA256())


def pem_of(key: PrivateKey, *chain: x509.Certificate) -> str:
    modern = isinstance(key, ed25519.Ed25519PrivateKey)
    form = PrivateFormat.PKCS8 if modern else PrivateFormat.TraditionalOpenSSL
    private = key.private_bytes(Encoding.PEM, form, NoEncryption())
    return (private + b"".join(item.public_bytes(Encoding.PEM) for item in chain)).decode()


@pytest.fixture(scope="module")
def authority() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def authority_certificate(authority: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    return certificate(authority, authority, "CA", "CA", is_issuer=True)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ec.generate_private_key(ec.SECP256R1()),
        lambda: ec.generate_private_key(ec.SECP384R1()),
        lambda: ec.generate_private_key(ec.SECP521R1()),
        ed25519.Ed25519PrivateKey.generate,
        lambda: rsa.generate_private_key(65537, 2048),
    ],
    ids=["P-256", "P-384", "P-521", "Ed25519", "RSA"],
)
def test_a_key_certified_by_somebody_can_be_used(
    tmp_path: Path,
    make: Callable[[], PrivateKey],
    authority: ec.EllipticCurvePrivateKey,
    authority_certificate: x509.Certificate,
) -> None:
    key = make()
    own = parse_key(pem_of(key, certificate(key, authority, "EndpointRunner", "CA"), authority_certificate), "a test")
    path = write(tmp_path / "a.mp4", Marker(own))
    assert verify(path, own) == Verdict(Marking.OURS, True, True, "EndpointRunner")


def test_only_the_very_key_is_ours(
    tmp_path: Path, authority: ec.EllipticCurvePrivateKey, authority_certificate: x509.Certificate
) -> None:
    own_key, colleague = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    own = parse_key(
        pem_of(own_key, certificate(own_key, authority, "EndpointRunner", "CA"), authority_certificate), "a test"
    )
    same_issuer = certificate(colleague, authority, "EndpointRunner", "CA", serial=78)
    # A forger takes over every name and number, but cannot sign as the issuer.
    forged_authority = ec.generate_private_key(ec.SECP256R1())
    forged = certificate(colleague, forged_authority, "EndpointRunner", "CA")
    forged_root = certificate(forged_authority, forged_authority, "CA", "CA", is_issuer=True)
    for chain in ([same_issuer, authority_certificate], [forged, forged_root]):
        sign = Marker(parse_key(pem_of(colleague, *chain), "a test"))
        assert verify(write(tmp_path / "a.mp4", sign), own) == Verdict(Marking.OTHER_KEY, True, True, "EndpointRunner")


def test_a_signer_s_name_cannot_play_with_a_terminal(
    tmp_path: Path, authority: ec.EllipticCurvePrivateKey, authority_certificate: x509.Certificate
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = "\x1b[31mstudio\nours: Made here" + "e" * 30
    own = parse_key(pem_of(key, certificate(key, authority, name, "CA"), authority_certificate), "a test")
    verdict = verify(write(tmp_path / "a.mp4", Marker(own)))
    assert str(verdict).isprintable()
    assert verdict.signer.startswith("[31mstudio")


def faulty_secrets() -> Iterator[tuple[str, str]]:
    key, authority = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    small = rsa.generate_private_key(65537, 1024)
    root = certificate(authority, authority, "CA", "CA", is_issuer=True)
    ended = certificate(key, authority, "me", "CA", end=NOW - datetime.timedelta(days=2))
    yield "garbage", "hunter2"
    yield "no certificate", pem_of(key)
    yield "no key", pem_of(key, root).split("-----END EC PRIVATE KEY-----")[1]
    yield "another key's", pem_of(key, root)
    yield "too short a key", pem_of(small, certificate(small, authority, "me", "CA"), root)
    yield "no issuer", pem_of(key, certificate(key, authority, "me", "CA"))
    yield "has run out", pem_of(key, ended, root)


@pytest.mark.parametrize("secret", [pytest.param(pem, id=name) for name, pem in faulty_secrets()])
def test_a_secret_that_cannot_sign_is_refused_at_once(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(keys.SECRET, secret)
    with pytest.raises(errors.SigningKeyError, match="REAL3D_SIGNING_KEY") as caught:
        marker()
    assert not any(line in str(caught.value) for line in secret.strip().splitlines())


# The command and the badge


def test_the_command_answers_in_one_line_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_verify_command(parser.add_subparsers())
    ours, plain = write(tmp_path / "a.mp4", marker()), write(tmp_path / "b.mp4")
    arguments = parser.parse_args(["verify", str(ours), str(plain)])
    arguments.run(arguments)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{ours}: ours: Made here")
    assert second.startswith(f"{plain}: none: No signed manifest")


def test_the_command_line_starts_without_cryptography() -> None:
    script = (
        "import sys\nfrom real3d_portrait.commands.verify import add_verify_command\n"
        "assert not {'c2pa', 'cryptography'} & set(sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", script], check=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    )


@pytest.mark.parametrize(("height", "width"), [(512, 512), (256, 256), (1080, 1920), (300, 200)])
def test_the_badge_is_small_readable_and_stays_in_its_corner(height: int, width: int) -> None:
    for shade in (0, 128, 255):
        frame = np.full((height, width, 3), shade, np.uint8)
        marked = add_badge(frame)
        assert (frame == shade).all()
        rows, columns = np.nonzero((marked != shade).any(axis=2))
        assert rows.min() > height * 0.85
        assert columns.max() < width * 0.62
        label = marked[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].astype(int)
        assert label.max() - label.min() > 120  # contrast of text and ground
        np.testing.assert_array_equal(marked, add_badge(frame))


def test_a_badge_on_nothing_is_visible_too() -> None:
    marked = add_badge(np.zeros((512, 512, 4), np.uint8))
    assert marked[..., 3].max() == 255
    assert (marked[:400, :, 3] == 0).all()


def test_a_frame_too_small_for_a_badge_is_left_alone() -> None:
    frame = np.zeros((20, 30, 3), np.uint8)
    assert add_badge(frame) is frame


def decoded_sound(path: Path) -> bytes:
    with av.open(str(path)) as container:
        return b"".join(frame.to_ndarray().tobytes() for frame in container.decode(audio=0))
