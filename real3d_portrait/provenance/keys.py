"""The key that signs outputs, with its certificate: from a secret, else made once and kept.

Secret and file have the same form, PEM: the private key, its certificate, then the certificates of its issuers.
"""

from __future__ import annotations

import datetime
import os
import secrets
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from platformdirs import user_data_path

from real3d_portrait.errors import SigningKeyError, SigningKeyFolderError

SECRET = "REAL3D_SIGNING_KEY"
FOLDER = "REAL3D_KEY_FOLDER"
NAME = "Real3D-Portrait"

# Verifiers refuse a signature without a time stamp once its certificate has run out; none is fetched here.
_YEARS = 30
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


@dataclass(frozen=True)
class SigningKey:
    """A private key and who vouches for it.

    Attributes:
        private: PKCS #8, PEM.
        chain: certificates, PEM, the key's own first.
        algorithm: C2PA's name, such as "es256".
        serial: of the key's own certificate.
        source: where it came from, for messages.
    """

    private: str = field(repr=False)
    chain: tuple[str, ...]
    algorithm: str
    serial: int
    source: str


def signing_key() -> SigningKey:
    """The key of the secret, else the one that is kept, else a new one that is kept from now on.

    Raises:
        SigningKeyError: what the secret or the file holds is no usable key.
        SigningKeyFolderError: a new key cannot be kept.
    """
    key = known_key()
    if key is None:
        _keep(new_key())
        key = known_key()
        assert key is not None
    return key


def known_key() -> SigningKey | None:
    """As `signing_key`, but None where it would make one."""
    secret = os.environ.get(SECRET, "").strip()
    if secret:
        # Some hosts keep a secret on one line.
        return parse_key(secret.replace("\\n", "\n"), f"the environment variable {SECRET}")
    path = key_path()
    try:
        return parse_key(path.read_text(), f"'{path}'")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SigningKeyError(source=f"'{path}'", reason=getattr(error, "strerror", None) or "no text") from None


def key_path() -> Path:
    """Where the kept key lies or would lie."""
    folder = os.environ.get(FOLDER, "").strip()
    # A folder of its own, because only a folder can be put in place whole, and once, on every file system.
    return (Path(folder) if folder else user_data_path("real3d-portrait")) / "signing" / "key.pem"


def parse_key(pem: str, source: str) -> SigningKey:
    """Read a private key and its certificates, in any order as long as the key's own is the first certificate.

    Raises:
        SigningKeyError: one of them is missing, damaged, of an unsuitable kind, or they do not belong together.
    """
    start = pem.find("-----BEGIN CERTIFICATE")
    try:
        private = load_pem_private_key(pem.encode(), None)
        chain = x509.load_pem_x509_certificates(pem[start:].encode() if start >= 0 else b"")
    except (ValueError, TypeError) as error:
        raise SigningKeyError(source=source, reason=str(error).split(".")[0] or "no PEM") from None
    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in _CURVES:
        algorithm = _CURVES[private.curve.name]
    elif isinstance(private, ed25519.Ed25519PrivateKey):
        algorithm = "ed25519"
    elif isinstance(private, rsa.RSAPrivateKey) and private.key_size >= 2048:
        algorithm = "ps256"
    else:
        raise SigningKeyError(source=source, reason="C2PA takes EC P-256, P-384, P-521, Ed25519 or RSA from 2048 bits")
    public = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if chain[0].public_key().public_bytes(*public) != private.public_key().public_bytes(*public):
        raise SigningKeyError(source=source, reason="the first certificate belongs to another key")
    return SigningKey(
        private=private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        chain=tuple(certificate.public_bytes(Encoding.PEM).decode() for certificate in chain),
        algorithm=algorithm,
        serial=chain[0].serial_number,
        source=source,
    )


def new_key() -> str:
    """A fresh private key with its certificate and the one of the issuer, PEM.

    Some verifiers refuse a certificate that vouches for itself, so an issuer is made for this one certificate and its
    key is forgotten. Nothing in it names the machine or the person.
    """
    issuer, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _certificate(f"{NAME} own issuer", issuer.public_key(), issuer, is_issuer=True)
    leaf = _certificate(f"{NAME} installation", own.public_key(), issuer, is_issuer=False)
    private = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return (private + leaf.public_bytes(Encoding.PEM) + root.public_bytes(Encoding.PEM)).decode()


def _certificate(
    name: str, public: ec.EllipticCurvePublicKey, issuer: ec.EllipticCurvePrivateKey, is_issuer: bool
) -> x509.Certificate:
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)  # clocks differ
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(f"{NAME} own issuer"))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=365 * _YEARS))
        .add_extension(x509.BasicConstraints(is_issuer, 0 if is_issuer else None), critical=True)
        .add_extension(_usage(is_issuer), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False)
    )
    if not is_issuer:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])  # one that C2PA names
        builder = builder.add_extension(usage, critical=False)
    return builder.sign(issuer, hashes.SHA256())


def _name(common: str) -> x509.Name:
    organization = x509.NameAttribute(NameOID.ORGANIZATION_NAME, NAME)
    return x509.Name([organization, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(is_issuer: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_issuer,
        key_cert_sign=is_issuer,
        crl_sign=is_issuer,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _keep(pem: str) -> None:
    """Put a key in its place unless another start has been faster."""
    target = key_path().parent
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir(mode=0o700)
        try:
            handle = os.open(temporary / key_path().name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write(pem)
                file.flush()
                os.fsync(handle)
            # Refused where the target is a folder that holds something: the first one stays.
            os.rename(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        if key_path().is_file():
            return
        reason = error.strerror or type(error).__name__
        raise SigningKeyFolderError(folder=target.parent, reason=reason) from None
