"""A KV store in one SQLite file: durable, and safe to use from many threads and processes.

One table holds the rows, one row of another the store-wide sequence that versions come from. Each
thread has a connection of its own. Readers never wait for the writer (WAL); writers pass a `flock`
gate before they ask for SQLite's write lock, because SQLite's own way to wait for that lock sleeps
in steps, while the kernel wakes the next waiter at once.
"""

import contextlib
import fcntl
import functools
import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path

import apsw

from anabranch.kernel.errors import (
    AnabranchError,
    Corrupted,
    Kind,
    NotSupported,
    Unavailable,
)
from anabranch.storage.disk import Disk
from anabranch.storage.kv.base import Request, Row, Scan, Snapshot, Verdict, Versioned
from anabranch.storage.kv.judging import check_requests, check_scans, condition_keys, judge

FORMAT = 1
_APPLICATION_ID = 0x416E6162  # "Anab", so that `file` and we know the store again
_CHECKPOINT_PAGES = 1_000  # a WAL that is soon reused in place syncs faster than one that grows
_BUSY_MS = 10_000  # recovery after a crash and the last checkpoint exclude everybody for a moment
_KEYS_PER_SELECT_MAX = 1_024
_KEYS_PER_UNION_MAX = 16  # above it an IN list is the faster way
_STATEMENTS_CACHED = 200
_ROWS_PER_PUT_MAX = 64

_SCHEMA = """
CREATE TABLE rows (
    key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE sequence (id INTEGER PRIMARY KEY CHECK (id = 1), last INTEGER NOT NULL) STRICT;
INSERT INTO sequence VALUES (1, 0);
"""
_GET = "SELECT value, version FROM rows WHERE key = ?"
_SCAN = "SELECT key, value, version FROM rows WHERE key >= ? AND key < ? ORDER BY key LIMIT ?"
_SCAN_TO_END = "SELECT key, value, version FROM rows WHERE key >= ? ORDER BY key LIMIT ?"
_SELECT_ONE = "SELECT key, version, value FROM rows WHERE key = ?"
_VERSION = "SELECT version FROM rows WHERE key = ?"
_OVERWRITE = "ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version"
_DELETE = "DELETE FROM rows WHERE key = ?"
_SEQUENCE = "SELECT last FROM sequence"
_SET_SEQUENCE = "UPDATE sequence SET last = ?"
_NOW = "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)"

_DAMAGE = (apsw.CorruptError, apsw.NotADBError, apsw.FormatError, apsw.SchemaChangeError)
_FAILURE = (
    apsw.IOError,
    apsw.FullError,
    apsw.BusyError,
    apsw.LockedError,
    apsw.CantOpenError,
    apsw.NoMemError,
    apsw.PermissionsError,
    apsw.ProtocolError,
    apsw.ReadOnlyError,
    apsw.InterruptError,
    apsw.ConnectionClosedError,
    apsw.CursorClosedError,
)


