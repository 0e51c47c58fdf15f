"""The group writer: what is batched, what runs again, what callers are told."""

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator

import pytest

from anabranch.kernel import limits
from anabranch.kernel.errors import (
    AlreadyExists,
    Conflict,
    Kind,
    LimitExceeded,
    OutcomeUnknown,
    Unavailable,
)
from anabranch.storage.blocks.base import Placed
from anabranch.storage.blocks.memory import MemoryBlocks
from anabranch.storage.kv.base import (
    Condition,
    KVStore,
    Prepared,
    Request,
    Verdict,
    Write,
    is_absent,
    is_as_seen,
    put,
    scan_prefix,
)
from anabranch.storage.kv.memory import MemoryKV
from anabranch.storage.kv.outcomes import expired_outcomes
from anabranch.storage.kv.writer import GroupWriter
from tests.contracts.kv_contract import get, run_threads, version_of, write
from tests.support.fakes import FakeClock, FakeIds
from tests.support.faults import FaultyKV, HeldKV, Loss, disk_full


def prepared(
    *writes: Write, conditions: tuple[Condition, ...] = (), placed: Placed | None = None
) -> Prepared[Verdict]:
    """Return a step whose answer is its verdict."""
    if placed is None:
        return Prepared(conditions, writes, lambda verdict: verdict)
    return Prepared(conditions, (*writes, *placed.writes), lambda verdict: verdict, placed.windows)


class Setup:
    """A writer over memory stores."""

    def __init__(self, kv: KVStore) -> None:
        self.kv = kv
        self.blocks = MemoryBlocks(kv, FakeClock(), FakeIds("blocks"))
        self.pauses: list[float] = []
        self.writer = GroupWriter(
            kv, self.blocks.flush, ids=FakeIds("requests"), pause=self.pauses.append
        )


@pytest.fixture
def setup() -> Iterator[Setup]:
    """A writer over plain memory."""
    made = Setup(MemoryKV())
    yield made
    made.writer.close()


class Held:
    """A writer whose applies are held, with threads that wait for it."""

    def __init__(self) -> None:
        self.held = HeldKV(MemoryKV())
        self.setup = Setup(self.held)
        self.threads: list[threading.Thread] = []
        self.answers: list[object] = []

    def submit(self, make: Callable[[], Prepared[Verdict]]) -> None:
        """Submit from a thread of its own; the answer or error goes to `answers`."""

        def run() -> None:
            try:
                self.answers.append(self.setup.writer.submit(make))
            except (Unavailable, Conflict, LimitExceeded) as error:
                self.answers.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        self.threads.append(thread)

    def fill(self, count: int) -> None:
        """Return when so many requests are queued behind the one being applied."""
        while self.setup.writer.queued() < count:
            threading.Event().wait(0.001)

    def finish(self) -> None:
        """Let everything through and wait for all."""
        self.held.let_through(1_000)
        for thread in self.threads:
            thread.join()
        self.setup.writer.close()


# Batches


def test_what_queued_during_a_write_is_the_next_batch() -> None:
    held = Held()
    held.submit(lambda: prepared(put(b"first", b"")))
    held.held.wait_for_apply()
    for number in range(10):
        held.submit(lambda number=number: prepared(put(b"%d" % number, b"")))  # type: ignore[misc]  # a default binds the loop's value
    held.fill(10)
    held.finish()
    assert [len(batch) for batch in held.held.batches] == [1, 10]
    assert len(held.answers) == 11


def test_a_batch_holds_so_many_requests_and_not_one_more() -> None:
    held = Held()
    held.submit(lambda: prepared(put(b"first", b"")))
    held.held.wait_for_apply()

    async def many() -> None:
        steps = [
            held.setup.writer.submit_async(lambda: prepared(put(b"k", b"")))
            for _ in range(limits.KV_BATCH_REQUESTS_MAX + 1)
        ]
        tasks = [asyncio.create_task(step) for step in steps]
        await asyncio.sleep(0)
        held.held.let_through(3)
        await asyncio.gather(*tasks)

    asyncio.run(many())
    held.finish()
    assert [len(batch) for batch in held.held.batches] == [1, limits.KV_BATCH_REQUESTS_MAX, 1]


