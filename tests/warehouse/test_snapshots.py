"""Tables at a moment: which rowsets, in which order, in which files."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anabranch.kernel import limits
from anabranch.kernel.ids import Ref, TagId
from anabranch.warehouse.catalog.publishing import Publication
from anabranch.warehouse.catalog.snapshots import Snapshots
from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.rowsets.rowset import (
    METADATA_NAME,
    Footer,
    Header,
    RowsetKind,
    RowsetName,
    encode_footer,
    rowset_path,
)
from anabranch.warehouse.schema import UNPARTITIONED
from anabranch.warehouse.sql.transforms.catalog import At
from tests.support.lakes import MAIN, REPOSITORY
from tests.support.warehouses import Catalog, open_catalog, open_catalog_beside


@pytest.fixture
def catalog() -> Iterator[Catalog]:
    with open_catalog() as opened:
        yield opened


def parquet(
    catalog: Catalog, *, table_id: str | None = None, partition: str = UNPARTITIONED
) -> bytes:
    """Return a rowset's file as the footer describes it."""
    schema = catalog.tables.get(catalog.table()).schema
    ids = schema.column_ids
    header = Header(table_id or schema.id, RowsetKind.ROWS, ids, ids, 1)
    footer = encode_footer(Footer(header, partition, 1))
    fields = [
        pa.field(column.name, pa.int64(), metadata={"PARQUET:field_id": str(column.id)})
        for column in schema.columns
    ]
    table = pa.table([[1], [2]], schema=pa.schema(fields, metadata={METADATA_NAME: footer}))
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def path_of(catalog: Catalog, sequence: int, digit: str = "a") -> str:
    return rowset_path(catalog.table(), UNPARTITIONED, RowsetName(sequence, digit * 32))


def test_a_snapshot_tells_the_table_and_where_its_rows_are(catalog: Catalog) -> None:
    empty = catalog.read()
    assert (empty.rowsets, empty.last_sequence, empty.branch) == ((), 0, MAIN)
    first, second = catalog.load(), catalog.load()
    found = catalog.read()
    assert [one.name.sequence for one in found.rowsets] == [first, second]
    assert found.last_sequence == second
    assert found.identity == catalog.tables.get(catalog.table()).identity
    assert found.schema.id == found.rowsets[0].header.table_id  # type: ignore[union-attr]  # read
    assert [path.read_bytes() for path in catalog.snapshots.paths(found.rowsets)] == [b"rows"] * 2
    catalog.on.commit()
    fixed = catalog.read(ref="main@")
    assert (fixed.branch, fixed.last_sequence) == (None, second)
    assert fixed.rowsets == found.rowsets
    only = catalog.snapshots.read(catalog.table(), names={found.rowsets[1].name})
    assert only.rowsets == found.rowsets[1:]


def test_an_unchanged_table_is_not_put_together_again(catalog: Catalog) -> None:
    catalog.load()
    catalog.on.commit()
    catalog.load()
    first = catalog.read()
    catalog.on.put("db/elsewhere")
    assert catalog.read().rowsets is first.rowsets


def test_rowsets_are_ordered_across_partitions(catalog: Catalog) -> None:
    for sequence, digit in ((3, "a"), (1, "c"), (3, "0")):
        catalog.on.put(path_of(catalog, sequence, digit), parquet(catalog))
    catalog.on.put(
        rowset_path(catalog.table(), "0000000a", RowsetName(2, "b" * 32)),
        parquet(catalog, partition="0000000a"),
    )
    found = [(one.name.sequence, one.name.id[0]) for one in catalog.read().rowsets]
    assert found == [(1, "c"), (2, "b"), (3, "0"), (3, "a")]


def test_a_rowset_without_a_header_is_known_by_its_footer(catalog: Catalog) -> None:
    catalog.on.put(path_of(catalog, 5), parquet(catalog))
    (found,) = catalog.read().rowsets
    assert found.header is not None
    assert found.header.rows == 1
    opened: list[str] = []

    def open_footer(path: str, file: Path) -> Footer:
        opened.append(path)
        assert file.exists()
        ids = catalog.tables.get(catalog.table()).schema.column_ids
        header = Header(catalog.read().schema.id, RowsetKind.ROWS, ids, ids, 7)
        return Footer(header, UNPARTITIONED, 1)

    snapshots = Snapshots(catalog.on.lake, catalog.tables, open_footer)
    for _ in range(2):
        (found,) = snapshots.read(catalog.table()).rowsets
        assert found.header is not None
        assert found.header.rows == 7
    catalog.on.put(path_of(catalog, 6), parquet(catalog))
    assert len(snapshots.read(catalog.table()).rowsets) == 2
    assert opened == [path_of(catalog, 5), path_of(catalog, 6)]