class SqliteKV:
    """Ordered keys and values in the file `path`, made when it is absent.

    Raises Corrupted when the file is not ours or damaged, NotSupported when a newer Anabranch
    wrote it, Unavailable when it cannot be opened. `vfs` names a registered SQLite file system.
    """

    def __init__(self, path: Path, *, vfs: str = "") -> None:
        self._path = path
        self._vfs = vfs
        self._local = _PerThread()
        self._handles: weakref.WeakSet[_Handle] = weakref.WeakSet()
        self._handles_lock = threading.Lock()
        self._is_closed = False
        self._gate = _Gate(path.with_name(path.name + ".gate"))
        # Set when a COMMIT failed on disk: its pages may lie behind the end of the WAL.
        self._has_remains = False
        try:
            with self._gate.held():
                # Held open while the store is: the last connection to close deletes the WAL.
                self._keeper = self._handle()
                self._prepare(self._keeper)
        except BaseException:
            self.close()
            raise

    @property
    def is_local(self) -> bool:
        """Reads touch the page cache, or at worst the disk below it."""
        return True

    @property
    def can_lose_answers(self) -> bool:
        """A COMMIT that fails is taken back; there is no connection to lose."""
        return False

    def read(self, keys: Sequence[bytes], scans: Sequence[Scan] = ()) -> Snapshot:
        """Return values and scans of one moment: one statement, or one read transaction."""
        check_scans(scans)
        try:
            handle = self._handle()
            if not scans and len(keys) <= _KEYS_PER_SELECT_MAX:
                return Snapshot(_values(handle, keys), ())
            if not keys and len(scans) == 1:
                return Snapshot((), (_rows(handle, scans[0]),))
            handle.run("BEGIN")
            try:
                values = _values(handle, keys)
                found = tuple([_rows(handle, scan) for scan in scans])
            except BaseException:
                handle.end()
                raise
            handle.run("COMMIT")
            return Snapshot(values, found)
        except (*_DAMAGE, *_FAILURE) as error:
            raise self._translated(error) from error

    def apply(self, requests: Sequence[Request]) -> list[Verdict]:
        """Judge the requests in order; one durable transaction for all accepted writes."""
        check_requests(requests)
        keys = condition_keys(requests)
        try:
            with self._gate.held():
                handle = self._handle()
                if self._has_remains:
                    self._overwrite_remains(handle)
                handle.run("BEGIN IMMEDIATE")
                try:
                    return self._apply(handle, requests, keys)
                finally:
                    handle.end()
        except (*_DAMAGE, *_FAILURE) as error:
            raise self._translated(error) from error
        except OSError as error:
            raise Unavailable(Kind.STORE_FAILED, f"the gate of {self._path}: {error}") from error

    def now_us(self) -> int:
        """Return the machine's clock as SQLite reads it, to the millisecond."""
        milliseconds = self._handle().fetch(_NOW)[0][0]
        assert isinstance(milliseconds, int)
        return milliseconds * 1_000

    def close(self) -> None:
        """Close the connections of all threads. Safe to repeat."""
        with self._handles_lock:
            self._is_closed = True
            handles = list(self._handles)
        for handle in handles:
            handle.close()
        self._gate.close()

    def _apply(
        self, handle: "_Handle", requests: Sequence[Request], keys: Sequence[bytes]
    ) -> list[Verdict]:
        sequence = handle.fetch(_SEQUENCE)[0][0]
        assert isinstance(sequence, int)
        versions = _versions(handle, keys)
        judgement = judge(requests, versions, sequence)
        if judgement.sequence == sequence:
            return judgement.verdicts
        puts: list[bytes | int] = []
        deletions = []
        for key, row in sorted(judgement.changes.items()):
            if row is None:
                deletions.append((key,))
            else:
                puts += (key, row.value, row.version)
        if deletions:
            handle.run_many(_DELETE, deletions)
        _put(handle, puts)
        handle.run(_SET_SEQUENCE, (judgement.sequence,))
        try:
            handle.run("COMMIT")
        except apsw.Error:
            # The commit mark may have reached the file although its sync failed: a crash now, and
            # recovery would find it. An acknowledged failure must not come to life: overwrite it.
            self._has_remains = True
            handle.end()
            with contextlib.suppress(*_DAMAGE, *_FAILURE):
                self._overwrite_remains(handle)
            raise
        return judgement.verdicts

    def _overwrite_remains(self, handle: "_Handle") -> None:
        handle.run("BEGIN IMMEDIATE")
        try:
            handle.run("UPDATE sequence SET last = last + 1")
            handle.run("COMMIT")
        finally:
            handle.end()
        self._has_remains = False

    def _handle(self) -> "_Handle":
        handle = self._local.handle
        if handle is None:
            handle = self._open()
            self._local.handle = handle
        return handle

    def _open(self) -> "_Handle":
        with self._handles_lock:
            if self._is_closed:
                raise Unavailable(Kind.STORE_FAILED, f"{self._path} is closed")
        try:
            handle = _Handle(self._path, self._vfs)
        except (*_DAMAGE, *_FAILURE) as error:
            raise self._translated(error) from error
        with self._handles_lock:
            self._handles.add(handle)
        return handle

    def _prepare(self, handle: "_Handle") -> None:
        """Make the tables of a new file, or see that they are ours. Runs inside the gate."""
        try:
            application = handle.fetch("PRAGMA application_id")[0][0]
            found = handle.fetch("PRAGMA user_version")[0][0]
            tables = handle.fetch("SELECT count(*) FROM sqlite_schema")[0][0]
            if application == 0 and found == 0 and tables == 0:
                self._create(handle)
                return
            if application != _APPLICATION_ID:
                raise Corrupted(Kind.DATA_FORMAT, f"{self._path} is not a store of Anabranch")
            assert isinstance(found, int)
            if found > FORMAT:
                raise NotSupported(
                    Kind.DATA_FORMAT,
                    f"{self._path} has format {found}; this Anabranch knows up to {FORMAT}",
                )
            if not handle.fetch(_SEQUENCE):
                raise Corrupted(Kind.DATA_FORMAT, f"{self._path} has lost its sequence")
        except (*_DAMAGE, *_FAILURE, apsw.SQLError) as error:
            raise self._translated(error) from error

    def _create(self, handle: "_Handle") -> None:
        if handle.fetch("PRAGMA journal_mode = WAL") != [("wal",)]:
            raise NotSupported(
                Kind.DATA_FORMAT, f"{self._path} is on a file system without shared memory"
            )
        handle.run("BEGIN IMMEDIATE")
        try:
            handle.run(_SCHEMA)
            handle.run(f"PRAGMA application_id = {_APPLICATION_ID}")
            handle.run(f"PRAGMA user_version = {FORMAT}")
            handle.run("COMMIT")
        finally:
            handle.end()
        Disk().sync_directory(self._path.parent)

    def _translated(self, error: apsw.Error) -> AnabranchError:
        if isinstance(error, (*_DAMAGE, apsw.SQLError)):
            return Corrupted(Kind.DATA_FORMAT, f"{self._path} is damaged: {error}")
        return Unavailable(Kind.STORE_FAILED, f"{self._path}: {error}")