def test_a_batch_holds_no_more_writes_than_one_transaction_may() -> None:
    held = Held()
    held.submit(lambda: prepared(put(b"first", b"")))
    held.held.wait_for_apply()
    large = [put(b"%05d" % number, b"") for number in range(limits.KV_WRITES_MAX - 1)]
    for step in (large, [put(b"a", b"")], [put(b"b", b"")], large):
        held.submit(lambda step=step: prepared(*step))  # type: ignore[misc]  # a default binds the loop's value
        held.fill(len(held.threads) - 1)
    held.finish()
    sizes = [[len(request.writes) for request in batch] for batch in held.held.batches]
    assert sizes == [[1], [limits.KV_WRITES_MAX - 1, 1], [1, limits.KV_WRITES_MAX - 1]]


def test_a_full_queue_is_said_and_loses_nothing() -> None:
    held = Held()
    held.submit(lambda: prepared(put(b"first", b"")))
    held.held.wait_for_apply()

    async def overfill() -> list[object]:
        tasks = [
            asyncio.create_task(held.setup.writer.submit_async(lambda: prepared(put(b"k", b""))))
            for _ in range(limits.KV_QUEUE_MAX + 1)
        ]
        await asyncio.sleep(0)
        held.held.let_through(1_000)
        return list(await asyncio.gather(*tasks, return_exceptions=True))

    answers = asyncio.run(overfill())
    held.finish()
    refused = [answer for answer in answers if isinstance(answer, Unavailable)]
    assert [error.kind for error in refused] == [Kind.BUSY]
    assert len(answers) == limits.KV_QUEUE_MAX + 1


def test_one_wake_up_of_the_loop_serves_a_batch() -> None:
    held = Held()
    held.submit(lambda: prepared(put(b"first", b"")))
    held.held.wait_for_apply()
    calls: list[object] = []

    async def many() -> None:
        loop = asyncio.get_running_loop()
        original = loop.call_soon_threadsafe

        def counted(callback: Callable[..., object], *arguments: object) -> asyncio.Handle:
            calls.append(callback)
            return original(callback, *arguments)

        loop.call_soon_threadsafe = counted  # type: ignore[method-assign,assignment]  # counted
        tasks = [
            asyncio.create_task(held.setup.writer.submit_async(lambda: prepared(put(b"k", b""))))
            for _ in range(50)
        ]
        await asyncio.sleep(0)
        held.held.let_through(2)
        await asyncio.gather(*tasks)

    asyncio.run(many())
    held.finish()
    assert len(calls) == 1


# Refusals


def test_a_refused_step_is_made_again_on_the_callers_side(setup: Setup) -> None:
    threads: list[int] = []

    def make() -> Prepared[int]:
        seen = setup.kv.read((b"counter",)).values[0]
        threads.append(threading.get_ident())
        value = 1 + int(seen.value if seen else b"0")
        if len(threads) == 1:
            write(setup.kv, put(b"counter", b"41"))  # another writer comes between
        return Prepared(
            (is_as_seen(b"counter", seen),), (put(b"counter", b"%d" % value),), lambda _: value
        )

    assert setup.writer.submit(make) == 42
    assert threads == [threading.get_ident()] * 2
    assert setup.kv.read((b"counter",)).values[0] is not None


def test_a_step_is_made_again_so_many_times_and_not_once_more(setup: Setup) -> None:
    write(setup.kv, put(b"k", b""))
    made: list[int] = []

    def make() -> Prepared[Verdict]:
        made.append(1)
        return prepared(put(b"x", b""), conditions=(is_absent(b"k"),))

    with pytest.raises(Conflict) as raised:
        setup.writer.submit(make)
    assert raised.value.kind is Kind.RETRIES_EXHAUSTED
    assert len(made) == 1 + limits.STAGING_RETRIES_MAX
    made.clear()
    with pytest.raises(Conflict):
        asyncio.run(setup.writer.submit_async(make))
    assert len(made) == 1 + limits.STAGING_RETRIES_MAX
    assert get(setup.kv, b"x") is None


