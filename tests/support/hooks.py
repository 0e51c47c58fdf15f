"""Interleavings decided by a test: one use case stops at a chosen step while others run.

with open_lake() as one, open_beside(one, wrap=HookedKV) as two:
    hooks(two).before_apply(b"branch/", lambda: one.put("a"))
    two.commit()                       # `one` puts between what `two` read and its publish
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from anabranch.storage.kv.base import KVStore, Request, Scan, Snapshot, Verdict
from tests.support.lakes import TestLake

Action = Callable[[], object]


@dataclass(slots=True)
class _Hook:
    touching: bytes
    skip: int
    action: Action


class HookedKV:
    """A KV store that runs an action once, at the first step that touches a key prefix.

    At most one action a step, in the order they were given.
    An action must use another lake over the inner store: what it does here would wait for itself.
    """

    def __init__(self, inner: KVStore) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._before_apply: list[_Hook] = []
        self._after_apply: list[_Hook] = []
        self._before_read: list[_Hook] = []
        self._after_read: list[_Hook] = []

    def before_apply(self, touching: bytes, action: Action, *, skip: int = 0) -> None:
        """Run `action` before the first apply that writes such a key, `skip` others passed over."""
        self._before_apply.append(_Hook(touching, skip, action))

    def after_apply(self, touching: bytes, action: Action, *, skip: int = 0) -> None:
        """Run `action` behind such an apply, before its answer is heard."""
        self._after_apply.append(_Hook(touching, skip, action))

    def before_read(self, touching: bytes, action: Action, *, skip: int = 0) -> None:
        """Run `action` before the first read that asks for such a key or scans there."""
        self._before_read.append(_Hook(touching, skip, action))

    def after_read(self, touching: bytes, action: Action, *, skip: int = 0) -> None:
        """Run `action` behind such a read, before its answer is used."""
        self._after_read.append(_Hook(touching, skip, action))

    @property
    def is_done(self) -> bool:
        """Tell whether every action has run."""
        return not (
            self._before_apply or self._after_apply or self._before_read or self._after_read
        )

    @property
    def is_local(self) -> bool:
        """As the inner store."""
        return self._inner.is_local

    @property
    def can_lose_answers(self) -> bool:
        """As the inner store."""
        return self._inner.can_lose_answers

    def read(self, keys: Sequence[bytes], scans: Sequence[Scan] = ()) -> Snapshot:
        """Read, with the actions that are due."""
        asked = [*keys, *(scan.start for scan in scans)]
        self._run(self._before_read, asked)
        found = self._inner.read(keys, scans)
        self._run(self._after_read, asked)
        return found

    def apply(self, requests: Sequence[Request]) -> list[Verdict]:
        """Apply, with the actions that are due."""
        written = [write.key for request in requests for write in request.writes]
        self._run(self._before_apply, written)
        verdicts = self._inner.apply(requests)
        self._run(self._after_apply, written)
        return verdicts

    def now_us(self) -> int:
        """Ask the inner store."""
        return self._inner.now_us()

    def close(self) -> None:
        """Close the inner store."""
        self._inner.close()

    def _run(self, hooks: list[_Hook], keys: Sequence[bytes]) -> None:
        due = None
        with self._lock:
            for hook in hooks:
                if not any(key.startswith(hook.touching) for key in keys):
                    continue
                if hook.skip:
                    hook.skip -= 1
                elif due is None:
                    due = hook
            if due is not None:
                hooks.remove(due)
        if due is not None:
            due.action()


def hooks(opened: TestLake) -> HookedKV:
    """Return the hooks of a lake that was opened with `wrap=HookedKV`."""
    assert isinstance(opened.kv, HookedKV)
    return opened.kv
