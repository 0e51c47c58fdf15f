"""A MySQL server over the tests' engine, in a thread of its own, on a port the system picks."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pymysql
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from anabranch.access.sql_users import HashedPassword, hash_password
from anabranch.mysql.connection import Bounds
from anabranch.mysql.server import MysqlServer
from tests.mysql.engine import Engine

SECRET = "pass-wörd 1"


@dataclass
class People:
    """Users by name."""

    passwords: dict[str, HashedPassword] = field(default_factory=dict)

    def find_user(self, name: str) -> HashedPassword | None:
        return self.passwords.get(name)

    def may_administer(self, name: str) -> bool:
        return name == "root"


def people() -> People:
    """Return users of every kind: without a password, with both hashes, with one of them."""
    both = hash_password(SECRET)
    return People(
        {
            "root": hash_password(""),
            "ada": both,
            "native": HashedPassword(False, both.sha1, b""),
            "sha2": HashedPassword(False, b"", both.sha256),
        }
    )


@dataclass
class Served:
    """A running server."""

    port: int
    engine: Engine
    server: MysqlServer
    certificate: Path | None
    threads_before: int = 0

    def connect(self, **options: Any) -> Any:
        """Return a PyMySQL connection."""
        options = {"user": "root", "password": "", "charset": "utf8mb4"} | options
        return pymysql.connect(host="127.0.0.1", port=self.port, **options)


def make_certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Return a server's TLS context and the certificate that clients trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "server.pem", folder / "server.key"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, public


@contextlib.contextmanager
def serving(
    *, tls_folder: Path | None = None, bounds: Bounds | None = None, threads_max: int = 4
) -> Iterator[Served]:
    """Serve until the block ends."""
    context, certificate = make_certificate(tls_folder) if tls_folder else (None, None)
    engine = Engine()
    loop = uvloop.new_event_loop()  # as the SQL process has it
    listener = socket.create_server(("127.0.0.1", 0))
    server = MysqlServer(engine, people(), tls=context, bounds=bounds, threads_max=threads_max)
    engine.processes = server
    threads_before = threading.active_count()  # tests before it may have left some
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(listener), loop).result(10)
        yield Served(listener.getsockname()[1], engine, server, certificate, threads_before)
    finally:
        engine.gate.set()
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