def test_the_last_try_may_still_be_accepted(setup: Setup) -> None:
    made: list[int] = []

    def make() -> Prepared[Verdict]:
        made.append(1)
        condition = Condition(b"k", 0 if len(made) > limits.STAGING_RETRIES_MAX else 77)
        return prepared(put(b"x", b""), conditions=(condition,))

    assert setup.writer.submit(make).is_accepted


def test_make_may_end_the_use_case(setup: Setup) -> None:
    def make() -> Prepared[Verdict]:
        if get(setup.kv, b"k") is not None:
            raise AlreadyExists(Kind.BRANCH_EXISTS, "there")
        write(setup.kv, put(b"k", b""))
        return prepared(put(b"k", b"2"), conditions=(is_absent(b"k"),))

    with pytest.raises(AlreadyExists):
        setup.writer.submit(make)


def test_submit_once_leaves_a_refusal_to_the_caller(setup: Setup) -> None:
    step = prepared(put(b"k", b""), conditions=(is_absent(b"k"),))
    accepted = setup.writer.submit_once(step)
    assert accepted is not None
    assert accepted.version == version_of(setup.kv, b"k")
    assert setup.writer.submit_once(step) is None


def test_conditions_alone_are_judged(setup: Setup) -> None:
    assert setup.writer.submit_once(prepared(conditions=(is_absent(b"k"),))) == Verdict(True)
    assert setup.writer.submit_once(prepared(conditions=(Condition(b"k", 5),))) is None
    assert setup.writer.submit_once(prepared()) == Verdict(True)


def test_a_step_that_is_too_large_fails_alone(setup: Setup) -> None:
    writes = [put(b"%05d" % number, b"") for number in range(limits.KV_WRITES_MAX + 1)]
    with pytest.raises(LimitExceeded):
        setup.writer.submit(lambda: prepared(*writes))
    assert setup.writer.submit(lambda: prepared(*writes[1:])).is_accepted


# Windows


def test_bytes_are_readable_when_the_answer_comes(setup: Setup) -> None:
    placed = setup.blocks.put("s3://b/a", b"data", etag="e")
    setup.writer.submit(lambda: prepared(placed=placed))
    assert setup.blocks.read(setup.blocks.get("s3://b/a"), 0, 4) == b"data"


def test_a_refused_request_keeps_its_place(setup: Setup) -> None:
    placed = setup.blocks.put("s3://b/a", b"data", etag="e")
    made: list[int] = []

    def make() -> Prepared[Verdict]:
        made.append(1)
        return prepared(conditions=(Condition(b"k", 2 - len(made)),), placed=placed)

    setup.writer.submit(make)
    assert len(made) == 2
    assert setup.blocks.get("s3://b/a").extents == placed.extents


def test_a_lost_place_is_reserved_anew(setup: Setup) -> None:
    puts: list[Placed] = []

    def make() -> Prepared[Verdict]:
        if not puts or puts[-1].is_lost:
            puts.append(setup.blocks.put("s3://b/a", b"data", etag="e"))
        if len(puts) == 1:
            setup.blocks.lose_windows()
        return prepared(placed=puts[-1])

    setup.writer.submit(make)
    assert len(puts) == 2
    block = setup.blocks.get("s3://b/a")
    assert block.extents == puts[1].extents
    assert setup.blocks.read(block, 0, 4) == b"data"


def test_places_lost_in_a_row_end_the_use_case(setup: Setup) -> None:
    made: list[int] = []

    def make() -> Prepared[Verdict]:
        made.append(1)
        placed = setup.blocks.put("s3://b/a", b"data", etag="e")
        setup.blocks.lose_windows()
        return prepared(placed=placed)

    with pytest.raises(Unavailable) as raised:
        setup.writer.submit(make)
    assert raised.value.kind is Kind.STORE_FAILED
    assert len(made) == limits.LOST_WINDOWS_MAX
    assert setup.blocks.find("s3://b/a") is None


