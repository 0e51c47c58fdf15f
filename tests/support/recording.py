"""What S3 clients send, taken down between a client and a real server, kept and compared.

`recording(url)` puts a carrier in front of a server: it hands every byte on as it came, in both
directions, and reads along. Signatures stay good, because the client's own Host header arrives.
With `tls` (certificate and key) the client speaks TLS to the carrier; `ca_file` says whom the
carrier trusts when the server behind it speaks TLS too.

    with recording(server.api_url) as tape:
        with tape.step("write"):
            run_the_client(tape.url, ...)
        check_capture(tape, "rclone", "1.60.1")

`check_capture` compares the tape, step by step, with `tests/clients/captures/rclone-1.60.1.json`:
which requests a step makes counts, how often and in which order does not, since clients work in
parallel and try again. Steps that are not on the tape are not compared. When only other versions
of the client were recorded, the test that calls it is skipped. To record: run the tests with
`RECORD=1` in the environment; steps and schemes that were not on the tape stay as they were.

A recorded request has the step it belongs to, the S3 action, method, target as it was coded, header
names with the values that tell something, framing, the form of its body and the answer's status.
Keys, signatures, dates, upload ids, checksums, ETags and random names are replaced; values of
headers that are not in `TELLING` are left out. `replaced` adds patterns of a test's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import ssl
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from anabranch.s3.actions import action_of

CAPTURES = Path(__file__).resolve().parents[1] / "clients" / "captures"
RECORD = bool(os.environ.get("RECORD"))

TELLING = frozenset(
    {
        "accept-encoding",
        "authorization",
        "content-encoding",
        "content-type",
        "expect",
        "if-match",
        "if-none-match",
        "range",
        "te",
        "transfer-encoding",
        "x-amz-acl",
        "x-amz-checksum-algorithm",
        "x-amz-checksum-mode",
        "x-amz-checksum-type",
        "x-amz-content-sha256",
        "x-amz-copy-source",
        "x-amz-copy-source-if-match",
        "x-amz-copy-source-range",
        "x-amz-decoded-content-length",
        "x-amz-meta-x-hadoop-s3a-magic-data-length",
        "x-amz-metadata-directive",
        "x-amz-mp-object-size",
        "x-amz-sdk-checksum-algorithm",
        "x-amz-storage-class",
        "x-amz-tagging-directive",
        "x-amz-te",
        "x-amz-trailer",
    }
)
"""Headers whose values are kept; of all others the name."""

_REPLACED = {
    r"(?<=Credential=)[^/%]+(/|%2F)\d{8}": r"<key>\1<date>",
    r"(?<=[Ss]ignature=)[0-9a-f]{64}": "<signature>",
    r"(?<=[&?]Signature=)[^&]+": "<signature>",
    r"(?<=AWSAccessKeyId=)[^&]+": "<key>",
    r"(?<=^AWS )[^:]+:.+": "<key>:<signature>",
    r"(?<=[&?]Expires=)\d+": "<expires>",
    r"(?<=X-Amz-Date=)[^&]+": "<date>",
    r"(?<=X-Amz-Security-Token=)[^&]+": "<token>",
    r"(?<=[Uu]ploadId=)[^&]+": "<upload-id>",
    r"(?<=upload-id-marker=)[^&]+": "<upload-id>",
    r"(?<=continuation-token=)[^&]+": "<token>",
    r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b": "<uuid>",
    r"\b[0-9a-f]{64}\b": "<sha256>",
    r"\b[0-9a-f]{32}(-\d+)?\b": "<hash>",
}
_CHECKSUM_ELEMENT = re.compile(r"(<Checksum[A-Z0-9]+>)[^<]*(?=</)")
_PART = re.compile(r"<Part>(.*?)</Part>", re.DOTALL)
_ELEMENT = re.compile(r"<(?:ETag|PartNumber|Checksum\w+)>[^<]*")
_BODY_KEPT_BYTES = 16_384
_PIECE_BYTES = 65_536
_HEAD_BYTES_MAX = 262_144
_START_TIMEOUT_S = 10.0


@dataclass(slots=True)
class Recorded:
    """One request as it was sent; `status` is None until, or unless, it was answered."""

    step: str
    method: str
    target: str
    headers: list[tuple[str, str]]
    body_start: bytes = b""
    body_end: bytes = b""
    status: int | None = None

    def header(self, name: str) -> str:
        """Return a header's value, empty without one."""
        return next((value for found, value in self.headers if found == name), "")

    @property
    def action(self) -> str:
        """The S3 action, as the gateway names it. Raises `Refused` for what has no name."""
        return action_of_target(
            self.method, self.target, is_copy=bool(self.header("x-amz-copy-source"))
        )

    def shape(self, replaced: Mapping[str, str]) -> dict[str, Any]:
        """Return what is kept of the request: the same for every run of one version."""
        found: dict[str, Any] = {
            "action": self.action,
            "method": self.method,
            "target": _replace(self.target, replaced),
            "headers": sorted(
                f"{name}: {_replace(value, replaced)}" if name in TELLING else name
                for name, value in self.headers
            ),
            "framing": self._framing(),
        }
        return found | self._body(replaced) | {"status": self.status}

    def _framing(self) -> str:
        if "chunked" in self.header("transfer-encoding").lower():
            return "chunked"
        length = self.header("content-length")
        return f"length {length}" if length else "none"

    def _body(self, replaced: Mapping[str, str]) -> dict[str, Any]:
        if self.header("x-amz-content-sha256").startswith("STREAMING-"):
            first = self.body_start.split(b"\r\n", 1)[0].decode("latin-1")
            last = re.search(rb"(?:^|\r\n)0(;[^\r]*)?\r\n((?:[^\r]+\r\n)*)", self.body_end)
            trailer = last.group(2).decode("latin-1").split() if last else []
            return {
                "chunk": _replace(first, replaced),
                "trailer": [line.split(":")[0] for line in trailer if ":" in line],
            }
        if self.body_start.lstrip()[:1] != b"<":
            return {}
        text = self.body_start.decode("utf-8", errors="replace")
        return {"body": _replace(_CHECKSUM_ELEMENT.sub(r"\1<checksum>", text), replaced)}