@pytest.mark.parametrize("commits", [False, True])
@pytest.mark.parametrize(
    "name",
    [
        "x",
        "00000000/1-2.parquet",
        f"00000000/{'9' * 20}-{'a' * 32}.parquet",
        f"0000000g/{5:020d}-{'a' * 32}.parquet",
        f"00000000/{5:020d}-{'a' * 32}.parquet.tmp",
    ],
)
def test_a_file_that_is_no_rowset_is_named(catalog: Catalog, name: str, commits: bool) -> None:
    path = catalog.table().rowsets_prefix + name
    catalog.on.put(path, parquet(catalog))
    if commits:
        catalog.on.commit()
    for _ in range(2):
        with pytest.raises(SqlError, match=path):
            catalog.read()
    catalog.load()  # loads go on: the file is in the way of queries alone
    catalog.on.delete(path)
    assert len(catalog.read().rowsets) == 1


def test_files_with_a_wrong_footer_are_named(catalog: Catalog) -> None:
    wrong = [
        b"no parquet",
        parquet(catalog, table_id="f" * 32),
        parquet(catalog, partition="12345678"),
    ]
    path = path_of(catalog, 5)
    for data in wrong:
        catalog.on.put(path, data)
        with pytest.raises(SqlError, match=path):
            catalog.read()
    catalog.on.put(path, parquet(catalog))
    assert len(catalog.read().rowsets) == 1


def test_a_foreign_change_is_seen_at_once(catalog: Catalog) -> None:
    catalog.load()
    catalog.on.commit()
    catalog.load()
    first, second = catalog.read().rowsets
    catalog.on.delete(second.path)
    assert catalog.read().rowsets == (first,)
    catalog.on.delete(first.path)
    assert catalog.read().rowsets == ()
    catalog.on.lake.branches.reset(REPOSITORY, MAIN)
    assert catalog.read().rowsets == (first,)


def test_reading_follows_the_other_process(catalog: Catalog) -> None:
    with open_catalog_beside(catalog) as beside:
        expected: list[int] = []
        for number in range(12):
            expected.append((catalog, beside)[number % 2].load())
            if number % 5 == 4:
                catalog.on.commit()
            assert beside.sequences() == catalog.sequences() == expected
        assert beside.read().last_sequence == catalog.read().last_sequence == expected[-1]


def test_many_uncommitted_rowsets_are_read_again_cheaply(catalog: Catalog) -> None:
    rows = limits.SUBTREE_OPEN_ROWS_MAX // 2
    for _ in range(3):
        change = catalog.planned(catalog.table(), rows=rows)
        catalog.publisher.publish(Publication((change,)))
    found = catalog.read()
    assert len(found.rowsets) == 3 * rows
    assert catalog.read().rowsets is found.rowsets
    catalog.load()
    assert len(catalog.read().rowsets) == 3 * rows + 1


def test_a_table_is_read_as_it_was(catalog: Catalog) -> None:
    seconds = 1_000_000
    times: list[int] = []
    for _ in range(3):
        catalog.load()
        times.append(catalog.on.commit().created_us)
        catalog.on.clock.advance(3_600)
    catalog.load()

    def at(time_us: int) -> int:
        moment = f"{_text(time_us // seconds)}.{time_us % seconds:06d}"
        place = catalog.snapshots.as_of(catalog.place(), At("time", moment))
        return len(catalog.snapshots.read(catalog.table(ref=place.ref)).rowsets)

    assert [at(time_us) for time_us in times] == [1, 2, 3]
    assert at(times[1] - 1) == 1
    assert at(times[2] + seconds) == 3
    with pytest.raises(SqlError, match="no commit from"):
        catalog.snapshots.as_of(catalog.place(), At("time", "1999-01-01 00:00:00"))
    with pytest.raises(SqlError, match="Incorrect DATETIME"):
        catalog.snapshots.as_of(catalog.place(), At("time", "soon"))


def _text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def test_a_table_is_read_at_other_refs(catalog: Catalog) -> None:
    catalog.load()
    catalog.on.commit()
    catalog.on.lake.tags.create(REPOSITORY, TagId("v1"), Ref(MAIN))
    catalog.on.branch("dev")
    catalog.load(ref="dev")

    def count(kind: str, value: str) -> int:
        place = catalog.snapshots.as_of(catalog.place(), At(kind, value))
        return len(catalog.snapshots.read(catalog.table(ref=place.ref)).rowsets)

    assert (count("tag", "v1"), count("branch", "dev"), count("ref", "main~0")) == (1, 2, 1)
    for kind, value in (("tag", "dev"), ("branch", "v1"), ("tag", "no"), ("branch", "no")):
        with pytest.raises(SqlError) as caught:
            count(kind, value)
        assert caught.value.code == 1049
    with pytest.raises(SqlError) as caught:
        count("ref", "no")
    assert caught.value.code == 1049


def test_files_of_their_own_are_read_where_they_are(tmp_path: Path) -> None:
    with open_catalog(tmp_path) as catalog:
        catalog.load()
        catalog.on.put(path_of(catalog, 5), parquet(catalog))
        found = catalog.read().rowsets
        copied, own = catalog.snapshots.paths(found)
        assert own.read_bytes() == b"rows"
        assert "files" in own.parts
        assert copied.read_bytes() == parquet(catalog)
        assert "copies" in copied.parts
        copied.unlink()  # what the cache may drop, is made again
        assert [path.exists() for path in catalog.snapshots.paths(found)] == [True, True]