def test_submit_once_says_that_a_place_was_lost(setup: Setup) -> None:
    placed = setup.blocks.put("s3://b/a", b"data", etag="e")
    setup.blocks.lose_windows()
    with pytest.raises(Unavailable):
        setup.writer.submit_once(prepared(placed=placed))
    assert placed.is_lost


def test_the_neighbours_of_a_lost_place_are_applied(setup: Setup) -> None:
    lost = setup.blocks.put("s3://b/lost", b"data", etag="e")
    setup.blocks.lose_windows()
    results: list[object] = []

    async def both() -> None:
        results.extend(
            await asyncio.gather(
                setup.writer.submit_async(lambda: prepared(placed=lost)),
                setup.writer.submit_async(lambda: prepared(put(b"k", b""))),
                return_exceptions=True,
            )
        )

    asyncio.run(both())
    assert isinstance(results[0], Unavailable)
    assert isinstance(results[1], Verdict)


# Failures


def test_a_store_that_fails_tells_every_caller_and_goes_on() -> None:
    kv = FaultyKV(MemoryKV())
    made = Setup(kv)
    faults = kv.faults
    faults.fail_next("apply", disk_full())
    with pytest.raises(Unavailable) as raised:
        made.writer.submit(lambda: prepared(put(b"a", b"")))
    assert raised.value.kind is Kind.STORE_FAILED
    assert made.writer.submit(lambda: prepared(put(b"b", b""))).is_accepted
    assert get(kv, b"a") is None
    made.writer.close()


def test_a_closed_writer_has_written_what_was_queued_and_refuses_the_rest() -> None:
    made = Setup(MemoryKV())
    run_threads([lambda: made.writer.submit(lambda: prepared(put(b"k", b""))) for _ in range(4)])
    made.writer.close()
    made.writer.close()
    with pytest.raises(Unavailable):
        made.writer.submit(lambda: prepared(put(b"k", b"")))
    with pytest.raises(Unavailable):
        asyncio.run(made.writer.submit_async(lambda: prepared(put(b"k", b""))))


def test_callers_hear_of_a_writer_that_dies(setup: Setup) -> None:
    def end(_: object) -> None:
        raise SystemExit

    writer = GroupWriter(setup.kv, end)
    placed = setup.blocks.put("s3://b/a", b"data", etag="e")
    with pytest.raises(Unavailable, match="stopped"):
        writer.submit(lambda: prepared(placed=placed))
    with pytest.raises(Unavailable, match="stopped"):
        writer.submit(lambda: prepared(put(b"k", b"")))
    writer.close()


def test_a_cancelled_task_disturbs_nobody() -> None:
    held = Held()

    async def cancel_one() -> None:
        first = asyncio.create_task(
            held.setup.writer.submit_async(lambda: prepared(put(b"first", b"")))
        )
        await asyncio.sleep(0)
        tasks = [
            asyncio.create_task(
                held.setup.writer.submit_async(lambda key=key: prepared(put(key, b"")))  # type: ignore[misc]  # a default binds the loop's value
            )
            for key in (b"a", b"b", b"c")
        ]
        await asyncio.sleep(0)
        tasks[1].cancel()
        held.held.let_through(1_000)
        with pytest.raises(asyncio.CancelledError):
            await tasks[1]
        assert (await first).is_accepted
        assert (await tasks[0]).is_accepted
        assert (await tasks[2]).is_accepted

    asyncio.run(cancel_one())
    held.finish()
    assert get(held.held, b"b") is not None, "a queued write happens although nobody waits for it"


def test_a_loop_that_is_gone_does_not_stop_the_writer() -> None:
    held = Held()

    async def leave() -> None:
        task = asyncio.create_task(held.setup.writer.submit_async(lambda: prepared(put(b"a", b""))))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(leave())
    held.held.let_through(1_000)
    assert held.setup.writer.submit(lambda: prepared(put(b"b", b""))).is_accepted
    held.finish()
    assert get(held.held, b"a") is not None


