"""A real server and boto3 clients and resources on it, for the tests of this folder."""

import contextlib
import datetime
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.server import RunningServer, start_server

REPOSITORY = "example3"
# Loading botocore's descriptions takes longer than most tests: once is enough.
_SESSION = boto3.session.Session()


@dataclass(frozen=True)
class Boto:
    """One server seen through boto3. `bucket` and `root` say where objects may be written."""

    server: RunningServer
    url: str
    access_key: str
    secret_key: str
    bucket: str
    root: str
    ca_file: str | None

    def _options(self, config: dict[str, Any]) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "s3": {"addressing_style": "path"},
            "retries": {"total_max_attempts": 1},
        }
        return {
            "endpoint_url": self.url,
            "aws_access_key_id": self.access_key,
            "aws_secret_access_key": self.secret_key,
            "region_name": config.pop("region_name", "us-east-1"),
            "config": Config(**(settings | config)),
            "verify": self.ca_file,
        }

    def client(self, **config: Any) -> Any:
        """Return a client; `config` goes to botocore's Config."""
        return _SESSION.client("s3", **self._options(config))

    def resource(self, **config: Any) -> Any:
        """Return a resource."""
        return _SESSION.resource("s3", **self._options(config))


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for loopback, and its key, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    host = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([host]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


@contextlib.contextmanager
def boto_server(folder: Path, *, is_tls: bool, is_raw: bool) -> Iterator[Boto]:
    """Run a server and give boto3's view of its gateway or of its raw store."""
    arguments: list[str] = []
    ca_file = None
    if is_tls:
        certificate, key = make_certificate(folder)
        arguments = ["--tls-cert", str(certificate), "--tls-key", str(key)]
        ca_file = str(certificate)
    with start_server(folder / "data", *arguments) as server:
        if is_raw:
            boto = Boto(
                server,
                server.raw_url,
                server.raw_access_key,
                server.raw_secret_key,
                "plain",
                "",
                ca_file,
            )
            boto.client().create_bucket(Bucket="plain")
        else:
            boto = Boto(
                server,
                server.api_url,
                server.access_key,
                server.secret_key,
                REPOSITORY,
                "main/",
                ca_file,
            )
        yield boto
