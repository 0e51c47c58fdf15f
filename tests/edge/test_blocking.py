"""The bridge to threads: bounded, ordered by nobody, honest when full."""

import asyncio
import threading

import pytest

from anabranch.edge import blocking
from anabranch.edge.blocking import Threads, call_local, call_thread
from anabranch.kernel.errors import Kind, NotFound, Unavailable


def test_a_call_runs_in_another_thread_and_returns() -> None:
    here = threading.get_ident()
    assert asyncio.run(call_thread(threading.get_ident)) != here
    assert asyncio.run(call_thread(int, "11", base=2)) == 3


def test_errors_come_through() -> None:
    def fail() -> None:
        raise NotFound(Kind.OBJECT_NOT_FOUND, "no")

    with pytest.raises(NotFound):
        asyncio.run(call_thread(fail))


def test_local_calls_stay_in_the_loop_only_while_stores_are_local() -> None:
    here = threading.get_ident()
    assert asyncio.run(call_local(threading.get_ident)) == here
    blocking.configure(is_local=False)
    try:
        assert asyncio.run(call_local(threading.get_ident)) != here
    finally:
        blocking.configure(is_local=True)


def test_one_past_the_queue_is_refused_and_room_comes_back() -> None:
    threads = Threads(threads_max=1, queue_max=1)
    gate = threading.Event()
    first = threads.submit(gate.wait)
    second = threads.submit(int, "7")
    with pytest.raises(Unavailable) as caught:
        threads.submit(int, "8")
    assert caught.value.kind is Kind.BUSY
    gate.set()
    assert first.result(5)
    assert second.result(5) == 7
    threads.close()
    with pytest.raises(Unavailable):
        threads.submit(int, "9")
