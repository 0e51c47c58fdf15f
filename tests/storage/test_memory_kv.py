"""The KV store in memory."""

import pytest

from anabranch.storage.kv.base import KVStore
from anabranch.storage.kv.memory import MemoryKV
from tests.contracts.kv_contract import KVContract
from tests.support.fakes import FakeClock


class TestMemoryKV(KVContract):
    @pytest.fixture
    def kv(self) -> KVStore:
        return MemoryKV()


def test_its_clock_is_the_one_it_was_given() -> None:
    clock = FakeClock(5_000_000_000)
    kv = MemoryKV(clock)
    assert kv.now_us() == 5_000_000
    clock.advance(1.5)
    assert kv.now_us() == 6_500_000
