"""Runs the golden files: `expression => value` lines, and `> query` with rows or an error below.

Values are shown as a MySQL client gets them. The tables are those of `TABLES`, in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa

from anabranch.warehouse.engine import Engine, EngineSettings
from anabranch.warehouse.errors import SqlError, no_such_table, unknown_database
from anabranch.warehouse.extension import write_extension
from anabranch.warehouse.results import Field
from anabranch.warehouse.sql.transforms.catalog import Column, Context, Described, TableName
from anabranch.warehouse.sql.transforms.translate import Translator
from anabranch.warehouse.types import SqlType, parse_type

FILES = Path(__file__).parent
TABLES = {
    "people": (
        ("id INT", "name VARCHAR(20)", "city VARCHAR(20)", "score DECIMAL(9,2)", "born DATE"),
        (
            "(1, 'ann', 'rome', 1.50, DATE '2000-01-31'), (2, 'bob', 'oslo', 2.50, DATE '2001-02-28'), "  # noqa: E501 - one piece of text
            "(3, 'cid', 'rome', NULL, NULL), (4, NULL, 'oslo', 4.00, DATE '1999-12-31')"
        ),
    ),
    "orders": (
        ("id INT", "person INT", "amount BIGINT", "at DATETIME", "tags STRING"),
        (
            "(10, 1, 100, TIMESTAMP '2024-01-01 10:00:00', 'a,b'), "
            "(11, 1, 50, TIMESTAMP '2024-01-02 11:30:00', 'b'), "
            "(12, 2, 70, TIMESTAMP '2024-02-01 00:00:00', NULL), (13, 9, 5, NULL, '')"
        ),
    ),
    "sketches": (("k INT", "h HLL", "b BITMAP"), "(1, NULL, NULL)"),
    "visits": (
        ("k INT", "d INT", "h HLL", "b BITMAP"),
        (
            "(1, 1, hll_hash('a'), to_bitmap(1)), (1, 2, hll_hash('b'), to_bitmap(2)), "
            "(2, 1, hll_hash('a'), bitmap_from_string('2,3')), (2, 2, hll_empty(), to_bitmap(3)), "
            "(3, 1, NULL, NULL)"
        ),
    ),
    "typed": (
        (
            "n INT",
            "t TINYINT",
            "s SMALLINT",
            "i INT",
            "l BIGINT",
            "g LARGEINT",
            "f FLOAT",
            "x DOUBLE",
            "c DECIMAL(9,2)",
            "v VARCHAR(20)",
            "d DATE",
            "m DATETIME",
        ),
        (
            "(1, 5, 5, 5, 5, 5, 1.5, 1.5, 1.5, 'abc', DATE '2024-02-29', "
            "TIMESTAMP '2024-02-29 13:14:15'), "
            "(2, -5, -5, -5, -5, -5, 0.1, 1e20, -0.5, '5', DATE '0001-01-01', "
            "TIMESTAMP '2024-02-29 00:00:00'), "
            "(3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"
        ),
    ),
}
CONTEXT = Context(
    utc_now=datetime(2024, 2, 29, 23, 30, 15, 123456, tzinfo=UTC),
    time_zone="+08:00",
    database="d",
    connection_id=7,
    variables={"version_comment": "Doris", "autocommit": True, "max_allowed_packet": 16_777_216},
    user_variables={"x": 5},
)


class GoldenCatalog:
    """The golden tables, in database `d`; at branch `dev` the same."""

    def __init__(self) -> None:
        self.version = "1"

    def describe(self, name: TableName) -> Described:
        if name.database != "d":
            raise unknown_database(name.database)
        if name.table not in TABLES:
            raise no_such_table(name.database, name.table)
        columns, _ = TABLES[name.table]
        parts = (column.split(" ", 1) for column in columns)
        return Described(
            tuple(Column(name, parse_type(kind)) for name, kind in parts), self.version
        )


def relation(name: TableName) -> str:
    """Return the SQL of a golden table's rows."""
    columns, rows = TABLES[name.table]
    pairs = [column.split(" ", 1) for column in columns]
    casts = ", ".join(
        f"CAST(c{number} AS {parse_type(kind).duckdb}) AS {title}"
        for number, (title, kind) in enumerate(pairs)
    )
    names = ", ".join(f"c{number}" for number in range(len(pairs)))
    return f"(SELECT {casts} FROM (VALUES {rows}) AS v({names}))"


