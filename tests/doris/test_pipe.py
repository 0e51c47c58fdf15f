"""The pipe between the loop and a loading thread."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from anabranch.doris.pipe import Pipe


def test_bytes_come_in_order_and_whole() -> None:
    async def main() -> bytes:
        pipe = Pipe(bytes_max=10)
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as pool:
            reading = loop.run_in_executor(pool, lambda: b"".join(iter(lambda: pipe.read(3), b"")))
            assert await pipe.wait_wanted()
            for number in range(100):
                assert await pipe.write_all(b"%03d" % number)
            pipe.complete()
            return await reading

    assert asyncio.run(main()) == b"".join(b"%03d" % number for number in range(100))


def test_a_full_pipe_holds_its_writer_back() -> None:
    async def main() -> None:
        pipe = Pipe(bytes_max=4)
        assert await pipe.write_all(b"abcd")
        second = asyncio.ensure_future(pipe.write_all(b"e"))
        await asyncio.sleep(0)
        assert not second.done()
        assert pipe.read(2) == b"ab"
        assert await second
        assert pipe.received_bytes == 5

    asyncio.run(main())


def test_a_body_that_breaks_off_fails_its_reader_whatever_is_left() -> None:
    async def main() -> None:
        pipe = Pipe()
        await pipe.write_all(b"abcd")
        pipe.fail(ValueError("gone"))
        with pytest.raises(ValueError, match="gone"):
            pipe.read(2)
        assert not await pipe.write_all(b"e")

    asyncio.run(main())


def test_a_reader_that_left_lets_its_writer_go() -> None:
    async def main() -> None:
        pipe = Pipe(bytes_max=1)
        await pipe.write_all(b"a")
        second = asyncio.ensure_future(pipe.write_all(b"b"))
        pipe.abandon()
        assert not await second
        assert not await pipe.wait_wanted()

    asyncio.run(main())


def test_what_computes_is_interrupted_when_the_body_breaks_off() -> None:
    async def main() -> None:
        pipe = Pipe()
        told: list[str] = []
        with pipe.interrupting(lambda: told.append("first")):
            with pipe.interrupting(lambda: told.append("over")):
                pass
            assert told == []
            pipe.fail(TimeoutError("too long"))
            pipe.fail(ValueError("what follows from it"))
        assert told == ["first"]
        with pytest.raises(TimeoutError):
            pipe.check()
        with pytest.raises(TimeoutError), pipe.interrupting(lambda: told.append("late")):
            raise AssertionError("begun although the body is gone")
        assert told == ["first"]

    asyncio.run(main())
