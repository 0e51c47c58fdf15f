"""The staging and commit protocol, every interleaving of a few processes (docs/protocol.md 1, 2).

A state is a branch record, the rows of its tokens, and where each process stands; a step is one
read or one transaction. What a reader would see after each step is worked out and must be what the
step is allowed to change: a put one path, a reset what it read, a seal or a commit nothing at all.
Broken variants of the protocol show that the checker would notice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

PATHS = ("a", "b")
TOMBSTONE = "-"
FOLD_AT = 2
RETRIES_MAX = 2

Rows = tuple[tuple[str, str], ...]
Seen = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class State:
    """The store: the branch record, tokens by number, and the processes."""

    version: int
    head: Rows
    token: int
    sealed: tuple[int, ...]
    tokens: tuple[Rows, ...]
    processes: tuple[Process, ...]


@dataclass(frozen=True, slots=True)
class Process:
    """What a process does, how far it is, and what it read before."""

    program: str
    path: str = ""
    value: str = ""
    at: str = "start"
    retries: int = 0
    version: int = 0
    token: int = 0
    head: Rows = ()
    sealed: tuple[int, ...] = ()
    built: Rows = ()
    kept: Rows = ()
    is_row_dropped: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """The protocol; each field turned off is a protocol that loses something."""

    puts_are_conditional: bool = True
    deletes_look_below: bool = True
    resets_seal: bool = True
    publishes_check_sealed: bool = True
    publishes_check_head: bool = True
    publishes_compare_and_set: bool = True
    publishes_keep_later_seals: bool = True
    folds_keep_order: bool = True


Step = tuple[State, Callable[[Seen], Seen] | None]
"""The next state, and what it may do to what a reader sees; None: nothing."""


def seen(state: State) -> Seen:
    """Return what a reader sees: token, sealed newest first, head."""
    layers = [state.tokens[one] for one in (state.token, *state.sealed)]
    return tuple(_lookup(layers, state.head, path) for path in PATHS)


def _lookup(layers: list[Rows], head: Rows, path: str) -> str | None:
    for rows in layers:
        value = dict(rows).get(path)
        if value is not None:
            return None if value == TOMBSTONE else value
    return dict(head).get(path)


def steps(state: State, index: int, rules: Rules) -> Iterator[Step]:
    """Yield what a process may do next."""
    process = state.processes[index]
    action = _PROGRAMS[process.program]
    yield from action(state, index, process, rules)


def _with(state: State, index: int, process: Process) -> State:
    processes = (*state.processes[:index], process, *state.processes[index + 1 :])
    return replace(state, processes=processes)


def _written(state: State, token: int, path: str, value: str | None) -> State:
    rows = dict(state.tokens[token])
    if value is None:
        rows.pop(path, None)
    else:
        rows[path] = value
    changed = tuple(sorted(rows.items()))
    return replace(state, tokens=(*state.tokens[:token], changed, *state.tokens[token + 1 :]))


def _set(path: str, value: str | None) -> Callable[[Seen], Seen]:
    def effect(before: Seen) -> Seen:
        return tuple(value if one == path else old for one, old in zip(PATHS, before, strict=True))

    return effect


def _again(process: Process, at: str) -> Process | None:
    if process.retries >= RETRIES_MAX:
        return None
    return replace(process, at=at, retries=process.retries + 1)


# Writers


def _put(state: State, index: int, process: Process, rules: Rules) -> Iterator[Step]:
    if process.at == "start":
        known = replace(process, at="write", version=state.version, token=state.token)
        yield _with(state, index, known), None
    elif process.at == "write":
        if rules.puts_are_conditional and process.version != state.version:
            again = _again(process, "start")
            if again is not None:
                yield _with(state, index, again), None
            return
        written = _written(state, process.token, process.path, process.value)
        done = _with(written, index, replace(process, at="done"))
        yield done, _set(process.path, process.value)


def _delete(state: State, index: int, process: Process, rules: Rules) -> Iterator[Step]:
    if process.at == "start":
        below = any(process.path in dict(state.tokens[one]) for one in state.sealed)
        is_there = process.path in dict(state.head)
        if rules.deletes_look_below:
            is_there = is_there or below
        known = replace(
            process,
            at="write",
            version=state.version,
            token=state.token,
            is_row_dropped=not is_there,
        )
        yield _with(state, index, known), None
    elif process.at == "write":
        if process.version != state.version:
            again = _again(process, "start")
            if again is not None:
                yield _with(state, index, again), None
            return
        value = None if process.is_row_dropped else TOMBSTONE
        written = _written(state, process.token, process.path, value)
        yield _with(written, index, replace(process, at="done")), _set(process.path, None)


# Who moves the branch


def _sealing(state: State, index: int, process: Process, rules: Rules) -> Iterator[Step]:
    """Read, then put a fresh token in front; a fold may happen in the same transaction."""
    if process.at == "start":
        if not state.tokens[state.token]:
            yield _with(state, index, replace(process, at="read")), None
            return
        known = replace(process, at="seal", version=state.version, token=state.token)
        yield _with(state, index, known), None
        return
    if process.version != state.version:
        again = _again(process, "start")
        if again is not None:
            yield _with(state, index, again), None
        return
    tokens = (*state.tokens, ())
    sealed = (state.token, *state.sealed)
    if len(state.sealed) >= FOLD_AT:
        layers = [state.tokens[one] for one in state.sealed]
        if rules.folds_keep_order:
            layers.reverse()
        merged: dict[str, str] = {}
        for rows in layers:
            merged.update(rows)
        tokens = (*tokens, tuple(sorted(merged.items())))
        sealed = (state.token, len(tokens) - 1)
    moved = replace(
        state,
        version=state.version + 1,
        token=len(state.tokens),
        sealed=sealed,
        tokens=tokens,
    )
    yield _with(moved, index, replace(process, at="read")), None


def _read(state: State, index: int, process: Process) -> State:
    known = replace(process, at="publish", head=state.head, sealed=state.sealed)
    return _with(state, index, known)


def _is_same_base(state: State, process: Process, rules: Rules) -> bool:
    count = len(process.sealed)
    older = state.sealed[len(state.sealed) - count :]
    is_head = not rules.publishes_check_head or state.head == process.head
    return is_head and (not rules.publishes_check_sealed or older == process.sealed)


def _publishing(
    state: State,
    index: int,
    process: Process,
    rules: Rules,
    head: Rows,
    kept: Rows | None,
    effect: Callable[[Seen], Seen] | None,
) -> Iterator[Step]:
    """Read the record again, compare, and set: two steps, so that others come between."""
    if process.at == "publish":
        if not _is_same_base(state, process, rules):
            again = _again(process, "read")
            if again is not None:
                yield _with(state, index, again), None
            return
        yield _with(state, index, replace(process, at="set", version=state.version)), None
        return
    if process.version != state.version and rules.publishes_compare_and_set:
        again = _again(process, "publish")
        if again is not None:
            yield _with(state, index, again), None
        return
    newer = state.sealed[: len(state.sealed) - len(process.sealed)]
    if not rules.publishes_keep_later_seals:
        newer = ()
    tokens, sealed = state.tokens, newer
    if kept:
        tokens, sealed = (*tokens, kept), (*newer, len(tokens))
    moved = replace(state, version=state.version + 1, head=head, sealed=sealed, tokens=tokens)
    yield _with(moved, index, replace(process, at="done")), effect


def _commit(state: State, index: int, process: Process, rules: Rules) -> Iterator[Step]:
    if process.at in ("start", "seal"):
        yield from _sealing(state, index, process, rules)
    elif process.at == "read":
        yield _read(state, index, process), None
    elif process.at in ("publish", "set"):
        layers = [state.tokens[one] for one in process.sealed]
        found = {path: _lookup(layers, process.head, path) for path in PATHS}
        head = tuple((path, value) for path, value in found.items() if value is not None)
        yield from _publishing(state, index, process, rules, head, None, None)


def _reset(state: State, index: int, process: Process, rules: Rules) -> Iterator[Step]:
    """Reset one path: what was staged there when the sealed tokens were read goes."""
    if process.at == "start" and not rules.resets_seal:
        sealed = (state.token, *state.sealed)
        known = replace(process, at="set", version=state.version, head=state.head, sealed=sealed)
        yield _with(state, index, replace(known, kept=_stays(state, known))), None
    elif process.at in ("start", "seal"):
        yield from _sealing(state, index, process, rules)
    elif process.at == "read":
        yield _read(state, index, process), None
    elif process.at in ("publish", "set"):
        if not rules.resets_seal:
            yield from _reset_unsealed(state, index, process)
            return
        kept = _stays(state, process)
        layers = [
            state.tokens[one]
            for one in (state.token, *state.sealed[: len(state.sealed) - len(process.sealed)])
        ]
        is_later = any(process.path in dict(rows) for rows in layers)
        below = dict(process.head).get(process.path)
        effect = None if is_later else _set(process.path, below)
        yield from _publishing(state, index, process, rules, state.head, kept, effect)


def _stays(state: State, process: Process) -> Rows:
    merged: dict[str, str] = {}
    for one in reversed(process.sealed):
        merged.update(state.tokens[one])
    merged.pop(process.path, None)
    return tuple(sorted(merged.items()))


def _reset_unsealed(state: State, index: int, process: Process) -> Iterator[Step]:
    """The reset that forgot to seal: rows written since it read are lost with their token."""
    if process.version != state.version:
        return
    tokens = (*state.tokens, (), process.kept)
    moved = replace(
        state,
        version=state.version + 1,
        token=len(tokens) - 2,
        sealed=(len(tokens) - 1,),
        tokens=tokens,
    )
    head = dict(state.head).get(process.path)
    yield _with(moved, index, replace(process, at="done")), _set(process.path, head)


_PROGRAMS = {"put": _put, "delete": _delete, "commit": _commit, "reset": _reset}


def explore(
    programs: tuple[Process, ...],
    rules: Rules,
    head: Rows = (),
    tokens: tuple[Rows, ...] = ((),),
) -> tuple[int, str]:
    """Return how many states there are, and the first step that showed what it may not.

    The branch begins with `tokens`: the first takes writes, the others are sealed, newest first.
    """
    first = State(1, head, 0, tuple(range(1, len(tokens))), tokens, programs)
    known = {first}
    waiting = [first]
    while waiting:
        state = waiting.pop()
        before = seen(state)
        for index in range(len(programs)):
            for following, effect in steps(state, index, rules):
                allowed = before if effect is None else effect(before)
                if seen(following) != allowed:
                    did = following.processes[index]
                    return len(known), f"{did.program}: {before} became {seen(following)}"
                if following not in known:
                    known.add(following)
                    waiting.append(following)
    return len(known), ""


PUT_A = Process("put", "a", "1")
PUT_A_AGAIN = Process("put", "a", "2")
PUT_B = Process("put", "b", "3")
DELETE_A = Process("delete", "a")
COMMIT = Process("commit")
RESET_A = Process("reset", "a")
HEAD = (("a", "0"),)

SCENARIOS = {
    "writers and committers": (PUT_A, PUT_B, COMMIT, COMMIT),
    "deletes": (PUT_A, DELETE_A, COMMIT, COMMIT),
    "resets": (PUT_A, PUT_B, RESET_A, COMMIT),
    "deletes and resets": (PUT_A, DELETE_A, RESET_A, COMMIT),
}


@pytest.mark.parametrize("head", [(), HEAD])
@pytest.mark.parametrize("name", SCENARIOS)
def test_no_interleaving_shows_what_it_should_not(name: str, head: Rows) -> None:
    count, wrong = explore(SCENARIOS[name], Rules(), head)
    assert wrong == ""
    assert count > 1_000


SEALED = ((("b", "6"),), (("a", "5"),), (("a", "4"), ("b", "4")))


@pytest.mark.slow
def test_no_interleaving_with_folds_shows_what_it_should_not() -> None:
    count, wrong = explore((PUT_A, DELETE_A, RESET_A, COMMIT), Rules(), HEAD, SEALED)
    assert wrong == ""
    assert count > 10_000


BROKEN = [
    ("puts_are_conditional", (PUT_A, PUT_B, COMMIT, COMMIT), ()),
    ("deletes_look_below", (PUT_A, DELETE_A, COMMIT, PUT_B), ()),
    ("resets_seal", (PUT_B, RESET_A), ()),
    ("publishes_check_sealed", (PUT_A, PUT_A_AGAIN, RESET_A, COMMIT), ()),
    ("publishes_check_head", (PUT_A, PUT_A_AGAIN, COMMIT, COMMIT), ()),
    ("publishes_compare_and_set", (PUT_A, PUT_B, COMMIT, COMMIT), ()),
    ("publishes_keep_later_seals", (PUT_A, PUT_B, COMMIT, COMMIT), ()),
]


@pytest.mark.parametrize("name, programs, head", BROKEN, ids=[one[0] for one in BROKEN])
def test_the_checker_notices_a_broken_protocol(
    name: str, programs: tuple[Process, ...], head: Rows
) -> None:
    rules = replace(Rules(), **{name: False})
    assert explore(programs, rules, head)[1] != ""


def test_the_checker_notices_a_fold_in_the_wrong_order() -> None:
    assert explore((COMMIT,), Rules(), HEAD, SEALED)[1] == ""
    assert explore((COMMIT,), Rules(folds_keep_order=False), HEAD, SEALED)[1] != ""
