"""The process group: locks, ports, orphans, restarts, draining. A real server in each test."""

import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.server import (
    ACCESS_KEY,
    RAW_ACCESS_KEY,
    SECRET_KEY,
    RunningServer,
    ServerFailed,
    launch_server,
    start_server,
    wait_code,
)

pytestmark = pytest.mark.slow


def run(*arguments: str, timeout_s: float = 30) -> "subprocess.CompletedProcess[str]":
    """Run a command of ours to its end."""
    return subprocess.run(
        [sys.executable, "-m", "anabranch", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def connect(server: RunningServer, name: str = "api") -> http.client.HTTPConnection:
    endpoint = server.endpoints[name]
    return http.client.HTTPConnection(endpoint["host"], endpoint["port"], timeout=10)


def status(server: RunningServer, path: str, name: str = "api") -> int:
    with contextlib.closing(connect(server, name)) as connection:
        connection.request("GET", path)
        return connection.getresponse().status


def children(server: RunningServer, module: str) -> list[int]:
    """Return the pids of the server's children that run a module."""
    found = []
    for pid in sorted(server.processes() - {server.pid}):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def wait_for_other(server: RunningServer, module: str, old: int, timeout_s: float = 20) -> int:
    """Return the pid of a child that took another's place."""
    for _ in range(int(timeout_s / 0.02)):
        found = [pid for pid in children(server, module) if pid != old]
        if found:
            return found[0]
        with contextlib.suppress(TimeoutError):
            signal.sigtimedwait([], 0.02)
    raise AssertionError(f"no other {module}\n{server.read_log()}")


def wait_answering(server: RunningServer, timeout_s: float = 20) -> None:
    for _ in range(int(timeout_s / 0.02)):
        with contextlib.suppress(OSError, http.client.HTTPException):
            if status(server, "/_health") == 200:
                return
        with contextlib.suppress(TimeoutError):
            signal.sigtimedwait([], 0.02)
    raise AssertionError(f"does not answer again\n{server.read_log()}")


def test_both_ports_answer_and_stopping_takes_everything_back(tmp_path: Path) -> None:
    with start_server(tmp_path / "data") as server:
        assert server.endpoints["pid"] == server.pid
        assert set(server.endpoints) == {"api", "raw", "pid"}
        assert status(server, "/_health") == 200
        assert status(server, "/", "raw") == 403
        assert status(server, "/metrics") == 200
        assert server.stop() == 0
        assert not (server.data / "endpoints.json").exists()
        assert not (server.data / "run").exists()
        assert "ERROR" not in server.read_log()
        assert SECRET_KEY in server.read_log()


def test_two_workers_share_the_ports_and_the_metrics(tmp_path: Path) -> None:
    with start_server(tmp_path / "data", "--workers", "2") as server:
        assert len(children(server, "anabranch.worker")) == 2
        for _ in range(20):
            assert status(server, "/_health") == 200
        with contextlib.closing(connect(server)) as connection:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        line = 'anabranch_http_requests_total{method="GET",status="200",surface="system"}'
        (counted,) = (row for row in text.splitlines() if row.startswith(line))
        assert float(counted.split()[-1]) >= 20


def test_a_crash_says_in_the_log_what_each_thread_was_doing(tmp_path: Path) -> None:
    with start_server(tmp_path / "data", "--workers", "1") as server:
        (worker,) = children(server, "anabranch.worker")
        os.kill(worker, signal.SIGABRT)
        wait_for_other(server, "anabranch.worker", worker)
        wait_answering(server)
        log = server.read_log()
    assert "Fatal Python error: Aborted" in log
    assert "_watch_lifeline" in log
    assert "in _serve" in log or "uvloop" in log


def test_workers_end_with_a_killed_supervisor_and_the_next_start_works(tmp_path: Path) -> None:
    first = launch_server(tmp_path / "data")
    port = str(first.endpoints["api"]["port"])
    try:
        first.kill()
        first.wait_gone(timeout_s=1.0)
    finally:
        first.kill_all()
    with start_server(tmp_path / "data", "--port", port) as second:
        assert second.endpoints["api"]["port"] == int(port)
        assert status(second, "/_health") == 200


def test_the_next_start_waits_for_orphans_that_still_hold_the_lock(tmp_path: Path) -> None:
    first = launch_server(tmp_path / "data")
    first.process.kill()
    first.process.wait()
    with start_server(tmp_path / "data") as second:
        assert status(second, "/_health") == 200
    first.kill_all()


def test_two_servers_cannot_have_one_port(tmp_path: Path) -> None:
    with start_server(tmp_path / "data") as server:
        port = str(server.endpoints["api"]["port"])
        refused = run(
            "serve",
            "--data",
            str(tmp_path / "other"),
            "--port",
            port,
            "--raw-port",
            "0",
            "--no-sql",
        )
        assert refused.returncode == 6
        assert f"port {port}" in refused.stderr
        assert status(server, "/_health") == 200


def test_two_servers_cannot_have_one_directory(tmp_path: Path) -> None:
    with start_server(tmp_path / "data") as server:
        refused = run(
            "serve", "--data", str(server.data), "--port", "0", "--raw-port", "0", "--no-sql"
        )
        assert refused.returncode == 6
        assert f"process {server.pid}" in refused.stderr
        assert json.loads((server.data / "endpoints.json").read_bytes())["pid"] == server.pid


@pytest.mark.parametrize("module", ["anabranch.worker", "anabranch.jobs"])
def test_a_killed_child_comes_back(tmp_path: Path, module: str) -> None:
    with start_server(tmp_path / "data") as server:
        old = wait_for_other(server, module, 0)
        os.kill(old, signal.SIGKILL)
        wait_for_other(server, module, old)
        wait_answering(server)
        assert "died" in server.read_log()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_end_the_whole_group(tmp_path: Path, number: signal.Signals) -> None:
    with start_server(tmp_path / "data") as server:
        os.killpg(server.pid, number) if number == signal.SIGINT else os.kill(server.pid, number)
        assert wait_code(server.process, 5) == 0
        server.wait_gone(timeout_s=1.0)


def test_stopping_during_start_leaves_nothing(tmp_path: Path) -> None:
    log = (tmp_path / "log").open("wb")
    command = [sys.executable, "-m", "anabranch", "serve", "--data", str(tmp_path / "data")]
    with (
        log,
        subprocess.Popen(
            [*command, "--port", "0", "--raw-port", "0", "--sql-port", "0", "--doris-port", "0"],
            stdout=log,
            stderr=log,
            start_new_session=True,
        ) as process,
    ):
        # The lock is taken when signals are about to be handled.
        for _ in range(500):
            if (tmp_path / "data" / "run").exists():
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.02)
        process.send_signal(signal.SIGTERM)
        assert wait_code(process, 5) == 0
    assert not (tmp_path / "data" / "endpoints.json").exists()


class Putter(threading.Thread):
    """A client that puts one object after the other until the server goes."""

    def __init__(self, server: RunningServer, name: str) -> None:
        super().__init__()
        self._client = _s3(server)
        self._prefix = name
        self.acknowledged: list[str] = []
        self.begun = threading.Event()

    def run(self) -> None:
        import botocore.exceptions as errors  # noqa: PLC0415  # a client library, loaded when used

        number = 0
        while True:
            key = f"main/{self._prefix}/{number}"
            try:
                self._client.put_object(Bucket="example3", Key=key, Body=b"x" * 3000)
            except (errors.ClientError, errors.BotoCoreError):
                return
            self.acknowledged.append(key)
            self.begun.set()
            number += 1


def _s3(server: RunningServer) -> Any:
    import boto3  # noqa: PLC0415  # a client library, loaded when used
    from botocore.config import Config  # noqa: PLC0415  # the same

    return boto3.client(
        "s3",
        endpoint_url=server.api_url,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(retries={"max_attempts": 0}, connect_timeout=5, read_timeout=10),
    )


def test_sigterm_under_load_loses_nothing_acknowledged(tmp_path: Path) -> None:
    with start_server(tmp_path / "data", "--workers", "2") as server:
        clients = [Putter(server, f"client-{number}") for number in range(4)]
        for client in clients:
            client.start()
        for client in clients:
            assert client.begun.wait(20)
        assert server.stop() == 0
        for client in clients:
            client.join(20)
            assert not client.is_alive()
    acknowledged = {key for client in clients for key in client.acknowledged}
    with start_server(tmp_path / "data") as server:
        pages = (
            _s3(server).get_paginator("list_objects_v2").paginate(Bucket="example3", Prefix="main/")
        )
        found = {item["Key"] for page in pages for item in page.get("Contents", [])}
        assert acknowledged <= found
    assert run("doctor", "--data", str(tmp_path / "data"), "--verify").returncode == 0


def test_a_hanging_upload_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    with start_server(tmp_path / "data") as server:
        endpoint = server.endpoints["api"]
        with socket.create_connection((endpoint["host"], endpoint["port"]), timeout=10) as hanging:
            hanging.sendall(
                b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
                b"Content-Type: application/json\r\nExpect: 100-continue\r\n\r\n"
            )
            # The server waits for the body from here on.
            assert hanging.recv(100).startswith(b"HTTP/1.1 100")
            assert server.stop() == 0
            # Cut short is no answer: the connection ends, and nobody says 500.
            with contextlib.suppress(ConnectionResetError):
                assert hanging.recv(100) == b""


def test_quickstart_repeats_and_joins(tmp_path: Path) -> None:
    with start_server(tmp_path / "data") as server:
        _s3(server).put_object(Bucket="example3", Key="main/a", Body=b"1")
    with start_server(tmp_path / "data") as server:
        assert _s3(server).get_object(Bucket="example3", Key="main/a")["Body"].read() == b"1"


def test_quickstart_is_refused_where_others_reach_it(tmp_path: Path) -> None:
    refused = run("serve", "--data", str(tmp_path / "data"), "--quickstart", "--host", "0.0.0.0")
    assert refused.returncode == 3
    assert "anabranch setup" in refused.stderr
    assert not (tmp_path / "data").exists()


def test_a_newer_data_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "format").write_text('{"format": 99}')
    refused = run("serve", "--data", str(tmp_path), "--port", "0", "--raw-port", "0", "--json")
    assert refused.returncode == 7
    assert json.loads(refused.stderr)["kind"] == "data_format"