class _PerThread(threading.local):
    handle: "_Handle | None" = None


class _Handle:
    """One thread's connection. Each fetch reads to the end, so that no snapshot stays open."""

    __slots__ = ("__weakref__", "_connection", "_cursor")

    def __init__(self, path: Path, vfs: str) -> None:
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        self._connection = apsw.Connection(
            str(path), flags=flags, vfs=vfs or None, statementcachesize=_STATEMENTS_CACHED
        )
        self._connection.set_busy_timeout(_BUSY_MS)
        self._connection.wal_autocheckpoint(_CHECKPOINT_PAGES)
        # Else a statement is prepared anew whenever the bounds of its scan change.
        self._connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        self._cursor = self._connection.cursor()
        self.run("PRAGMA synchronous = FULL")
        self.run("PRAGMA trusted_schema = OFF")

    def fetch(self, sql: str, values: Sequence[bytes | int] = ()) -> list[tuple[object, ...]]:
        return self._cursor.execute(sql, values).fetchall()

    def run(self, sql: str, values: Sequence[bytes | int] = ()) -> None:
        self._cursor.execute(sql, values).fetchall()

    def run_many(self, sql: str, rows: Sequence[tuple[bytes | int, ...]]) -> None:
        self._cursor.executemany(sql, rows)

    def end(self) -> None:
        """Leave the transaction when one is open; what was not committed is taken back."""
        if self._connection.in_transaction:
            with contextlib.suppress(*_DAMAGE, *_FAILURE):
                self._cursor.execute("ROLLBACK")

    def close(self) -> None:
        with contextlib.suppress(*_DAMAGE, *_FAILURE):
            self._connection.close(True)


class _Gate:
    """One writer at a time, over all threads and processes that use the file."""

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Unavailable(Kind.STORE_FAILED, f"{path}: {error}") from error
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        # Two threads share the descriptor, for which `flock` would let both in.
        with self._lock:
            if self._descriptor < 0:
                raise Unavailable(Kind.STORE_FAILED, "the store is closed")
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1


def _values(handle: _Handle, keys: Sequence[bytes]) -> tuple[Versioned | None, ...]:
    if len(keys) == 1:
        found = handle.fetch(_GET, (keys[0],))
        return (Versioned(*found[0]) if found else None,)  # type: ignore[arg-type]  # BLOB, INTEGER
    rows = {key: Versioned(value, version) for key, version, value in _select(handle, keys)}
    return tuple(map(rows.get, keys))


def _select(handle: _Handle, keys: Sequence[bytes]) -> list[tuple[bytes, int, bytes]]:
    """Return (key, version, value) of the keys that exist."""
    found: list[tuple[bytes, int, bytes]] = []
    for first in range(0, len(keys), _KEYS_PER_SELECT_MAX):
        portion = keys[first : first + _KEYS_PER_SELECT_MAX]
        count = len(portion)
        if count > _KEYS_PER_UNION_MAX:
            # Rounded up, so that few statements serve all counts and stay prepared.
            count = 1 << (count - 1).bit_length()
            portion = [*portion, *[portion[-1]] * (count - len(portion))]
        found += handle.fetch(_select_of(count), portion)  # type: ignore[arg-type]  # as selected
    return found


@functools.cache
def _select_of(count: int) -> str:
    """Return the one statement that reads so many keys; a union is the faster way for a few."""
    if count <= _KEYS_PER_UNION_MAX:
        return " UNION ALL ".join([_SELECT_ONE] * count)
    return f"SELECT key, version, value FROM rows WHERE key IN ({', '.join('?' * count)})"  # noqa: S608 - ours


def _versions(handle: _Handle, keys: Sequence[bytes]) -> dict[bytes, int]:
    """Return the versions of the keys that exist; called inside a transaction."""
    versions: dict[bytes, int] = {}
    for key in keys:
        for (version,) in handle.fetch(_VERSION, (key,)):
            versions[key] = version  # type: ignore[assignment]  # INTEGER
    return versions


def _put(handle: _Handle, values: Sequence[bytes | int]) -> None:
    """Write rows, given as key, value, version and so on.

    Each step of a statement lets go of the interpreter, and waits until a busy event loop does:
    so many rows go into one. Their numbers are powers of two, so that few statements are prepared.
    """
    start = 0
    while start < len(values):
        count = min((len(values) - start) // 3, _ROWS_PER_PUT_MAX)
        count = 1 << (count.bit_length() - 1)
        handle.run(_put_of(count), values[start : start + 3 * count])
        start += 3 * count


@functools.cache
def _put_of(count: int) -> str:
    rows = ", ".join(["(?, ?, ?)"] * count)
    return f"INSERT INTO rows VALUES {rows} {_OVERWRITE}"  # noqa: S608 - ours


def _rows(handle: _Handle, scan: Scan) -> tuple[Row, ...]:
    limit = max(scan.limit, 0)
    if scan.end is None:
        found = handle.fetch(_SCAN_TO_END, (scan.start, limit))
    else:
        found = handle.fetch(_SCAN, (scan.start, scan.end, limit))
    return tuple(map(Row._make, found))
