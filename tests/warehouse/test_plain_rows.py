"""Plain rows are judged without the engine: as the engine judges them, or not at all."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from anabranch.warehouse.changes.inserting import PlainRows, bound_values, read_plain
from anabranch.warehouse.changes.plain_rows import PlainRouting, Unstated, read_rows
from anabranch.warehouse.engine import Engine, EngineSettings
from anabranch.warehouse.loading.judging import converted, judgements
from anabranch.warehouse.loading.routing import routing
from anabranch.warehouse.physical_types import decode_largeint
from anabranch.warehouse.schema import Bounds, Column, KeyModel, Partition, Partitioning, Table
from anabranch.warehouse.sql.transforms.catalog import Context
from anabranch.warehouse.sql.transforms.literals import Literal
from anabranch.warehouse.types import SqlType, parse_type

CONTEXT = Context(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
TYPES = [
    "BOOLEAN", "TINYINT", "SMALLINT", "INT", "BIGINT", "LARGEINT", "FLOAT", "DOUBLE",
    "DECIMAL(9,2)", "DECIMAL(38,0)", "DECIMAL(38,10)", "DATE", "DATETIME", "DATETIME(3)",
    "DATETIME(6)", "CHAR(3)", "VARCHAR(5)", "STRING",
]  # fmt: skip


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    spill = tmp_path_factory.mktemp("spill")
    made = Engine(EngineSettings(256 * 1024**2, 1, [], spill))
    yield made
    made.close()


def by_engine(engine: Engine, column: Column, literal: str) -> tuple[list[str], pa.Array]:
    """Return the reasons to refuse a literal, and its value; LARGEINT as text."""
    relation, (value,) = bound_values(f"VALUES ({literal})", [column], CONTEXT)
    reasons = [
        f"CASE WHEN {each.condition} THEN {each.reason} END"
        for each in judgements(value, "r", "v", is_strict=True)
    ]
    inner = f"SELECT c1 AS r, {converted(value, 'c1')} AS v FROM {relation} AS source"
    texts = ", ".join(["CAST(NULL AS VARCHAR)", *reasons])
    shown = "CAST(v AS VARCHAR)" if column.type.kind is SqlType.LARGEINT else "v"
    sql = f"SELECT {shown} AS v, [{texts}] AS why FROM ({inner})"
    with engine.open() as execution:
        (batch,) = execution.stream(sql)
        (why,) = batch.column(1).to_pylist()
        return [each for each in why if each is not None], batch.column(0)


def texts() -> st.SearchStrategy[str]:
    return st.one_of(
        st.text(alphabet="ab é\\%_'\"中0", max_size=7),
        st.sampled_from(["007", "+5", " 5 ", "5 ", "-0", "1.5", "", "true", "1e3", "0x10"]),
        st.integers(-(10**12), 10**20).map(str),
        st.dates().map(str),
        st.sampled_from(
            ["2024-2-3", "2024-02-30", "0000-01-01", "0000-02-29", "9999-12-31", "0001-01-01"]
        ),
        st.datetimes().map(str),
        st.datetimes().map(lambda each: each.isoformat("T", "milliseconds")),
        st.sampled_from(["2024-01-01 24:00:00", "2024-01-01 00:00:00.", "20240101", "24-01-01"]),
    )


def quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def numbers() -> st.SearchStrategy[str]:
    signs = st.sampled_from(["", "-", "+", "- "])
    plain = st.one_of(
        st.integers(0, 300).map(str),
        st.integers(0, 2**130).map(str),
        st.integers(0, 2**64).map(lambda each: f"00{each}"),
        st.decimals(0, 10**12, places=3).map(lambda each: f"{each:f}"),
        st.decimals(0, 10**9, places=1).map(lambda each: f"{each:f}"),
        st.sampled_from(["0.0", ".5", "5.", "00.10", "1e3", "1.5e-3", "0", "128", "127"]),
    )
    return st.builds(lambda sign, number: sign + number, signs, plain)


LITERALS = st.one_of(texts().map(quoted), numbers(), st.sampled_from(["NULL", "true", "FALSE"]))


@given(st.sampled_from(TYPES), LITERALS, st.booleans())
@example("TINYINT", "-128", True)
@example("DOUBLE", "-0", True)
@example("FLOAT", "16777217", True)
@example("VARCHAR(5)", "'ééé'", True)
@example("DECIMAL(38,0)", "99999999999999999999999999999999999999", True)
@example("BOOLEAN", "2", True)
@example("LARGEINT", "-170141183460469231731687303715884105728", True)
def test_what_is_taken_is_what_the_engine_gives(
    engine: Engine, kind: str, literal: str, is_nullable: bool
) -> None:
    column = Column(17, "v", parse_type(kind), is_nullable=is_nullable)
    plain = read_plain(f"VALUES ({literal})", [column], ())
    if plain is None:
        return
    reasons, value = by_engine(engine, column, literal)
    assert not reasons
    made = plain.stored().column(0)
    if column.type.kind is SqlType.LARGEINT:
        texts = [None if data is None else str(decode_largeint(data)) for data in made.to_pylist()]
        assert texts == value.to_pylist()
    else:
        assert made.to_pylist() == value.cast(made.type).to_pylist()


@pytest.mark.parametrize(
    ("kind", "literal", "value"),
    [
        ("TINYINT", "-128", -128),
        ("BIGINT", "'42'", 42),
        ("DECIMAL(9,2)", "-1.5", Decimal("-1.50")),
        ("VARCHAR(5)", "'it''s'", "it's"),
        ("DATE", "'2024-2-3'", date(2024, 2, 3)),
        ("DATETIME(3)", "'2024-02-03 04:05:06.250'", datetime(2024, 2, 3, 4, 5, 6, 250_000)),  # noqa: DTZ001 - a wall clock
        ("BOOLEAN", "true", True),
        ("STRING", "NULL", None),
    ],
)  # fmt: skip
def test_usual_literals_are_plain(kind: str, literal: str, value: Any) -> None:
    plain = read_plain(f"VALUES ({literal})", [Column(17, "v", parse_type(kind))], ())
    assert plain is not None
    assert plain.values == ([value],)


@pytest.mark.parametrize(
    "body",
    [
        "VALUES (now())",
        "VALUES (1 + 1)",
        "VALUES (1",
        "VALUES (1) x",
        "VALUES 1",
        "VALUES ((1))",
        "VALUES (x)",
        "VALUES ()",
        "VALUES (1),",
        "SELECT 1",
        "VALUES (--1)",
        "VALUES (- 'a')",
        "VALUES (`NULL`)",
    ],
)
def test_everything_else_is_left_to_the_engine(body: str) -> None:
    assert read_rows(body) is None


def test_rows_are_read_with_null_and_default() -> None:
    assert read_rows("values (1, -2.5,'a' 'b'), (NULL, default, /* c */ TRUE);") == [
        [Literal("1", "i1"), Literal("-2.5", "d2,1"), Literal("ab", "s")],
        [None, Unstated(), Literal("1", "b")],
    ]


def test_rows_go_to_the_engine_and_into_files_alike() -> None:
    columns = (Column(17, "k", parse_type("LARGEINT")), Column(18, "v", parse_type("DATE")))
    rows = PlainRows(columns, ([2**100, None], [date(2024, 1, 1), None]))
    made, values = rows.table()
    assert made.column(0).to_pylist() == [str(2**100), None]
    assert [value.type.text for value in values] == ["STRING", "DATE"]
    assert rows.stored([1, 0]).column(1).to_pylist() == [None, date(2024, 1, 1)]


def partitioned(kind: str, bounds: list[Bounds], types: list[str]) -> Table:
    columns = tuple(
        Column(17 + at, f"k{at}", parse_type(each), is_key=True) for at, each in enumerate(types)
    )
    made = tuple(Partition(f"{at:08x}", f"p{at}", each) for at, each in enumerate(bounds))
    ids = tuple(column.id for column in columns)
    return Table("t", KeyModel.DUPLICATE, columns, partitioning=Partitioning(kind, ids, made))


@given(st.integers(-5, 25) | st.none(), st.integers(-3, 3) | st.none())
def test_rows_find_the_partition_that_loads_find(
    engine: Engine, first: int | None, second: int | None
) -> None:
    ranges = [
        Bounds((None, None), ("0", "0")),
        Bounds(("0", "0"), ("10", "-1")),
        Bounds(("10", "1"), ("20", "0")),
    ]
    lists = [Bounds(values=(("1", "1"), (None, "2"))), Bounds(values=(("2", None), ("3", "3")))]
    for kind, bounds in (("RANGE", ranges), ("LIST", lists)):
        table = partitioned(kind, bounds, ["INT", "BIGINT"])
        assert table.partitioning is not None
        found = PlainRouting(table, table.partitioning.partitions).find([first, second])
        asked = routing(table, {17: "v0", 18: "v1"}, None)
        row = ", ".join("NULL" if each is None else str(each) for each in (first, second))
        sql = f"SELECT {asked.sql} AS p FROM (VALUES ({row})) AS j(v0, v1){asked.join}"
        with engine.open() as execution:
            (batch,) = execution.stream(sql)
        number = batch.column(0).to_pylist()[0]
        assert found == (None if number is None else asked.ids[number])
