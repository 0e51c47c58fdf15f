"""What every KV store must do: an adapter is one subclass with one fixture, `kv`."""

import random
import threading
from collections.abc import Sequence

import pytest

from anabranch.kernel import limits
from anabranch.kernel.errors import Kind, LimitExceeded
from anabranch.storage.kv.base import (
    Condition,
    KVStore,
    Request,
    Row,
    Scan,
    Verdict,
    Versioned,
    Write,
    delete,
    is_absent,
    is_as_seen,
    is_version,
    put,
    scan_prefix,
)


def get(kv: KVStore, key: bytes) -> Versioned | None:
    """Return one value."""
    return kv.read((key,)).values[0]


def version_of(kv: KVStore, key: bytes) -> int:
    """Return a key's version, 0 when it is absent."""
    found = get(kv, key)
    return 0 if found is None else found.version


def apply_one(kv: KVStore, conditions: Sequence[Condition], writes: Sequence[Write]) -> Verdict:
    """Apply one request alone."""
    (verdict,) = kv.apply((Request(conditions, writes),))
    return verdict


def write(kv: KVStore, *writes: Write) -> int:
    """Apply writes without conditions and return their version."""
    verdict = apply_one(kv, (), writes)
    assert verdict.is_accepted
    return verdict.version


class KVContract:
    """docs/protocol.md section 1, rule by rule."""

    @pytest.fixture
    def kv(self) -> KVStore:
        raise NotImplementedError

    # Reading

    def test_an_absent_key_reads_as_none(self, kv: KVStore) -> None:
        assert kv.read((b"a", b"b")).values == (None, None)

    def test_reading_nothing_answers_nothing(self, kv: KVStore) -> None:
        assert kv.read(()) == ((), ())

    def test_values_come_in_the_order_asked_and_twice_when_asked_twice(self, kv: KVStore) -> None:
        write(kv, put(b"a", b"1"), put(b"b", b"2"), put(b"c", b"3"))
        values = kv.read((b"c", b"x", b"a", b"c", b"b")).values
        assert [value and value.value for value in values] == [b"3", None, b"1", b"3", b"2"]

    @pytest.mark.parametrize("count", [1, 2, 3, 5, 1_023, 1_024, 1_025, 3_000])
    def test_many_keys_are_read_together(self, kv: KVStore, count: int) -> None:
        keys = [b"k%04d" % number for number in range(count)]
        version = write(kv, *(put(key, key.upper()) for key in keys))
        asked = [*keys, b"none"]
        values = kv.read(asked).values
        assert values == (*(Versioned(key.upper(), version) for key in keys), None)

    def test_empty_values_and_any_bytes_are_kept(self, kv: KVStore) -> None:
        every = bytes(range(256))
        write(kv, put(b"empty", b""), put(every, every), put(b"\x00", b"\x00\xff"))
        assert [value and value.value for value in kv.read((b"empty", every, b"\x00")).values] == [
            b"",
            every,
            b"\x00\xff",
        ]

    def test_a_scan_is_in_byte_order_and_bounded(self, kv: KVStore) -> None:
        keys = [b"b", b"a", b"\xff", b"a\x00", b"a\xff", b"", b"aa", b"\xff\xff"]
        version = write(kv, *(put(key, b"v") for key in keys))
        everything = kv.read((), (Scan(b"", None, 100),)).scans[0]
        assert everything == tuple(Row(key, b"v", version) for key in sorted(keys))
        assert kv.read((), (Scan(b"", None, 3),)).scans[0] == everything[:3]
        assert kv.read((), (Scan(b"", None, 0),)).scans[0] == ()

    def test_a_scan_includes_its_start_and_excludes_its_end(self, kv: KVStore) -> None:
        write(kv, put(b"a", b""), put(b"b", b""), put(b"c", b""))
        found = kv.read((), (Scan(b"a", b"c", 10), Scan(b"b", b"b", 10), Scan(b"c", b"a", 10)))
        assert [[row.key for row in rows] for rows in found.scans] == [[b"a", b"b"], [], []]

    def test_a_prefix_scan_finds_the_prefix_and_nothing_else(self, kv: KVStore) -> None:
        keys = [b"p", b"p\x00", b"p\xff\xff", b"q", b"o\xff", b"\xff\xff", b"\xff\xffx"]
        write(kv, *(put(key, b"") for key in keys))
        found = kv.read(
            (),
            (
                scan_prefix(b"p", limit=10),
                scan_prefix(b"p", after=b"\x00", limit=10),
                scan_prefix(b"\xff\xff", limit=10),
            ),
        )
        assert [[row.key for row in rows] for rows in found.scans] == [
            [b"p", b"p\x00", b"p\xff\xff"],
            [b"p\xff\xff"],
            [b"\xff\xff", b"\xff\xffx"],
        ]

    def test_a_scan_may_have_so_many_rows_and_not_one_more(self, kv: KVStore) -> None:
        write(kv, *(put(b"%05d" % number, b"") for number in range(limits.KV_WRITES_MAX)))
        write(kv, put(b"x", b""))
        rows = kv.read((), (Scan(b"", None, limits.SCAN_ROWS_MAX),)).scans[0]
        assert len(rows) == limits.SCAN_ROWS_MAX
        with pytest.raises(LimitExceeded) as raised:
            kv.read((), (Scan(b"", None, limits.SCAN_ROWS_MAX + 1),))
        assert raised.value.kind is Kind.TOO_MANY

    def test_values_and_scans_are_of_one_moment(self, kv: KVStore) -> None:
        """A reader never finds neither of {H0, T1} and {H1, T2} (docs/protocol.md 1.3)."""
        write(kv, put(b"a", b"0"), put(b"r/1", b"0"), put(b"r/2", b"0"), put(b"z", b"0"))
        stop = threading.Event()
        failures: list[object] = []

        def read_on() -> None:
            while not stop.is_set():
                snapshot = kv.read((b"a", b"z"), (scan_prefix(b"r/", limit=9),))
                seen = {value.value for value in snapshot.values if value is not None}
                seen |= {row.value for row in snapshot.scans[0]}
                if len(seen) != 1 or len(snapshot.scans[0]) != 2:
                    failures.append(snapshot)

        readers = [threading.Thread(target=read_on) for _ in range(2)]
        for reader in readers:
            reader.start()
        try:
            for number in range(1, 150):
                value = b"%d" % number
                write(
                    kv,
                    put(b"a", value),
                    delete(b"r/%d" % (number % 3)),
                    put(b"r/%d" % ((number + 1) % 3), value),
                    put(b"r/%d" % ((number + 2) % 3), value),
                    put(b"z", value),
                )
        finally:
            stop.set()
            for reader in readers:
                reader.join()
        assert not failures

    # Versions

    def test_one_request_has_one_version_and_the_next_a_higher_one(self, kv: KVStore) -> None:
        first = write(kv, put(b"a", b"1"), put(b"b", b"1"))
        second = write(kv, put(b"a", b"1"))
        assert 0 < first < second
        assert (version_of(kv, b"a"), version_of(kv, b"b")) == (second, first)

    def test_aba_a_key_deleted_and_made_again_never_has_an_old_version(self, kv: KVStore) -> None:
        old = write(kv, put(b"branch", b"same"))
        write(kv, delete(b"branch"))
        again = write(kv, put(b"branch", b"same"))
        assert again > old
        late = apply_one(kv, (is_version(b"branch", old),), (put(b"staged", b"lost"),))
        assert late == Verdict(False, failed=Condition(b"branch", old))
        assert get(kv, b"staged") is None

    def test_aba_within_one_batch(self, kv: KVStore) -> None:
        old = write(kv, put(b"k", b"1"))
        verdicts = kv.apply(
            (
                Request((is_version(b"k", old),), (delete(b"k"),)),
                Request((is_absent(b"k"),), (put(b"k", b"1"),)),
                Request((is_version(b"k", old),), (put(b"k", b"wrong"),)),
            )
        )
        assert [verdict.is_accepted for verdict in verdicts] == [True, True, False]
        assert get(kv, b"k") == Versioned(b"1", verdicts[1].version)

    def test_versions_of_deleted_keys_are_not_used_again_for_other_keys(self, kv: KVStore) -> None:
        seen = {write(kv, put(b"a", b"")), write(kv, put(b"b", b""))}
        write(kv, delete(b"a"), delete(b"b"))
        assert write(kv, put(b"c", b"")) not in seen
        assert version_of(kv, b"c") > max(seen)

    # Conditions

    def test_a_request_is_applied_whole_or_not_at_all(self, kv: KVStore) -> None:
        kept = write(kv, put(b"kept", b"1"))
        verdict = apply_one(
            kv,
            (is_version(b"kept", kept), is_absent(b"kept")),
            (put(b"kept", b"2"), put(b"new", b"2"), delete(b"kept")),
        )
        assert verdict == Verdict(False, failed=Condition(b"kept", 0))
        assert kv.read((b"kept", b"new")).values == (Versioned(b"1", kept), None)

    def test_absent_present_and_as_seen(self, kv: KVStore) -> None:
        assert apply_one(kv, (is_as_seen(b"k", get(kv, b"k")),), (put(b"k", b"1"),)).is_accepted
        assert not apply_one(kv, (is_absent(b"k"),), (put(b"k", b"2"),)).is_accepted
        seen = get(kv, b"k")
        assert apply_one(kv, (is_as_seen(b"k", seen),), (put(b"k", b"3"),)).is_accepted
        assert not apply_one(kv, (is_as_seen(b"k", seen),), (put(b"k", b"4"),)).is_accepted
        assert not apply_one(kv, (is_version(b"none", 7),), (put(b"k", b"5"),)).is_accepted
        found = get(kv, b"k")
        assert found is not None
        assert found.value == b"3"

    def test_conditions_without_writes_are_judged(self, kv: KVStore) -> None:
        version = write(kv, put(b"a", b""))
        accepted, refused = kv.apply(
            (Request((is_version(b"a", version),), ()), Request((is_absent(b"a"),), ()))
        )
        assert accepted == Verdict(True, 0)
        assert refused == Verdict(False, failed=Condition(b"a", 0))
        assert write(kv, put(b"b", b"")) > version

    def test_many_conditions_are_judged_together(self, kv: KVStore) -> None:
        keys = [b"part/%05d" % number for number in range(limits.KV_WRITES_MAX)]
        version = write(kv, *(put(key, b"") for key in keys))
        conditions = [is_version(key, version) for key in keys]
        assert apply_one(kv, conditions, (put(b"done", b""),)).is_accepted
        again = write(kv, put(keys[-1], b"sent again"))
        refused = apply_one(kv, conditions, (put(b"done", b"2"),))
        assert refused.failed == Condition(keys[-1], version)
        assert again > version

    # Batches

    def test_of_two_puts_of_one_absent_key_in_a_batch_the_second_fails(self, kv: KVStore) -> None:
        first, second = kv.apply(
            [Request((is_absent(b"k"),), (put(b"k", value),)) for value in (b"1", b"2")]
        )
        assert first.is_accepted
        assert second == Verdict(False, failed=Condition(b"k", 0))
        assert get(kv, b"k") == Versioned(b"1", first.version)

    def test_a_later_request_sees_the_version_an_earlier_one_gave(self, kv: KVStore) -> None:
        seen = write(kv, put(b"k", b"0"))
        verdicts = kv.apply([Request((is_version(b"k", seen),), (put(b"k", b"1"),))] * 3)
        assert [verdict.is_accepted for verdict in verdicts] == [True, False, False]

    def test_a_refused_request_never_fails_its_neighbours(self, kv: KVStore) -> None:
        verdicts = kv.apply(
            (
                Request((is_absent(b"a"),), (put(b"a", b"1"),)),
                Request((is_version(b"a", 999_999),), (put(b"b", b"2"), put(b"a", b"2"))),
                Request((is_absent(b"b"),), (put(b"c", b"3"),)),
            )
        )
        assert [verdict.is_accepted for verdict in verdicts] == [True, False, True]
        values = kv.read((b"a", b"b", b"c")).values
        assert [value and value.value for value in values] == [b"1", None, b"3"]

    def test_accepted_requests_of_a_batch_have_versions_of_their_own(self, kv: KVStore) -> None:
        verdicts = kv.apply([Request((), (put(b"k%d" % number, b""),)) for number in range(5)])
        versions = [verdict.version for verdict in verdicts]
        assert versions == sorted(set(versions))
        assert [version_of(kv, b"k%d" % number) for number in range(5)] == versions

    def test_the_last_write_of_a_key_in_a_request_wins(self, kv: KVStore) -> None:
        write(kv, put(b"a", b"1"), put(b"a", b"2"), put(b"b", b"1"), delete(b"b"))
        write(kv, delete(b"c"), put(b"c", b"3"))
        values = kv.read((b"a", b"b", b"c")).values
        assert [value and value.value for value in values] == [b"2", None, b"3"]

    def test_deleting_an_absent_key_is_nothing(self, kv: KVStore) -> None:
        assert apply_one(kv, (), (delete(b"none"),)).is_accepted
        assert get(kv, b"none") is None

    def test_an_empty_batch_and_an_empty_request_are_nothing(self, kv: KVStore) -> None:
        assert kv.apply(()) == []
        assert kv.apply((Request((), ()),)) == [Verdict(True)]

    # Interleavings

    def test_write_against_seal(self, kv: KVStore) -> None:
        """A staging write addressed to a token loses against the seal of it, before or after."""
        unsealed = write(kv, put(b"branch", b"token 1"))
        stage = Request((is_version(b"branch", unsealed),), (put(b"1/path", b"row"),))
        seal = Request((is_version(b"branch", unsealed),), (put(b"branch", b"token 2, sealed 1"),))
        before, sealed, after = kv.apply((stage, seal, stage))
        assert (before.is_accepted, sealed.is_accepted, after.is_accepted) == (True, True, False)
        assert version_of(kv, b"1/path") == before.version
        assert not kv.apply((stage,))[0].is_accepted

    def test_crossing_batches_do_not_both_win(self, kv: KVStore) -> None:
        """Each of two writers reads what the other writes; only one of each pair may be kept."""
        write(kv, put(b"x", b"0"), put(b"y", b"0"))
        accepted: list[tuple[int, int]] = []
        rounds = 25

        def write_crossed(side: int) -> None:
            mine, other = ((b"x", b"y"), (b"y", b"x"))[side]
            for number in range(rounds):
                barrier.wait()
                seen = kv.read((other, mine)).values
                barrier.wait()
                requests = (
                    Request((), (put(b"noise/%d" % side, b"%d" % number),)),
                    Request(
                        (is_as_seen(other, seen[0]), is_as_seen(mine, seen[1])),
                        (put(mine, b"%d" % number),),
                    ),
                )
                if kv.apply(requests)[1].is_accepted:
                    accepted.append((number, side))

        barrier = threading.Barrier(2)
        run_threads([lambda: write_crossed(0), lambda: write_crossed(1)])
        assert sorted(number for number, _ in accepted) == list(range(rounds))

    def test_no_increment_of_a_counter_is_lost(self, kv: KVStore) -> None:
        def count_up() -> None:
            for _ in range(20):
                while True:
                    seen = get(kv, b"counter")
                    value = b"%d" % (1 + int(seen.value if seen else b"0"))
                    if apply_one(
                        kv, (is_as_seen(b"counter", seen),), (put(b"counter", value),)
                    ).is_accepted:
                        break

        run_threads([count_up] * 4)
        found = get(kv, b"counter")
        assert found is not None
        assert found.value == b"80"

    def test_random_batches_agree_with_a_plain_model(self, kv: KVStore) -> None:
        seed = random.randrange(1 << 32)
        print(f"seed {seed}")
        choice = random.Random(seed)
        model: dict[bytes, Versioned] = {}
        for _ in range(40):
            self._run_random_batch(kv, choice, model)
            everything = kv.read((), (Scan(b"", None, 100),)).scans[0]
            assert everything == tuple(
                Row(key, value.value, value.version) for key, value in sorted(model.items())
            )

    def _run_random_batch(
        self, kv: KVStore, choice: random.Random, model: dict[bytes, Versioned]
    ) -> None:
        keys = [b"k%d" % number for number in range(6)]
        versions = [0, *(value.version for value in model.values())]
        requests = [
            Request(
                [
                    Condition(key, choice.choice([version_of(kv, key), choice.choice(versions)]))
                    for key in choice.sample(keys, choice.randrange(3))
                ],
                [
                    Write(choice.choice(keys), choice.choice([None, b"%d" % choice.randrange(9)]))
                    for _ in range(choice.randrange(4))
                ],
            )
            for _ in range(choice.randrange(1, 5))
        ]
        last = max(versions)
        for request, verdict in zip(requests, kv.apply(requests), strict=True):
            failed = [
                condition
                for condition in request.conditions
                if condition.version
                != (model[condition.key].version if condition.key in model else 0)
            ]
            assert verdict.failed == (failed[0] if failed else None)
            assert verdict.is_accepted == (not failed)
            if failed or not request.writes:
                assert verdict.version == 0
                continue
            assert verdict.version > last
            last = verdict.version
            for key, value in request.writes:
                model.pop(key, None)
                if value is not None:
                    model[key] = Versioned(value, verdict.version)

    # Limits

    def test_a_request_may_hold_so_many_writes_and_not_one_more(self, kv: KVStore) -> None:
        writes = [put(b"%05d" % number, b"") for number in range(limits.KV_WRITES_MAX)]
        assert apply_one(kv, (), writes).is_accepted
        with pytest.raises(LimitExceeded) as raised:
            kv.apply((Request((), (put(b"a", b""),)), Request((), [*writes, put(b"x", b"")])))
        assert raised.value.kind is Kind.TOO_MANY
        assert get(kv, b"a") is None

    def test_a_value_may_be_so_large_and_not_one_byte_more(self, kv: KVStore) -> None:
        largest = bytes(limits.KV_VALUE_BYTES_MAX)
        version = write(kv, put(b"a", largest))
        with pytest.raises(LimitExceeded) as raised:
            kv.apply((Request((), (put(b"a", largest + b"x"),)),))
        assert raised.value.kind is Kind.TOO_LARGE
        assert get(kv, b"a") == Versioned(largest, version)

    def test_a_key_may_be_so_long_and_not_one_byte_more(self, kv: KVStore) -> None:
        longest = random.Random(1).randbytes(limits.KV_KEY_BYTES_MAX)
        write(kv, put(longest, b"v"))
        assert version_of(kv, longest) > 0
        with pytest.raises(LimitExceeded) as raised:
            kv.apply((Request((), (put(longest + b"x", b""),)),))
        assert raised.value.kind is Kind.TOO_LARGE

    # The clock

    def test_the_clock_is_in_microseconds_and_does_not_go_back(self, kv: KVStore) -> None:
        first = kv.now_us()
        assert 1_600_000_000_000_000 < first < 10_000_000_000_000_000
        assert kv.now_us() >= first


def run_threads(targets: Sequence["object"]) -> None:
    """Run callables at once, each in a thread; raise the first error of any."""
    errors: list[BaseException] = []

    def guarded(target: object) -> None:
        assert callable(target)
        try:
            target()
        except BaseException as error:  # noqa: BLE001 - raised again below, in the test's thread
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
