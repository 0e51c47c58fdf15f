"""Rows as Arrow batches, random rows, and range files in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa
from hypothesis import strategies as st

from anabranch.kernel.errors import Corrupted, Kind
from anabranch.kernel.ids import MetarangeId, Namespace
from anabranch.kernel.ranges import CHANGE_SCHEMA, ENTRY_SCHEMA, NO_ENTRIES, CutRule
from anabranch.lake.committed import Committed
from anabranch.lake.range_store import RangeStore
from anabranch.native.ranges import Entries
from anabranch.storage.kv.base import Write
from tests.support.reference import Changes, Row, Rows, by_path

NAMESPACE = Namespace("local://test/ranges")
_NO_ROW = Row(bytes(20))
_COLUMNS = [
    "identity",
    "address",
    "checksum",
    "size_bytes",
    "mtime_us",
    "content_type",
    "metadata",
    "checksum2",
]


class MemoryRangeFiles:
    """Files in a dict; remembers which names were read and written."""

    def __init__(self) -> None:
        self.files: dict[tuple[str, str], bytes] = {}
        self.reads: list[str] = []
        self.writes: list[str] = []

    def read(self, namespace: Namespace, name: str) -> bytes:
        """Return a file; raise Corrupted(RANGE_LOST)."""
        self.reads.append(name)
        try:
            return self.files[namespace, name]
        except KeyError:
            raise Corrupted(Kind.RANGE_LOST, f"range {name} is gone") from None

    def write(self, namespace: Namespace, name: str, data: bytes) -> tuple[Write, ...]:
        """Keep a file."""
        self.writes.append(name)
        self.files[namespace, name] = data
        return (Write(name.encode(), b"there"),)


def batch_of(rows: Mapping[str, Row | None], *, with_tombstones: bool = False) -> pa.RecordBatch:
    """Return rows, sorted by path, as a batch; None is a tombstone."""
    paths = sorted(rows, key=by_path)
    values = [rows[path] or _NO_ROW for path in paths]
    columns = [[getattr(row, name) for row in values] for name in _COLUMNS]
    arrays = [pa.array(paths, pa.string())]
    for column, field in zip(columns, list(ENTRY_SCHEMA)[1:], strict=True):
        arrays.append(pa.array(column, field.type))
    if not with_tombstones:
        return pa.RecordBatch.from_arrays(arrays, schema=ENTRY_SCHEMA)
    arrays.append(pa.array([rows[path] is None for path in paths], pa.bool_()))
    return pa.RecordBatch.from_arrays(arrays, schema=CHANGE_SCHEMA)


def entries_of(rows: Mapping[str, Row | None], *, with_tombstones: bool = False) -> Entries:
    """Return the same as native rows."""
    return Entries.from_arrow(batch_of(rows, with_tombstones=with_tombstones))


def rows_of(batch: pa.RecordBatch | Entries) -> Rows:
    """Return the rows of a batch, which must be sorted."""
    batch = pa.record_batch(batch)
    paths = batch.column("path").to_pylist()
    assert paths == sorted(set(paths), key=by_path)
    names = ["mtime" if name == "mtime_us" else name for name in _COLUMNS]
    columns = [
        (batch.column(name).cast(pa.int64()) if name == "mtime" else batch.column(name)).to_pylist()
        for name in names
    ]
    return {path: Row(*values) for path, *values in zip(paths, *columns, strict=True)}


def changes_of(entries: Entries) -> Changes:
    """Return changes as a dict; None is a tombstone."""
    batch = pa.record_batch(entries)
    flags = batch.column("is_tombstone").to_pylist()
    rows = rows_of(batch)
    return {
        path: None if flag else row for (path, row), flag in zip(rows.items(), flags, strict=True)
    }


def joined(parts: Iterable[Entries]) -> Rows:
    """Return the rows of neighbouring parts."""
    return rows_of(Entries.concat([NO_ENTRIES, *parts]))


def open_committed(rule: CutRule) -> tuple[Committed, MemoryRangeFiles]:
    """Return committed metadata over files in memory, and these files."""
    files = MemoryRangeFiles()
    return Committed(RangeStore(files, threads=1), rule=rule), files


def content(committed: Committed, metarange: MetarangeId) -> Rows:
    """Return all rows of a metarange."""
    rows: Rows = {}
    for batch in committed.scan(NAMESPACE, metarange):
        rows |= rows_of(batch)
    return rows


TOP = 2**64
RULES = [
    CutRule(2, TOP // 8, 12),  # ranges of 2 to 9, hardly ever by fallback
    CutRule(2, TOP // 60, 6),  # every second range ends by fallback
    CutRule(3, 1, 9),  # always by fallback
    CutRule(1, TOP - 1, 4),  # every row a range
    CutRule(4, TOP // 30, 5),
]
rules = st.sampled_from(RULES)

# Few paths, so that sides meet; some weigh more than one, and some are not ASCII.
_FOLDERS = ("a", "b", "b/c", "ö", "\U0001f30a")
_NAMES = [f"{folder}/{number}" for folder in _FOLDERS for number in range(10)]
_NAMES += ["a/" + "x" * 1_023, "b/" + "y" * 1_022, "z"]
paths = st.sampled_from(_NAMES)
rows = st.builds(
    Row,
    identity=st.sampled_from([bytes([number]) * 20 for number in range(3)]),
    address=st.sampled_from(["", "0" * 32, "1" * 32]),
    checksum=st.sampled_from(["", "d41d8cd98f00b204e9800998ecf8427e"]),
    size_bytes=st.sampled_from([0, 1, 2**40]),
    mtime_us=st.sampled_from([0, 1_700_000_000_000_000]),
    content_type=st.sampled_from(["", "text/plain"]),
    metadata=st.sampled_from(["", '{"k":"ä"}', '{"k":"' + "v" * 3_000 + '"}']),
    checksum2=st.sampled_from(["", "sha256:a", "sha256:b", "crc64nvme:c"]),
)
tables = st.dictionaries(paths, rows, max_size=40)
changes = st.dictionaries(paths, st.none() | rows, max_size=12)