def test_setup_of_a_stopped_server_then_of_a_running_one(tmp_path: Path) -> None:
    made = run("setup", "--data", str(tmp_path / "a"), "--user", "ann", "--json")
    assert made.returncode == 0, made.stderr
    keys = json.loads(made.stdout)
    assert {"user", "key_id", "secret", "raw_key_id", "raw_secret"} == set(keys)
    again = run("setup", "--data", str(tmp_path / "a"), "--json")
    assert (again.returncode, json.loads(again.stderr)["kind"]) == (5, "setup_done")
    with start_server(tmp_path / "b", quickstart=False) as server:
        online = run("setup", "--data", str(server.data), "--json")
        assert online.returncode == 0, online.stderr
        raw = run("setup", "--data", str(server.data), "--raw-key", "--json")
        shown = {name: json.loads(online.stdout)[name] for name in ("raw_key_id", "raw_secret")}
        assert json.loads(raw.stdout) == shown
        assert shown["raw_key_id"] != RAW_ACCESS_KEY
        assert run("setup", "--data", str(server.data)).returncode == 5


def test_doctor_looks_at_a_running_and_a_stopped_server(tmp_path: Path) -> None:
    with start_server(tmp_path / "data") as server:
        _s3(server).put_object(Bucket="example3", Key="main/small", Body=b"s")
        _s3(server).put_object(Bucket="example3", Key="main/large", Body=b"l" * 200_000)
        running = run("doctor", "--data", str(server.data), "--json")
        assert running.returncode == 0, running.stdout
        checks = {finding["check"]: finding["is_good"] for finding in json.loads(running.stdout)}
        assert checks["api port"] is True
        assert checks["raw port"] is True
        assert run("doctor", "--data", str(server.data), "--verify").returncode == 6
    verify = ("doctor", "--data", str(tmp_path / "data"), "--verify", "--checksums")
    good = run(*verify)
    assert good.returncode == 0, good.stdout
    assert "2 staged" in good.stdout
    large = max((tmp_path / "data" / "blocks" / "files").rglob("*"), key=lambda p: p.stat().st_size)
    large.write_bytes(b"m" + large.read_bytes()[1:])
    changed = run(*verify)
    assert changed.returncode == 1
    assert "MD5" in changed.stdout
    large.unlink()
    missing = run("doctor", "--data", str(tmp_path / "data"), "--verify")
    assert missing.returncode == 1
    assert "large" in missing.stdout
    assert run("doctor", "--data", str(tmp_path / "none")).returncode == 1