def test_threads_and_tasks_together_lose_no_increment(setup: Setup) -> None:
    def make() -> Prepared[None]:
        seen = get(setup.kv, b"counter")
        value = b"%d" % (1 + int(seen.value if seen else b"0"))
        return Prepared((is_as_seen(b"counter", seen),), (put(b"counter", value),), lambda _: None)

    def in_thread() -> None:
        for _ in range(25):
            setup.writer.submit(make)

    async def in_loop() -> None:
        async def one() -> None:
            for _ in range(5):
                await setup.writer.submit_async(make)

        await asyncio.gather(*(one() for _ in range(5)))

    run_threads([in_thread, in_thread, lambda: asyncio.run(in_loop())])
    found = get(setup.kv, b"counter")
    assert found is not None
    assert found.value == b"75"


# Lost answers


def losing(losses: dict[int, Loss]) -> tuple[Setup, FaultyKV]:
    """Return a writer over a store that loses these answers."""
    kv = FaultyKV(MemoryKV(), losses=losses)
    return Setup(kv), kv


def outcomes(kv: KVStore) -> list[bytes]:
    """Return the states of all outcome rows."""
    return [row.value[:1] for row in kv.read((), (scan_prefix(b"outcome/", limit=100),)).scans[0]]


def append(kv: KVStore) -> Callable[[], Prepared[int]]:
    """Return a step that may happen once only: it appends to a list."""

    def make() -> Prepared[int]:
        seen = get(kv, b"list")
        value = (seen.value if seen else b"") + b"x"
        return Prepared(
            (is_as_seen(b"list", seen),), (put(b"list", value),), lambda verdict: verdict.version
        )

    return make


@pytest.mark.parametrize(
    ("losses", "states"),
    [
        ({}, [b"A"]),
        ({1: Loss.APPLIED}, [b"A"]),
        ({1: Loss.DROPPED}, [b"A", b"G"]),
        ({1: Loss.LATE}, [b"A", b"G"]),
        # The settling loses its own answer too.
        ({1: Loss.APPLIED, 2: Loss.APPLIED}, [b"A"]),
        ({1: Loss.DROPPED, 2: Loss.APPLIED}, [b"A", b"G"]),
        ({1: Loss.DROPPED, 2: Loss.DROPPED}, [b"A", b"G"]),
        ({1: Loss.LATE, 2: Loss.LATE}, [b"A", b"G"]),
        ({1: Loss.LATE, 2: Loss.DROPPED}, [b"A"]),
        ({1: Loss.DROPPED, 3: Loss.DROPPED}, [b"A", b"G", b"G"]),
    ],
)
def test_a_lost_answer_is_found_out_and_nothing_happens_twice(
    losses: dict[int, Loss], states: list[bytes]
) -> None:
    made, kv = losing(losses)
    version = made.writer.submit(append(kv))
    found = get(kv, b"list")
    assert found is not None
    assert (found.value, found.version) == (b"x", version)
    assert sorted(outcomes(kv)) == states
    assert made.writer.submit(append(kv)) > version
    found = get(kv, b"list")
    assert found is not None
    assert found.value == b"xx"
    made.writer.close()


def test_whatever_becomes_of_the_first_answers_a_step_happens_once() -> None:
    """Every fate of each of the first four transactions, the settling ones included."""
    for fates in itertools.product((None, *Loss), repeat=4):
        losses = {number: fate for number, fate in enumerate(fates, 1) if fate is not None}
        made, kv = losing(losses)
        version = made.writer.submit(append(kv))
        found = get(kv, b"list")
        assert found is not None
        assert (found.value, found.version) == (b"x", version), fates
        made.writer.submit(append(kv))
        found = get(kv, b"list")
        assert found is not None
        assert found.value == b"xx", fates
        made.writer.close()


def test_an_unconditional_write_is_not_repeated_over_a_later_one() -> None:
    """The lost transaction arrives late: it must not undo what came after."""
    made, kv = losing({1: Loss.LATE})
    made.writer.submit(lambda: prepared(put(b"k", b"first")))
    made.writer.submit(lambda: prepared(put(b"k", b"second")))
    found = get(kv, b"k")
    assert found is not None
    assert found.value == b"second"
    made.writer.close()


