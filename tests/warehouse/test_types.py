"""Types: names, limits, and what stores them."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.kernel import limits
from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.physical_types import (
    decode_largeint,
    encode_largeint,
    from_arrow,
    from_duckdb,
    to_arrow,
    to_duckdb_stored,
    to_field,
)
from anabranch.warehouse.types import (
    STORABLE,
    ColumnType,
    SqlType,
    array_type,
    make_type,
    map_type,
    parse_type,
    struct_type,
)

PLAIN_NAMES = "BOOLEAN TINYINT SMALLINT INT BIGINT LARGEINT FLOAT DOUBLE DATE DATETIME STRING JSON"
PLAIN = [make_type(name) for name in PLAIN_NAMES.split()]


def scalars() -> st.SearchStrategy[ColumnType]:
    decimals = st.integers(1, 38).flatmap(
        lambda p: st.integers(0, p).map(lambda s: make_type("DECIMAL", (p, s)))
    )
    return st.one_of(
        st.sampled_from(PLAIN),
        decimals,
        st.integers(0, 6).map(lambda scale: make_type("DATETIME", (scale,))),
        st.integers(1, 255).map(lambda length: make_type("CHAR", (length,))),
        st.integers(1, 65_533).map(lambda length: make_type("VARCHAR", (length,))),
    )


def types() -> st.SearchStrategy[ColumnType]:
    names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
    return st.recursive(
        scalars(),
        lambda inner: st.one_of(
            inner.map(array_type),
            st.tuples(scalars(), inner).map(lambda pair: map_type(*pair)),
            st.dictionaries(names, inner, min_size=1, max_size=3).map(
                lambda fields: struct_type(fields.items())
            ),
        ),
        max_leaves=4,
    )


@given(types())
def test_a_types_text_is_read_back(kind: ColumnType) -> None:
    assert parse_type(kind.text) == kind
    assert parse_type(kind.text.lower()) == kind


@pytest.mark.slow
@given(types())
def test_duckdb_reads_what_arrow_wrote(kind: ColumnType) -> None:
    table = pa.table(
        [pa.nulls(1, to_arrow(kind))], schema=pa.schema([to_field("c", kind, 17, True)])
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    field = pq.read_schema(pa.BufferReader(sink.getvalue())).field("c")
    assert field.metadata[b"PARQUET:field_id"] == b"17"
    assert field.metadata[b"anabranch-type"] == kind.text.encode()
    connection = duckdb.connect()
    connection.execute(f"CREATE TABLE t (c {kind.duckdb})")  # DuckDB knows the name


@pytest.mark.parametrize("kind", [*PLAIN, make_type("DECIMAL", (38, 3)), make_type("HLL")])
def test_a_rowsets_column_has_its_duckdb_type(kind: ColumnType, tmp_path: object) -> None:
    path = f"{tmp_path}/a.parquet"
    pq.write_table(pa.table([pa.nulls(1, to_arrow(kind))], names=["c"]), path)
    found = duckdb.connect().execute(f"DESCRIBE SELECT c FROM '{path}'").fetchone()
    assert found is not None
    assert found[1] == to_duckdb_stored(kind)


@pytest.mark.parametrize(
    "text, canonical, shown",
    [
        ("tinyint(4)", "TINYINT", "tinyint"),
        ("int(11)", "INT", "int"),
        ("integer", "INT", "int"),
        ("decimal", "DECIMAL(38,9)", "decimal(38,9)"),
        ("decimal(9,3)", "DECIMAL(9,3)", "decimal(9,3)"),
        ("decimalv3(10)", "DECIMAL(10,0)", "decimal(10,0)"),
        ("char", "CHAR(1)", "char(1)"),
        ("varchar", "VARCHAR(65533)", "varchar(65533)"),
        ("datetimev2(6)", "DATETIME(6)", "datetime(6)"),
        ("datev2", "DATE", "date"),
        ("text", "STRING", "text"),
        ("jsonb", "JSON", "json"),
        ("hll", "HLL", "hll"),
        ("bitmap", "BITMAP", "bitmap"),
        ("largeint(40)", "LARGEINT", "largeint"),
    ],
)
def test_names_of_types(text: str, canonical: str, shown: str) -> None:
    kind = parse_type(text)
    assert (kind.text, kind.shown) == (canonical, shown)


@pytest.mark.parametrize(
    "text, message",
    [
        ("char(256)", "CHAR size must be <= 255: 256"),
        ("varchar(65534)", "VARCHAR size must be <= 65533: 65534"),
        ("varchar(0)", "VARCHAR size must be > 0: 0"),
        ("decimal(39)", "Precision was set to: 39."),
        ("decimal(5,6)", "Scale was set to: 6."),
        ("datetime(7)", "Scale was set to: 7"),
        ("date(3)", "DATE does not take"),
        ("nope", "Unknown data type: NOPE"),
        ("array<hll>", "Unsupported data type"),
    ],
)
def test_types_that_cannot_be(text: str, message: str) -> None:
    with pytest.raises(SqlError) as raised:
        parse_type(text)
    assert message in raised.value.message


def test_lengths_at_their_limits() -> None:
    assert parse_type(f"char({limits.CHAR_LENGTH_MAX})").length == 255
    assert parse_type(f"varchar({limits.VARCHAR_LENGTH_MAX})").length == 65_533


def test_nesting_at_its_limit() -> None:
    deep = "array<" * limits.TYPE_DEPTH_MAX + "int" + ">" * limits.TYPE_DEPTH_MAX
    assert parse_type(deep).kind is SqlType.ARRAY
    with pytest.raises(SqlError, match="nesting depth"):
        parse_type(f"array<{deep}>")


@given(st.lists(st.integers(-(2**127), 2**127 - 1)))
def test_largeint_bytes_sort_as_numbers(values: list[int]) -> None:
    assert [decode_largeint(encode_largeint(value)) for value in values] == values
    assert sorted(values) == [
        decode_largeint(data) for data in sorted(map(encode_largeint, values))
    ]


@pytest.mark.parametrize(
    "text, kind",
    [
        ("HUGEINT", "LARGEINT"),
        ("DECIMAL(38,3)", "DECIMAL(38,3)"),
        ("TIMESTAMP", "DATETIME(6)"),
        ("VARCHAR[]", "ARRAY<VARCHAR(65533)>"),
        ("INTEGER", "INT"),
        ("UBIGINT", "LARGEINT"),
        ("BLOB", "BINARY"),
        ("STRUCT(a INTEGER)", "STRING"),
        ("DATE", "DATE"),
        ("SOMETHING NEW", "STRING"),
    ],
)
def test_types_of_duckdbs_results(text: str, kind: str) -> None:
    assert from_duckdb(text).text == kind


@given(types())
def test_an_arrow_type_holds_what_it_came_from(kind: ColumnType) -> None:
    found = from_arrow(to_arrow(kind))
    assert (found.kind in STORABLE) or kind.kind is SqlType.LARGEINT
    if kind.kind in (SqlType.INT, SqlType.DECIMAL, SqlType.DATE, SqlType.DOUBLE):
        assert found == kind
