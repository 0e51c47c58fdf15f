"""What a text becomes in a column of each type, and whether strict mode refuses it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from anabranch.warehouse.engine import Engine
from anabranch.warehouse.loading.writing import write_rows
from anabranch.warehouse.types import ColumnType, SqlType
from tests.support.loading import MemoryRowsets, engine_in, table_of

TEXT = ColumnType(SqlType.STRING)
DAY = datetime.date
LOST = "lost"  # NULL, and a refused row in strict mode
REFUSED = "refused"  # in both modes


def moment(*parts: int) -> datetime.datetime:
    return datetime.datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001 - a wall clock


CASES: list[tuple[str, str, Any]] = [
    ("tinyint", "-128", -128),
    ("tinyint", "128", LOST),
    ("tinyint", " 7 ", 7),
    ("tinyint", "+7", 7),
    ("tinyint", "007", 7),
    ("tinyint", "1.9", 1),
    ("tinyint", "1e1", LOST),
    ("tinyint", "", LOST),
    ("int", "0x10", LOST),
    ("int", "1_000", LOST),
    ("bigint", "-9223372036854775808", -(2**63)),
    ("bigint", "9223372036854775808", LOST),
    ("boolean", "true", True),
    ("boolean", "FALSE", False),
    ("boolean", "1", True),
    ("boolean", "0", False),
    ("boolean", "yes", LOST),
    ("double", "-0.0", -0.0),
    ("double", "1e308", 1e308),
    ("double", "x", LOST),
    ("float", "0.5", 0.5),
    ("decimal(5,2)", "123.456", Decimal("123.46")),
    ("decimal(5,2)", "-999.99", Decimal("-999.99")),
    ("decimal(5,2)", "1000", REFUSED),
    ("decimal(5,2)", "abc", LOST),
    ("char(3)", "abc", "abc"),
    ("char(3)", "a", "a"),
    ("char(3)", "abcd", REFUSED),
    ("varchar(3)", "éa", "éa"),
    ("varchar(3)", "éé", REFUSED),
    ("string", "", ""),
    ("date", "2024-02-29", DAY(2024, 2, 29)),
    ("date", "2023-02-29", LOST),
    ("date", "2024-2-9", DAY(2024, 2, 9)),
    ("date", "20240209", DAY(2024, 2, 9)),
    ("date", "240209", DAY(2024, 2, 9)),
    ("date", "69-01-01", DAY(2069, 1, 1)),
    ("date", "70-01-01", DAY(1970, 1, 1)),
    ("date", "9999-12-31", DAY(9999, 12, 31)),
    ("date", "10000-01-01", LOST),
    ("date", "2024-02-09 10:11:12", DAY(2024, 2, 9)),
    ("datetime", "2024-02-09 10:11:12", moment(2024, 2, 9, 10, 11, 12)),
    ("datetime", "2024-02-09T10:11:12", moment(2024, 2, 9, 10, 11, 12)),
    ("datetime", "2024-02-09", moment(2024, 2, 9)),
    ("datetime", "20240209101112", moment(2024, 2, 9, 10, 11, 12)),
    ("datetime", "2024-02-09 10:11:12.5", moment(2024, 2, 9, 10, 11, 13)),
    ("datetime(1)", "2024-02-09 10:11:12.54", moment(2024, 2, 9, 10, 11, 12, 500_000)),
    ("datetime(6)", "2024-02-09 10:11:12.123456", moment(2024, 2, 9, 10, 11, 12, 123_456)),
    ("datetime", "9999-12-31 23:59:59.6", LOST),
    ("datetime", "2024-02-09 25:00:00", LOST),
    ("json", '{"a": 1}', '{"a": 1}'),
    ("json", "{", LOST),
    ("array<int>", "[1, 2]", [1, 2]),
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with engine_in(tmp_path_factory.mktemp("engine")) as made:
        yield made


@pytest.mark.parametrize("is_strict", [True, False])
@pytest.mark.parametrize("kind", sorted({kind for kind, _, _ in CASES}))
def test_texts(engine: Engine, kind: str, is_strict: bool) -> None:
    cases = [(text, value) for of, text, value in CASES if of == kind]
    table = table_of(f"create table t (n int, v {kind}) duplicate key(n)")
    quoted = [text.replace("'", "''") for text, _ in cases]
    values = ", ".join(f"({number}, '{text}')" for number, text in enumerate(quoted))
    rowsets = MemoryRowsets(table)
    with engine.open() as execution:
        written = write_rows(
            execution,
            f"(values {values}) as t(n, v)",
            table,
            list(table.columns),
            open_rowset=rowsets.open,
            types={"v": TEXT},
            is_strict=is_strict,
        )
    refused = (REFUSED, LOST) if is_strict else (REFUSED,)
    expected = {
        number: None if value == LOST else value
        for number, (_, value) in enumerate(cases)
        if value not in refused
    }
    found = dict(rowsets.all_rows())
    assert found == expected
    assert repr(found.values()) == repr(expected.values())  # signed zeros, 1 and True
    assert written.filtered_rows == len(cases) - len(expected)