def test_of_a_batch_whose_answer_was_lost_each_hears_its_own() -> None:
    held = HeldKV(FaultyKV(MemoryKV(), losses={2: Loss.APPLIED}))
    made = Setup(held)

    async def three() -> list[Verdict | BaseException | None]:
        first = asyncio.create_task(made.writer.submit_async(lambda: prepared(put(b"first", b""))))
        await asyncio.sleep(0)
        held.wait_for_apply()
        conditions = (is_absent(b"k"),)
        tasks = [
            asyncio.create_task(made.writer.submit_async(step))
            for step in (
                lambda: prepared(put(b"k", b"1"), conditions=conditions),
                lambda: prepared(put(b"k", b"2"), conditions=conditions),
                lambda: prepared(put(b"other", b"3")),
            )
        ]
        await asyncio.sleep(0)
        held.let_through(1_000)
        await first
        return list(await asyncio.gather(*tasks, return_exceptions=True))

    one, two, three_ = asyncio.run(three())
    assert isinstance(one, Verdict)
    assert one.version == version_of(held, b"k")
    assert isinstance(two, Conflict)
    assert isinstance(three_, Verdict)
    assert three_.version == version_of(held, b"other")
    made.writer.close()


def test_a_store_that_never_answers_is_an_unknown_outcome_after_bounded_tries() -> None:
    made, kv = losing(dict.fromkeys(range(1, 1_000), Loss.DROPPED))
    with pytest.raises(OutcomeUnknown):
        made.writer.submit(lambda: prepared(put(b"k", b"")))
    assert len(kv.batches) == 1 + limits.OUTCOME_TRIES_MAX
    assert made.pauses == [limits.OUTCOME_PAUSE_S] * (limits.OUTCOME_TRIES_MAX - 1)
    made.writer.close()


def test_a_store_that_loses_each_answer_but_settles_says_that_nothing_was_done() -> None:
    made, kv = losing(dict.fromkeys(range(1, 1_000, 2), Loss.DROPPED))
    with pytest.raises(Unavailable) as raised:
        made.writer.submit(lambda: prepared(put(b"k", b"")))
    assert not isinstance(raised.value, OutcomeUnknown)
    assert get(kv, b"k") is None
    made.writer.close()


def test_a_request_of_the_most_writes_has_room_for_its_outcome() -> None:
    made, kv = losing({})
    writes = [put(b"%05d" % number, b"") for number in range(limits.KV_WRITES_MAX)]
    assert made.writer.submit(lambda: prepared(*writes)).is_accepted
    assert outcomes(kv) == [b"A"]
    made.writer.close()


def test_stores_that_lose_no_answer_get_no_outcome(setup: Setup) -> None:
    setup.writer.submit(lambda: prepared(put(b"k", b"")))
    assert outcomes(setup.kv) == []


def test_outcomes_are_deleted_after_their_hour_and_not_before() -> None:
    clock = FakeClock()
    kv = FaultyKV(MemoryKV(clock), losses={})
    made = Setup(kv)
    made.writer.submit(lambda: prepared(put(b"k", b"")))
    clock.advance(limits.OUTCOME_GRACE_S)
    assert expired_outcomes(kv) == ([], None)
    clock.advance(0.001)
    made.writer.submit(lambda: prepared(put(b"k", b"")))
    requests, after = expired_outcomes(kv)
    assert after is None
    assert len(requests) == 1
    assert all(verdict.is_accepted for verdict in kv.apply(requests))
    assert len(outcomes(kv)) == 1
    made.writer.close()


def test_requests_are_conditions_and_writes_as_prepared(setup: Setup) -> None:
    kv = FaultyKV(setup.kv)
    made = Setup(kv)
    made.writer.submit(lambda: prepared(put(b"k", b"v"), conditions=(is_absent(b"k"),)))
    assert kv.batches == [[Request((is_absent(b"k"),), (put(b"k", b"v"),))]]
    made.writer.close()