def _platform() -> str:
    with duckdb.connect() as connection:
        found = connection.execute("PRAGMA platform").fetchone()
    assert found is not None
    return str(found[0])


class Golden:
    """An engine with the golden tables."""

    def __init__(self, folder: Path) -> None:
        settings = EngineSettings(
            512 * 1024**2,
            2,
            [folder / "data"],
            folder / "spill",
            extensions=[write_extension(folder, _platform())],
        )
        self.engine = Engine(settings)
        self.translator = Translator()
        self.catalog = GoldenCatalog()

    def query(
        self, text: str, parameters: list[object] | None = None, context: Context = CONTEXT
    ) -> tuple[tuple[Field, ...], list[tuple[str, ...]]]:
        """Return a query's fields and its rows as a client shows them."""
        done = self.translator.translate(text, self.catalog, context, parameters)
        relations = {use.number: relation(use.name) for use in done.tables}
        rows: list[tuple[str, ...]] = []
        with self.engine.open() as execution:
            for batch in execution.stream(done.sql(relations)):
                rows.extend(shown_rows(batch, done.fields))
        return done.fields, rows

    def value(self, expression: str) -> str:
        """Return the value of one expression."""
        return self.query(f"select {expression}")[1][0][0]


def shown_rows(batch: pa.RecordBatch, fields: tuple[Field, ...]) -> Iterator[tuple[str, ...]]:
    """Return the rows of a batch as texts."""
    assert batch.num_columns == len(fields)
    columns = [column.to_pylist() for column in batch.columns]
    for row in zip(*columns, strict=True):
        yield tuple(shown(value, field) for value, field in zip(row, fields, strict=True))


def shown(value: object, field: Field) -> str:
    """Return a value as text, by its field's type."""
    match value:
        case None:
            return "NULL"
        case bool():
            return str(int(value))
        case float():
            return repr(value).removesuffix(".0")
        case Decimal():
            return f"{value:f}"
        case datetime():
            text = f"{value:%Y-%m-%d %H:%M:%S.%f}"
            assert field.type.kind is SqlType.DATETIME
            return text[: 19 + (field.type.scale and field.type.scale + 1)]
        case date():
            return value.isoformat()
        case list():
            items = [_item(each, field) for each in value]
            return f"[{', '.join(items)}]"
    return str(value)


def _item(value: object, field: Field) -> str:
    if value is None:
        return "null"
    return f'"{value}"' if isinstance(value, str) else shown(value, field)


@dataclass(frozen=True, slots=True)
class Case:
    """A statement of a golden file and what it must give: rows, or an error."""

    file: str
    line: int
    text: str
    rows: tuple[str, ...]
    error: str = ""
    is_expression: bool = False


def cases() -> Iterator[Case]:
    """Return the cases of all golden files."""
    for path in sorted(FILES.glob("*.test")):
        yield from _file_cases(path)


def _file_cases(path: Path) -> Iterator[Case]:
    lines = path.read_text(encoding="utf-8").split("\n")
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if not line or line.startswith("#"):
            continue
        if not line.startswith("> "):
            text, found, value = line.partition(" =>")
            assert found, f"{path.name}:{at}: no => in {line!r}"
            yield Case(path.name, at, text, (value[1:],), is_expression=True)
            continue
        start, below = at, []
        while at < len(lines) and lines[at]:
            below.append(lines[at])
            at += 1
        error = below[0][2:] if below and below[0].startswith("! ") else ""
        yield Case(path.name, start, line[2:], () if error else tuple(below), error)


def failure(golden: Golden, case: Case) -> str:
    """Return what is wrong with a case's outcome; '' if it is right."""
    try:
        if case.is_expression:
            found: tuple[str, ...] = (golden.value(case.text),)
        else:
            found = tuple("|".join(row) for row in golden.query(case.text)[1])
    except SqlError as error:
        text = f"{error.code} {error.message}"
        if case.error and case.error in text:
            return ""
        return f"{case.file}:{case.line}: {case.text}: {text}"
    if found == case.rows and not case.error:
        return ""
    return (
        f"{case.file}:{case.line}: {case.text}: {list(found)}, not {case.error or list(case.rows)}"
    )
