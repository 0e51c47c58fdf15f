"""Faults for stores: every step that changes anything is numbered, and any can fail or be the last.

One `Faults` numbers the steps of all wrappers that share it, in the order they happen. A test runs
a fixed script once to `count` them, then once for each number with `crash_at`:

    faults = Faults()                          # or Faults(crash_at=7), Faults(fail_at={7: error})
    kv = FaultyKV(MemoryKV(), faults)          # "apply" before it, "applied" behind it
    blocks = LocalBlocks(directory, kv, clock, ids, disk=FaultyDisk(faults))
    kv = SqliteKV(path, vfs=faulty_vfs(faults))

`Crashed` ends a thread silently, as SystemExit does. After a crash nothing reaches a store any
more. With `kills=True` (in a process of its own) the process ends by `os._exit(137)` instead.
"""

import enum
import errno
import itertools
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import apsw

from anabranch.kernel.errors import Kind, OutcomeUnknown, Unavailable
from anabranch.storage.disk import Bytes, Disk
from anabranch.storage.kv.base import KVStore, Request, Scan, Snapshot, Verdict

KILLED = 137
_VFS_NUMBERS = itertools.count()


class Crashed(SystemExit):
    """The process is dead from here on."""


def disk_full() -> OSError:
    """Return the error of a full disk."""
    return OSError(errno.ENOSPC, "No space left on device")


def disk_broken() -> OSError:
    """Return the error of a disk that cannot write."""
    return OSError(errno.EIO, "Input/output error")


class Faults:
    """Numbers steps from 1; `fail_at` raises an error instead of the step, `crash_at` crashes."""

    def __init__(
        self,
        *,
        crash_at: int | None = None,
        kills: bool = False,
        fail_at: Mapping[int, BaseException] | None = None,
    ) -> None:
        self._crash_at = crash_at
        self._kills = kills
        self._fail_at = dict(fail_at or {})
        self._fail_next: dict[str, list[BaseException]] = {}
        self._lock = threading.Lock()
        self._crash_handlers: list[Callable[[], None]] = []
        self.steps: list[str] = []
        self.has_crashed = False

    def count(self) -> int:
        """Return how many steps there were."""
        return len(self.steps)

    def nth(self, number: int, error: BaseException) -> "Faults":
        """Let step `number` fail with `error`; return self."""
        self._fail_at[number] = error
        return self

    def fail_next(self, step: str, error: BaseException, *, times: int = 1) -> None:
        """Let the next steps of this name fail."""
        self._fail_next.setdefault(step, []).extend([error] * times)

    def at_crash(self, handler: Callable[[], None]) -> None:
        """Call `handler` when the crash comes, before anybody hears of it."""
        self._crash_handlers.append(handler)

    def step(self, name: str, torn: Callable[[], None] | None = None) -> None:
        """Count a step that is about to happen; `torn` does half of it when the crash is here."""
        with self._lock:
            if self.has_crashed:
                raise Crashed(KILLED)
            self.steps.append(name)
            number = len(self.steps)
            if number == self._crash_at:
                if torn is not None:
                    torn()
                if self._kills:
                    os._exit(KILLED)
                self.has_crashed = True
                for handler in self._crash_handlers:
                    handler()
                raise Crashed(KILLED)
            error = self._fail_at.get(number)
            waiting = self._fail_next.get(name)
            if error is None and waiting:
                error = waiting.pop(0)
        if error is not None:
            raise error


class Loss(enum.Enum):
    """What becomes of a transaction whose answer is lost."""

    APPLIED = "it was applied"
    DROPPED = "it never arrived"
    LATE = "it arrives behind the next transaction"


