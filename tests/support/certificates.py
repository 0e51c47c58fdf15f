"""Certificates of servers on loopback, for tests that speak TLS."""

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

STORE_PASSWORD = "changeit"


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for 127.0.0.1 and localhost, and its key, as PEM files.

    It is followed in its file by the authority that signed it, made for it alone: the file is both
    what the server shows and what a client trusts.
    """
    authority_key, key = (
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP256R1()),
    )
    hosts = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
    authority = _sign("Tests of Anabranch", authority_key, None, authority_key, ())
    certificate = _sign("localhost", key, authority, authority_key, hosts)
    cert_file, key_file = folder / "certificate.pem", folder / "key.pem"
    pem = serialization.Encoding.PEM
    cert_file.write_bytes(certificate.public_bytes(pem) + authority.public_bytes(pem))
    key_file.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_file, key_file


def write_trust_store(cert_file: Path, store: Path) -> None:
    """Write what a file of PEM certificates holds as a store that Java trusts."""
    found = x509.load_pem_x509_certificates(cert_file.read_bytes())
    named = [pkcs12.PKCS12Certificate(one, str(n).encode()) for n, one in enumerate(found)]
    protection = serialization.BestAvailableEncryption(STORE_PASSWORD.encode())
    store.write_bytes(pkcs12.serialize_java_truststore(named, protection))


def _sign(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey,
    hosts: Sequence[x509.GeneralName],
) -> x509.Certificate:
    """Return a certificate, good from yesterday to tomorrow; without an issuer an authority."""
    is_authority = issuer is None
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    now = datetime.now(UTC)
    public = issuer_key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
    )
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())
