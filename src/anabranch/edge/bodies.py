"""From the network into a body: bounded windows, one in flight, hashing and writing in a thread."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Future
from typing import Protocol

from anabranch.edge import blocking
from anabranch.edge.http import Request
from anabranch.kernel import limits


class Sink(Protocol):
    """Takes the bytes of one object: `lake.bodies.Body` is one."""

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes; may block once there are more than SMALL_OBJECT_BYTES_MAX of them."""
        ...

    def finish(self) -> object:
        """End the bytes: hash done, large files durable; may block when the body is large."""
        ...

    def abort(self) -> None:
        """Forget the bytes; harmless a second time."""
        ...


async def receive(source: Request | AsyncIterator[bytes], body: Sink) -> None:
    """Write all of `source` into `body` and finish it.

    Up to SMALL_OBJECT_BYTES_MAX all happens in the loop. More goes in windows of about WINDOW_BYTES
    to a thread, while the loop receives the next one; never are more than two windows in memory.
    Whatever goes wrong, the body is aborted before the error comes through.
    """
    chunks = source.stream() if isinstance(source, Request) else source
    writing = _Writing(body)
    is_done = False
    try:
        head: list[bytes] = []
        size_bytes = 0
        async for data in chunks:
            head.append(data)
            size_bytes += len(data)
            if size_bytes > limits.SMALL_OBJECT_BYTES_MAX:
                await _receive_large(chunks, head, size_bytes, writing)
                break
        else:
            _write_all(body, head)
            body.finish()
        is_done = True
    finally:
        if not is_done:
            writing.abort()


async def _receive_large(
    chunks: AsyncIterator[bytes], head: list[bytes], size_bytes: int, writing: "_Writing"
) -> None:
    window = head
    async for data in chunks:
        window.append(data)
        size_bytes += len(data)
        if size_bytes >= limits.WINDOW_BYTES:
            await writing.write(window)
            window, size_bytes = [], 0
    await writing.write(window)
    await writing.finish()


class _Writing:
    """One body written in threads, at most one call at a time."""

    def __init__(self, body: Sink) -> None:
        self._body = body
        self._pending: Future[None] | None = None

    async def write(self, window: list[bytes]) -> None:
        """Start to write a window as soon as the one before it is done."""
        await self._wait()
        if window:
            self._pending = blocking.submit(_write_all, self._body, window)

    async def finish(self) -> None:
        await self._wait()
        self._pending = blocking.submit(_finish, self._body)
        await self._wait()

    async def _wait(self) -> None:
        if self._pending is not None:
            await asyncio.wrap_future(self._pending)
            self._pending = None

    def abort(self) -> None:
        """Abort the body once no thread writes into it any more."""
        if self._pending is None:
            self._body.abort()
        else:
            self._pending.add_done_callback(lambda _: self._body.abort())


def _write_all(body: Sink, window: list[bytes]) -> None:
    # Many small pieces cost more apart than a copy does.
    small = limits.SMALL_OBJECT_BYTES_MAX
    if len(window) > 1 and sum(map(len, window)) < len(window) * small:
        body.write(b"".join(window))
        return
    for data in window:
        body.write(data)


def _finish(body: Sink) -> None:
    body.finish()