class FaultyKV:
    """A KV store whose applies fail, crash or lose their answers; reads are left alone.

    `losses` numbers applies from 1, those of the writer's own settling included.
    """

    def __init__(
        self,
        inner: KVStore,
        faults: Faults | None = None,
        *,
        losses: Mapping[int, Loss] | None = None,
    ) -> None:
        self._inner = inner
        self.faults = Faults() if faults is None else faults
        self._losses = losses
        self._late: list[Sequence[Request]] = []
        self._applies = 0
        self.batches: list[list[Request]] = []

    @property
    def is_local(self) -> bool:
        """As the inner store."""
        return self._inner.is_local

    @property
    def can_lose_answers(self) -> bool:
        """Whether losses were planned."""
        return self._losses is not None

    def read(self, keys: Sequence[bytes], scans: Sequence[Scan] = ()) -> Snapshot:
        """Read from the inner store."""
        return self._inner.read(keys, scans)

    def apply(self, requests: Sequence[Request]) -> list[Verdict]:
        """Apply, unless the plan has something else in mind."""
        try:
            self.faults.step("apply")
        except OSError as error:
            raise Unavailable(Kind.STORE_FAILED, str(error)) from error
        self._applies += 1
        self.batches.append(list(requests))
        loss = (self._losses or {}).get(self._applies)
        if loss is Loss.LATE:
            self._late.append(requests)
        elif loss is not Loss.DROPPED:
            verdicts = self._inner.apply(requests)
        if loss is not Loss.LATE:
            for late in self._late:
                self._inner.apply(late)
            self._late.clear()
        self.faults.step("applied")
        if loss is not None:
            raise OutcomeUnknown(Kind.OUTCOME_UNKNOWN, "the connection was lost")
        return verdicts

    def now_us(self) -> int:
        """Ask the inner store."""
        return self._inner.now_us()

    def close(self) -> None:
        """Close the inner store."""
        self._inner.close()


class HeldKV:
    """A KV store whose applies wait until they are let through, so that a queue can build up."""

    def __init__(self, inner: KVStore) -> None:
        self._inner = inner
        self._arrived = threading.Semaphore(0)
        self._allowed = threading.Semaphore(0)
        self.batches: list[list[Request]] = []

    @property
    def is_local(self) -> bool:
        """As the inner store."""
        return self._inner.is_local

    @property
    def can_lose_answers(self) -> bool:
        """As the inner store."""
        return self._inner.can_lose_answers

    def read(self, keys: Sequence[bytes], scans: Sequence[Scan] = ()) -> Snapshot:
        """Read from the inner store, never held."""
        return self._inner.read(keys, scans)

    def apply(self, requests: Sequence[Request]) -> list[Verdict]:
        """Apply when let through."""
        self.batches.append(list(requests))
        self._arrived.release()
        self._allowed.acquire()
        return self._inner.apply(requests)

    def wait_for_apply(self) -> None:
        """Return when one more apply is waiting."""
        assert self._arrived.acquire(timeout=30)

    def let_through(self, applies: int = 1) -> None:
        """Let so many applies go on, now or when they come."""
        self._allowed.release(applies)

    def now_us(self) -> int:
        """Ask the inner store."""
        return self._inner.now_us()

    def close(self) -> None:
        """Close the inner store."""
        self._inner.close()