def action_of_target(method: str, target: str, *, is_copy: bool) -> str:
    """Return the action of a path-style request; raise `Refused` when it has none."""
    parts = urlsplit(target)
    bucket, _, key = parts.path.removeprefix("/").partition("/")
    names = (pair.partition("=")[0] for pair in parts.query.split("&") if pair)
    return action_of(
        method,
        has_bucket=bool(bucket),
        has_key=bool(key),
        names=frozenset(map(unquote, names)),
        is_copy=is_copy,
    )


@dataclass(slots=True)
class Tape:
    """What was taken down so far. `url` is where the client has to go instead of the server."""

    url: str
    replaced: Mapping[str, str]
    requests: list[Recorded] = field(default_factory=list)
    _step: str = ""
    _loop: asyncio.AbstractEventLoop | None = None

    @property
    def scheme(self) -> str:
        """The scheme the client sees: http or https."""
        return urlsplit(self.url).scheme

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Put what is sent in the block under `name`; what is sent outside any block is not kept.

        A name may come again: its requests are joined.
        """
        assert not self._step, f"{self._step} is not over"
        self._step = name
        try:
            yield
        finally:
            assert self._loop is not None
            asyncio.run_coroutine_threadsafe(_read_up(), self._loop).result(_START_TIMEOUT_S)
            self._step = ""

    def steps(self) -> dict[str, list[dict[str, Any]]]:
        """Return the different requests of each step, in the order in which they first came."""
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for request in self.requests:
            if request.step:
                shape = request.shape(self.replaced)
                found.setdefault(request.step, {}).setdefault(_canonical(shape), shape)
        return {step: list(shapes.values()) for step, shapes in found.items()}


async def _read_up() -> None:
    # The last answer was handed on before it was read: let the readers catch up.
    for _ in range(10):
        await asyncio.sleep(0)


def check_capture(tape: Tape, client: str, version: str) -> None:
    """Compare the tape's steps with what is kept of this client and version; or keep it.

    Fails with the requests that are new and those that are gone. Skips when the version that runs
    was never recorded.
    """
    path = CAPTURES / f"{client}-{version}.json"
    steps = tape.steps()
    if RECORD:
        _keep(path, client, version, tape.scheme, steps)
        return
    if not path.exists():
        others = sorted(other.stem for other in CAPTURES.glob(f"{client}-[0-9]*.json"))
        pytest.skip(f"{client} {version} was not recorded; kept are {', '.join(others) or 'none'}")
    kept = json.loads(path.read_text())["schemes"].get(tape.scheme, {})
    differences = []
    for step, shapes in steps.items():
        sent = {_canonical(shape) for shape in shapes}
        expected = {_canonical(shape) for shape in kept.get(step, [])}
        differences += [f"{step}: new: {one}" for one in sorted(sent - expected)]
        differences += [f"{step}: gone: {one}" for one in sorted(expected - sent)]
    assert not differences, "\n".join(differences)


def _keep(
    path: Path, client: str, version: str, scheme: str, steps: dict[str, list[dict[str, Any]]]
) -> None:
    schemes: dict[str, Any] = json.loads(path.read_text())["schemes"] if path.exists() else {}
    schemes.setdefault(scheme, {}).update(steps)
    # A request a line: what changed between versions is then easy to see.
    lines = [f'{{"client": {json.dumps(client)}, "version": {json.dumps(version)}, "schemes": {{']
    for i, (name, found) in enumerate(sorted(schemes.items())):
        lines.append(f"{',' if i else ''}{json.dumps(name)}: {{")
        for j, (step, shapes) in enumerate(found.items()):
            lines.append(f" {',' if j else ''}{json.dumps(step)}: [")
            texts = [json.dumps(shape, ensure_ascii=False) for shape in shapes]
            lines.append(",\n".join(f"  {text}" for text in texts))
            lines.append(" ]")
        lines.append("}")
    CAPTURES.mkdir(exist_ok=True)
    path.write_text("\n".join([*lines, "}}"]) + "\n")


def _canonical(shape: dict[str, Any]) -> str:
    # Some clients write the elements of a part in a new order every time.
    body = _PART.sub(lambda part: "".join(sorted(_ELEMENT.findall(part[1]))), shape.get("body", ""))
    return json.dumps({**shape, "body": body}, sort_keys=True, ensure_ascii=False)


def _replace(text: str, more: Mapping[str, str]) -> str:
    for pattern, shown in {**more, **_REPLACED}.items():
        text = re.sub(pattern, shown, text)
    return text


@contextlib.contextmanager
def recording(
    url: str,
    *,
    tls: tuple[Path, Path] | None = None,
    ca_file: Path | None = None,
    replaced: Mapping[str, str] | None = None,
) -> Iterator[Tape]:
    """Carry what comes to `tape.url` to the server at `url` until the block ends.

    `replaced` are patterns of what differs from run to run, and what is kept in their place.
    """
    tape = Tape("", replaced or {})
    carrier = _Carrier(tape, url, tls, ca_file)
    thread = threading.Thread(target=carrier.run, name="recording", daemon=True)
    thread.start()
    try:
        assert carrier.is_ready.wait(_START_TIMEOUT_S), "the recording did not start"
        yield tape
    finally:
        carrier.stop()
        thread.join(_START_TIMEOUT_S)
        assert not thread.is_alive()


class _Carrier:
    """Listens on a free port of loopback, in a thread and a loop of its own."""

    def __init__(
        self, tape: Tape, url: str, tls: tuple[Path, Path] | None, ca_file: Path | None
    ) -> None:
        self._tape = tape
        self._server = urlsplit(url)
        self._tls = tls
        self._ca_file = ca_file
        self._connections: set[asyncio.Task[None]] = set()
        self._end: asyncio.Event | None = None
        self.is_ready = threading.Event()

    def run(self) -> None:
        asyncio.run(self._run())

    def stop(self) -> None:
        loop = self._tape._loop
        if loop is not None and self._end is not None:
            loop.call_soon_threadsafe(self._end.set)

    async def _run(self) -> None:
        context = None
        if self._tls:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*self._tls)
        listening = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=context)
        port = listening.sockets[0].getsockname()[1]
        self._tape.url = f"{'https' if context else 'http'}://127.0.0.1:{port}"
        self._tape._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        self.is_ready.set()
        await self._end.wait()
        listening.close()
        open_still = list(self._connections)
        for task in open_still:
            task.cancel()
        await asyncio.gather(*open_still, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._connection(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        trusted = None
        if self._server.scheme == "https":
            trusted = ssl.create_default_context(cafile=self._ca_file)
        writers = [writer]
        try:
            back, forth = await asyncio.open_connection(
                self._server.hostname, self._server.port, ssl=trusted
            )
            writers.append(forth)
            heard = asyncio.StreamReader(limit=_HEAD_BYTES_MAX)
            told = asyncio.StreamReader(limit=_HEAD_BYTES_MAX)
            asked: asyncio.Queue[Recorded] = asyncio.Queue()
            await asyncio.gather(
                _carry(reader, forth, heard),
                _carry(back, writer, told),
                self._read_requests(heard, asked),
                _read_answers(told, asked),
            )
        finally:
            for each in writers:
                each.transport.abort()

    async def _read_requests(
        self, heard: asyncio.StreamReader, asked: asyncio.Queue[Recorded]
    ) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                line, headers = await _read_head(heard)
                method, target, _ = line.split(" ", 2)
                request = Recorded(self._tape._step, method, target, headers)
                self._tape.requests.append(request)
                asked.put_nowait(request)
                async for piece in _body(heard, headers):
                    if len(request.body_start) < _BODY_KEPT_BYTES:
                        request.body_start += piece
                    request.body_end = (request.body_end + piece)[-_BODY_KEPT_BYTES:]


async def _carry(
    source: asyncio.StreamReader, sink: asyncio.StreamWriter, copy: asyncio.StreamReader
) -> None:
    try:
        while piece := await source.read(_PIECE_BYTES):
            copy.feed_data(piece)
            sink.write(piece)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
        else:
            sink.close()
    except (OSError, ssl.SSLError):
        sink.transport.abort()  # one side is gone: the other is told in the same way
    finally:
        copy.feed_eof()


async def _read_answers(told: asyncio.StreamReader, asked: asyncio.Queue[Recorded]) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError):
        while True:
            line, headers = await _read_head(told)
            status = int(line.split(" ")[1])
            if status < 200:
                continue
            request = await asked.get()
            request.status = status
            if request.method == "HEAD" or status in (204, 304):
                continue
            async for _ in _body(told, headers):
                pass


async def _read_head(stream: asyncio.StreamReader) -> tuple[str, list[tuple[str, str]]]:
    head = (await stream.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *rest = head.strip("\r\n").split("\r\n")
    headers = [one.partition(":") for one in rest]
    return line, [(name.strip().lower(), value.strip()) for name, _, value in headers]


async def _body(
    stream: asyncio.StreamReader, headers: list[tuple[str, str]]
) -> AsyncIterator[bytes]:
    found = dict(headers)
    if "chunked" in found.get("transfer-encoding", "").lower():
        while size := int((await stream.readuntil(b"\r\n")).split(b";")[0], 16):
            async for piece in _exactly(stream, size):
                yield piece
            await stream.readexactly(2)
        while await stream.readuntil(b"\r\n") != b"\r\n":
            pass
        return
    async for piece in _exactly(stream, int(found.get("content-length") or 0)):
        yield piece


async def _exactly(stream: asyncio.StreamReader, size: int) -> AsyncIterator[bytes]:
    while size:
        piece = await stream.readexactly(min(size, _PIECE_BYTES))
        size -= len(piece)
        yield piece