def _certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert_file, key_file


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    return _certificate(tmp_path)


@pytest.mark.parametrize("http_server", ["auto", "granian"])
def test_tls_on_both_ports(
    tmp_path: Path, certificate: tuple[Path, Path], http_server: str
) -> None:
    cert, key = certificate
    arguments = ["--tls-cert", str(cert), "--tls-key", str(key), "--http-server", http_server]
    with start_server(tmp_path / "data", *arguments) as server:
        assert server.api_url.startswith("https://")
        context = ssl.create_default_context(cafile=str(cert))
        for url, expected in ((server.api_url, 200), (server.raw_url, 403)):
            port = urlsplit(url).port
            assert port is not None
            connection = http.client.HTTPSConnection("localhost", port, timeout=10, context=context)
            with contextlib.closing(connection):
                connection.request("GET", "/_health" if expected == 200 else "/")
                assert connection.getresponse().status == expected
        assert run("doctor", "--data", str(server.data)).returncode == 0


def test_a_server_that_cannot_start_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "format").write_text('{"format": 1}')
    (data / "kv.db").write_bytes(b"not a database, but long enough to be read as one" * 100)
    with pytest.raises(ServerFailed, match="cannot start"):
        launch_server(data)
    assert not (data / "endpoints.json").exists()
