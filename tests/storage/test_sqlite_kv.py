"""The KV store in a SQLite file: the contract, and what only a file can get wrong."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from anabranch.kernel.errors import Corrupted, Kind, NotSupported, Unavailable
from anabranch.storage.kv.base import KVStore, Request, delete, put, scan_prefix
from anabranch.storage.kv.sqlite import SqliteKV
from tests.contracts.kv_contract import KVContract, get, run_threads, version_of, write

ROOT = Path(__file__).resolve().parents[2]


class TestSqliteKV(KVContract):
    @pytest.fixture
    def kv(self, tmp_path: Path) -> Iterator[KVStore]:
        store = SqliteKV(tmp_path / "kv.db")
        yield store
        store.close()


def test_what_was_written_is_there_after_a_restart_and_versions_go_on(tmp_path: Path) -> None:
    first = SqliteKV(tmp_path / "kv.db")
    version = write(first, put(b"a", b"1"))
    write(first, put(b"b", b"1"))
    last = write(first, put(b"c", b"1"))
    write(first, put(b"c", b"2"))
    first.close()
    again = SqliteKV(tmp_path / "kv.db")
    assert version_of(again, b"a") == version
    assert write(again, put(b"d", b"1")) > last + 1
    again.close()


def test_a_version_is_not_used_again_when_its_key_is_gone_before_a_restart(tmp_path: Path) -> None:
    first = SqliteKV(tmp_path / "kv.db")
    used = write(first, put(b"a", b"1"))
    deleted = write(first, delete(b"a"))
    first.close()
    again = SqliteKV(tmp_path / "kv.db")
    assert write(again, put(b"a", b"1")) > max(used, deleted)
    again.close()


def test_two_stores_of_one_file_see_each_other(tmp_path: Path) -> None:
    one, two = SqliteKV(tmp_path / "kv.db"), SqliteKV(tmp_path / "kv.db")
    version = write(one, put(b"a", b"1"))
    assert version_of(two, b"a") == version
    assert write(two, put(b"a", b"2")) > version
    found = get(one, b"a")
    assert found is not None
    assert found.value == b"2"
    one.close()
    two.close()


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "kv.db"
    path.write_bytes(b"not a database at all, but long enough to be looked at" * 40)
    with pytest.raises(Corrupted) as raised:
        SqliteKV(path)
    assert raised.value.kind is Kind.DATA_FORMAT
    assert str(path) in raised.value.message


def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "kv.db"
    other = apsw.Connection(str(path))
    other.execute("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)").fetchall()
    with pytest.raises(Corrupted, match="not a store of Anabranch"):
        SqliteKV(path)
    assert other.execute("SELECT name FROM sqlite_schema").fetchall() == [("theirs",)]
    other.close()


def test_a_store_of_a_newer_anabranch_is_refused(tmp_path: Path) -> None:
    SqliteKV(tmp_path / "kv.db").close()
    newer = apsw.Connection(str(tmp_path / "kv.db"))
    newer.execute("PRAGMA user_version = 2").fetchall()
    newer.close()
    with pytest.raises(NotSupported, match="format 2") as raised:
        SqliteKV(tmp_path / "kv.db")
    assert raised.value.kind is Kind.DATA_FORMAT


def test_a_damaged_page_is_reported_as_damage(tmp_path: Path) -> None:
    path = tmp_path / "kv.db"
    store = SqliteKV(path)
    write(store, *(put(b"%04d" % number, bytes(900)) for number in range(500)))
    store.close()
    damaged = bytearray(path.read_bytes())
    for page in range(3, len(damaged) // 4096):
        damaged[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(damaged)
    again = SqliteKV(path)
    with pytest.raises(Corrupted) as raised:
        again.read((), (scan_prefix(b"", limit=1_000),))
    assert raised.value.kind is Kind.DATA_FORMAT
    again.close()


def test_a_directory_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="nowhere") as raised:
        SqliteKV(tmp_path / "nowhere" / "kv.db")
    assert raised.value.kind is Kind.STORE_FAILED


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = SqliteKV(tmp_path / "kv.db")
    store.close()
    store.close()
    with pytest.raises(Unavailable):
        store.read((b"a",))
    with pytest.raises(Unavailable):
        store.apply((Request((), (put(b"a", b""),)),))


def test_a_thread_that_ends_leaves_no_connection(tmp_path: Path) -> None:
    store = SqliteKV(tmp_path / "kv.db")
    for _ in range(20):
        thread = threading.Thread(target=lambda: store.read((b"a",)))
        thread.start()
        thread.join()
    descriptors = [path.resolve() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    assert sum(path == (tmp_path / "kv.db").resolve() for path in descriptors) <= 2
    store.close()


def test_readers_do_not_wait_for_a_writer(tmp_path: Path) -> None:
    store = SqliteKV(tmp_path / "kv.db")
    write(store, put(b"a", b"1"))
    other = apsw.Connection(str(tmp_path / "kv.db"))
    other.execute("BEGIN IMMEDIATE; UPDATE rows SET value = x'32'").fetchall()
    found = get(store, b"a")
    assert found is not None
    assert found.value == b"1"
    other.execute("ROLLBACK").fetchall()
    other.close()
    store.close()


_FULL = """
import resource, sys
from pathlib import Path
from anabranch.kernel.errors import Kind, Unavailable
from anabranch.storage.kv.base import Request, Scan, put
from anabranch.storage.kv.sqlite import SqliteKV
path = Path(sys.argv[1])
store = SqliteKV(path)
store.apply((Request((), (put(b"first", b"1"),)),))
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
accepted = 1
try:
    for number in range(1_000):
        names = (b"%d/0" % number, b"%d/1" % number)
        store.apply([Request((), (put(name, bytes(3_000)),)) for name in names])
        accepted += 2
