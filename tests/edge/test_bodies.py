"""Receiving bodies: bounded windows, whole bytes, nothing left behind after an error."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.edge.bodies import receive
from anabranch.kernel import limits
from anabranch.kernel.errors import InvalidInput, Kind, LimitExceeded


class Kept:
    """A body that keeps what it is given and says in which thread."""

    def __init__(self, bytes_max: int = 1 << 30) -> None:
        self.data = bytearray()
        self.threads: set[int] = set()
        self.is_finished = False
        self.aborted = threading.Event()
        self.is_writing = False
        self._bytes_max = bytes_max

    def write(self, data: bytes | memoryview) -> None:
        assert not self.is_writing
        self.is_writing = True
        self.threads.add(threading.get_ident())
        self.data += data
        self.is_writing = False
        if len(self.data) > self._bytes_max:
            raise LimitExceeded(Kind.TOO_LARGE, "too large")

    def finish(self) -> None:
        self.is_finished = True

    def abort(self) -> None:
        assert not self.is_writing
        self.aborted.set()


async def pieces(parts: list[bytes], error: Exception | None = None) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    if error is not None:
        raise error


@given(st.lists(st.integers(0, 300_000), max_size=30))
def test_all_bytes_arrive_in_order(sizes: list[int]) -> None:
    parts = [bytes([index % 251]) * size for index, size in enumerate(sizes)]
    body = Kept()
    asyncio.run(receive(pieces(parts), body))
    assert bytes(body.data) == b"".join(parts)
    assert body.is_finished
    assert not body.aborted.is_set()


@pytest.mark.parametrize(("extra", "in_loop"), [(0, True), (1, False)])
def test_small_bodies_stay_in_the_loop(extra: int, in_loop: bool) -> None:
    body = Kept()
    asyncio.run(receive(pieces([b"x" * (limits.SMALL_OBJECT_BYTES_MAX + extra)]), body))
    assert (body.threads == {threading.get_ident()}) is in_loop


@pytest.mark.parametrize("size", [10, 3 * limits.WINDOW_BYTES])
def test_a_failing_client_aborts_the_body(size: int) -> None:
    body = Kept()
    error = InvalidInput(Kind.TRUNCATED, "gone")
    with pytest.raises(InvalidInput):
        asyncio.run(receive(pieces([b"x" * size], error), body))
    assert body.aborted.wait(5)
    assert not body.is_finished


def test_a_failing_write_aborts_the_body() -> None:
    body = Kept(bytes_max=2 * limits.WINDOW_BYTES)
    with pytest.raises(LimitExceeded):
        asyncio.run(receive(pieces([b"x" * limits.WINDOW_BYTES] * 5), body))
    assert body.aborted.wait(5)


def test_a_cancelled_request_aborts_the_body_after_its_last_write() -> None:
    body = Kept()

    async def cancelled() -> None:
        async def endless() -> AsyncIterator[bytes]:
            for _ in range(4):
                yield b"x" * limits.WINDOW_BYTES
            await asyncio.Event().wait()
            yield b""

        task = asyncio.ensure_future(receive(endless(), body))
        while not body.data:  # noqa: ASYNC110  # a thread fills it
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert body.aborted.wait(5)
