"""Memory is given back once enough was made, and only then."""

import platform

import pytest

from anabranch.lake import heap
from anabranch.lake.heap import Turnover


def test_gives_back_each_time_enough_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    given_back: list[int] = []
    monkeypatch.setattr(heap, "_trim", given_back.append)
    turnover = Turnover(every_bytes=100)
    for _ in range(3):
        turnover.add(60)
    assert len(given_back) == 1
    turnover.add(40)
    assert len(given_back) == 2
    assert turnover.made_bytes == 0


def test_counts_where_the_c_library_has_no_such_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "_trim", None)
    turnover = Turnover(every_bytes=100)
    turnover.add(250)
    assert turnover.made_bytes == 0


def test_glibc_has_the_call() -> None:
    assert (heap._trim is not None) == (platform.libc_ver()[0] == "glibc")
    Turnover(every_bytes=1).add(1)
