"""The machine's own figures: what any server here could do at most.

    python -m bench.bare empty|get|put FOLDER

runs one bare server until its stdin closes; it prints its port first. `empty` is granian with an
application that answers nothing; `get` and `put` are a thread for each connection on plain
sockets: `get` sends a file by pread and send, `put` receives, hashes (MD5), writes and syncs.
"""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from bench.generating import Load, Outcome, Pool, Step, drive
from bench.samples import ROOT

_WINDOW_BYTES = 1 << 20
_SYNCS = 200
LARGE_BYTES = 64 << 20
LARGE_COUNT = 30


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    """Answer every request by an empty 200."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def serve_nothing(folder: Path) -> None:
    """Run granian as `anabranch serve` does, with one worker."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.close()
    command = [
        sys.executable, "-m", "granian", "--interface", "asginl", "--loop", "uvloop",
        "--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--no-ws",
        "--log-level", "error", "bench.bare:nothing",
    ]  # fmt: skip
    running = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        print(port, flush=True)
        sys.stdin.read()
    finally:
        running.terminate()
        running.wait()


def serve_bytes(folder: Path, is_put: bool) -> None:
    """Run the threaded socket server."""
    path = folder / "large"
    path.write_bytes(os.urandom(_WINDOW_BYTES) * (LARGE_BYTES // _WINDOW_BYTES))
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    print(listener.getsockname()[1], flush=True)

    def accept() -> None:
        for number in range(1 << 30):
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if is_put:
                (folder / f"puts-{number}").mkdir()
            arguments = (connection, folder / f"puts-{number}" if is_put else path)
            target = _take_puts if is_put else _answer_gets
            threading.Thread(target=target, args=arguments, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()


def _receive_head(connection: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65_536)
        if not more:
            return b"", b""
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def _answer_gets(connection: socket.socket, path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    head = f"HTTP/1.1 200 OK\r\ncontent-length: {LARGE_BYTES}\r\n\r\n".encode()
    while _receive_head(connection)[0]:
        connection.sendall(head)
        for offset in range(0, LARGE_BYTES, _WINDOW_BYTES):
            connection.sendall(os.pread(descriptor, _WINDOW_BYTES, offset))


def _take_puts(connection: socket.socket, folder: Path) -> None:
    # Each body has a file of its own that stays, as in a store: a file written over again has its
    # pages in memory already, and a virtual machine may have to ask its host for fresh ones.
    window = memoryview(bytearray(_WINDOW_BYTES))
    for number in range(1 << 30):
        head, rest = _receive_head(connection)
        if not head:
            return
        digest, left = hashlib.md5(rest, usedforsecurity=False), LARGE_BYTES - len(rest)
        path = folder / f"{number}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(descriptor, rest)
        while left:
            filled = 0
            while filled < min(left, _WINDOW_BYTES):
                filled += connection.recv_into(window[filled:], min(left, _WINDOW_BYTES) - filled)
            digest.update(window[:filled])
            os.write(descriptor, window[:filled])
            left -= filled
        os.fdatasync(descriptor)
        os.close(descriptor)
        etag = digest.hexdigest()
        connection.sendall(
            f'HTTP/1.1 200 OK\r\ncontent-length: 0\r\netag: "{etag}"\r\n\r\n'.encode()
        )


@contextmanager
def bare_server(kind: str, folder: Path) -> Iterator[str]:
    """Run a bare server; yield its address."""
    command = [sys.executable, "-m", "bench.bare", kind, str(folder)]
    running = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert running.stdin is not None
    assert running.stdout is not None
    try:
        yield f"127.0.0.1:{int(running.stdout.readline())}"
    finally:
        running.stdin.close()
        running.wait()
        running.stdout.close()


def sync_s(folder: Path) -> list[float]:
    """Return the seconds of single fdatasyncs of 4 KiB within a file that is there already."""
    found = []
    with (folder / "synced").open("wb") as file:
        file.write(bytes(_SYNCS * 4_096))
        os.fsync(file.fileno())
        for at in range(_SYNCS):
            data = os.urandom(4_096)
            started = time.perf_counter()
            os.pwrite(file.fileno(), data, at * 4_096)
            os.fdatasync(file.fileno())
            found.append(time.perf_counter() - started)
    return found


def large_rate(outcome: Outcome, clients: int, size_bytes: int = LARGE_BYTES) -> float:
    """Return MiB a second: all clients' bytes over the median of the latencies."""
    return clients * size_bytes / (1 << 20) / (outcome.quantile_us(0.5) / 1e6)


def measure(
    folder: Path, *, seconds: float, kinds: set[str], count: int = LARGE_COUNT
) -> tuple[dict[str, float], dict[str, Any]]:
    """Return the machine's figures by name, and their raw samples."""
    found: dict[str, float] = {}
    raw: dict[str, Any] = {}
    pool = Pool(0)
    if "sync" in kinds:
        syncs = sync_s(folder)
        raw["fdatasync_s"] = syncs
        found["fdatasync_ms"] = median(syncs) * 1e3
        found["fdatasync_per_s"] = 1 / median(syncs)
    if "empty" in kinds:
        with bare_server("empty", folder) as address:
            step = Step(f"GET / HTTP/1.1\r\nhost: {address}\r\n\r\n".encode())
            for clients in (1, 16, 64):
                load = Load(
                    clients, measured_s=seconds, warm_up_s=min(1.0, seconds / 3),
                    interval_s=seconds / 30, is_cycle=True,
                )  # fmt: skip
                outcome = drive(address, [step], pool, load, "empty answers")
                found[f"empty_{clients}"] = outcome.rate
                raw[f"empty_{clients}"] = outcome.raw
    for kind in sorted({"get", "put"} & kinds):
        body = Pool(LARGE_BYTES, seed=2) if kind == "put" else pool
        with (
            tempfile.TemporaryDirectory(dir=folder) as scratch,
            bare_server(kind, Path(scratch)) as address,
        ):
            for clients in (1, 4):
                head = f"{kind.upper()} / HTTP/1.1\r\nhost: {address}\r\n"
                size = LARGE_BYTES if kind == "put" else 0
                head += f"content-length: {size}\r\n\r\n"
                steps = [Step(head.encode(), (0, size))] * (count + clients)
                outcome = drive(address, steps, body, Load(clients), f"bare {kind}")
                found[f"bare_{kind}_{clients}"] = large_rate(outcome, clients)
                raw[f"bare_{kind}_{clients}"] = outcome.raw
    return found, raw


if __name__ == "__main__":
    if sys.argv[1] == "empty":
        serve_nothing(Path(sys.argv[2]))
    else:
        serve_bytes(Path(sys.argv[2]), sys.argv[1] == "put")