class FaultyDisk(Disk):
    """A disk that fails or crashes; the crashing write is torn: half of its bytes arrive.

    With `loses_unsynced`, the crash is a power cut: bytes whose file was not synced, and names
    whose directory was not, are as they were before.
    """

    def __init__(self, faults: Faults, *, loses_unsynced: bool = False) -> None:
        self._faults = faults
        self._is_tracking = loses_unsynced
        self._undo: list[tuple[object, Callable[[], None]]] = []
        self._undo_lock = threading.Lock()
        if loses_unsynced:
            faults.at_crash(self._lose_unsynced)

    def create(self, path: Path) -> int:
        """Create a file."""
        self._faults.step("create")
        descriptor = super().create(path)
        self._remember(path.parent, lambda: path.unlink(missing_ok=True))
        return descriptor

    def write(self, descriptor: int, buffers: Sequence[Bytes], offset: int) -> None:
        """Write, or half of it when the crash is here."""
        data = b"".join(buffers)
        self._remember_bytes(descriptor, offset, len(data))
        half = data[: len(data) // 2]
        write = super().write
        self._faults.step("write", lambda: write(descriptor, (half,), offset))
        write(descriptor, (data,), offset)

    def sync(self, descriptor: int) -> None:
        """Sync a file: its bytes can no longer be lost."""
        self._faults.step("sync")
        super().sync(descriptor)
        self._forget(_inode(descriptor))

    def sync_directory(self, path: Path) -> None:
        """Sync a directory: its names can no longer be lost."""
        self._faults.step("sync directory")
        super().sync_directory(path)
        self._forget(path)

    def make_directory(self, path: Path) -> None:
        """Make a directory."""
        self._faults.step("make directory")
        was_there = path.exists()
        super().make_directory(path)
        if not was_there:
            self._remember(path.parent, path.rmdir)

    def rename(self, source: Path, target: Path) -> None:
        """Rename a file."""
        self._faults.step("rename")
        super().rename(source, target)
        self._remember(target.parent, lambda: super(FaultyDisk, self).rename(target, source))

    def truncate(self, descriptor: int, size_bytes: int) -> None:
        """Cut a file off."""
        self._faults.step("truncate")
        super().truncate(descriptor, size_bytes)

    def protect(self, descriptor: int) -> None:
        """Mark a file."""
        self._faults.step("protect")
        super().protect(descriptor)

    def unlink(self, path: Path) -> None:
        """Remove a name."""
        self._faults.step("unlink")
        super().unlink(path)

    def _remember(self, owner: object, undo: Callable[[], None]) -> None:
        if self._is_tracking:
            with self._undo_lock:
                self._undo.append((owner, undo))

    def _remember_bytes(self, descriptor: int, offset: int, length: int) -> None:
        if not self._is_tracking:
            return
        path = f"/proc/self/fd/{descriptor}"
        with open(path, "r+b", buffering=0) as file:
            size_bytes = os.fstat(file.fileno()).st_size
            old = os.pread(file.fileno(), length, offset)
            kept = os.dup(file.fileno())

        def restore() -> None:
            os.pwrite(kept, old, offset)
            os.ftruncate(kept, size_bytes)
            os.close(kept)

        self._remember(_inode(descriptor), restore)

    def _forget(self, owner: object) -> None:
        with self._undo_lock:
            self._undo = [entry for entry in self._undo if entry[0] != owner]

    def _lose_unsynced(self) -> None:
        with self._undo_lock:
            for _, undo in reversed(self._undo):
                undo()
            self._undo.clear()


def _inode(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def faulty_vfs(faults: Faults) -> str:
    """Register a SQLite file system whose writes and syncs are steps; return its name."""
    name = f"faulty-{next(_VFS_NUMBERS)}"
    _REGISTERED.append(_FaultyVfs(name, faults))
    return name


class _FaultyVfs(apsw.VFS):
    def __init__(self, name: str, faults: Faults) -> None:
        super().__init__(name, "")
        self._faults = faults

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        return _FaultyFile(name, flags, self._faults)


class _FaultyFile(apsw.VFSFile):
    def __init__(
        self, name: str | apsw.URIFilename | None, flags: list[int], faults: Faults
    ) -> None:
        super().__init__("", name, flags)
        self._faults = faults

    def _step(self, name: str, torn: Callable[[], None] | None = None) -> None:
        if self._faults.has_crashed:
            raise apsw.IOError("the process is dead")
        try:
            self._faults.step(name, torn)
        except OSError as error:
            raise apsw.IOError(str(error)) from error

    def xWrite(self, data: bytes, offset: int) -> None:
        write = super().xWrite
        self._step("sqlite write", lambda: write(data[: len(data) // 2], offset))
        write(data, offset)

    def xSync(self, flags: int) -> None:
        self._step("sqlite sync")
        super().xSync(flags)

    def xTruncate(self, size_bytes: int) -> None:
        self._step("sqlite truncate")
        super().xTruncate(size_bytes)


# SQLite keeps a pointer to each for the life of the process.
_REGISTERED: list[_FaultyVfs] = []