except Unavailable as error:
    assert error.kind is Kind.STORE_FAILED, error
else:
    raise SystemExit("the file was not limited")
rows = store.read((), (Scan(b"", None, 5_000),)).scans[0]
assert len(rows) == accepted, (len(rows), accepted)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
(verdict,) = store.apply((Request((), (put(b"last", b"1"),)),))
assert verdict.version > max(row.version for row in rows)
store.close()
assert len(SqliteKV(path).read((), (Scan(b"", None, 5_000),)).scans[0]) == accepted + 1
print("kept", accepted)
"""


def run_program(source: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run a Python program that uses the package, and wait for it."""
    return subprocess.run(
        [sys.executable, "-c", source, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
    )


def test_a_full_disk_leaves_nothing_half_applied_and_the_store_goes_on(tmp_path: Path) -> None:
    done = run_program(_FULL, tmp_path / "kv.db")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("kept ")


_HAMMER = """
import sys
from pathlib import Path
from anabranch.storage.kv.base import Request, is_as_seen, put
from anabranch.storage.kv.sqlite import SqliteKV
store = SqliteKV(Path(sys.argv[1]))
name = sys.argv[2].encode()
for number in range(int(sys.argv[3])):
    while True:
        counter, other = store.read((b"counter", b"mirror")).values
        assert (counter and counter.value) == (other and other.value), "not one moment"
        value = b"%d" % (1 + int(counter.value if counter else b"0"))
        writes = (put(b"counter", value), put(b"mirror", value), put(b"log/" + value, name))
        if store.apply((Request((is_as_seen(b"counter", counter),), writes),))[0].is_accepted:
            break
store.close()
"""


def test_several_processes_lose_no_increment(tmp_path: Path) -> None:
    processes, each = 3, 60
    results: list[subprocess.CompletedProcess[str]] = []
    run_threads(
        [
            lambda name=number: results.append(run_program(_HAMMER, tmp_path / "kv.db", name, each))
            for number in range(processes)
        ]
    )
    assert [(done.returncode, done.stderr) for done in results] == [(0, "")] * processes
    store = SqliteKV(tmp_path / "kv.db")
    found = get(store, b"counter")
    assert found is not None
    assert int(found.value) == processes * each
    rows = store.read((), (scan_prefix(b"log/", limit=1_000),)).scans[0]
    assert len(rows) == processes * each
    assert len({row.version for row in rows}) == len(rows)
    store.close()
