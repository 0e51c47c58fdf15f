"""What a translation promises: only what is listed runs, a new literal is no new parse."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.kernel import limits
from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.sql.functions.families import FUNCTIONS
from anabranch.warehouse.sql.transforms import literals
from anabranch.warehouse.sql.transforms.calls import SPECIAL_NAMES
from anabranch.warehouse.sql.transforms.catalog import At
from anabranch.warehouse.sql.transforms.relations import GENERATOR_NAMES
from anabranch.warehouse.sql.transforms.rendering import quote_text
from anabranch.warehouse.sql.transforms.translate import Translator
from tests.sql.golden import CONTEXT, Golden, GoldenCatalog


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Golden]:
    made = Golden(Path(tmp_path_factory.mktemp("golden")))
    yield made
    made.engine.close()


def refused(text: str) -> str:
    with pytest.raises(SqlError) as raised:
        Translator().translate(text, GoldenCatalog(), CONTEXT)
    return raised.value.message


def functions(*kinds: str) -> list[str]:
    shown = ", ".join(f"'{kind}'" for kind in kinds)
    query = (
        f"SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type IN ({shown})"
    )
    return sorted(name for (name,) in duckdb.connect().sql(query).fetchall())


def test_no_table_function_or_pragma_of_the_engine_can_be_called() -> None:
    for name in functions("table", "table_macro", "pragma"):
        for call in (f"`{name}`", f"`{name}`()", f"`{name}`('/etc/hostname')"):
            refused(f"select * from {call}")
            if name not in (*FUNCTIONS, *SPECIAL_NAMES):
                refused(f"select {call}")
        refused(f"pragma {name}")


def test_no_scalar_function_of_the_engine_falls_through() -> None:
    allowed = {*FUNCTIONS, *SPECIAL_NAMES}
    for name in functions("scalar", "aggregate", "macro", "window"):
        if name.lower() in allowed or name == "if":
            continue
        assert "Can not found function" in refused(f"select `{name}`(1)"), name


@pytest.mark.parametrize(
    "text",
    [
        "attach 'x' as y",
        "copy people to 'x'",
        "load 'x'",
        "install httpfs",
        "set threads = 1",
        "select * from '/etc/hostname'",
        "select * from `/etc/hostname`",
        "select * from people union select * from read_csv('x')",
        "with x as (select read_text('x')) select * from x",
        "select (select * from glob('/*'))",
        "delete from people",
        "select 1 into outfile 'x'",
        "select doris_substr('a', 1)",
        "select * from people tablesample (10 percent)",
        "select * from people pivot (sum(id) for city in ('a'))",
        "select columns('i.*') from people",
        "select cast(1 as struct<a int>)",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    refused(text)


@given(st.text())
def test_texts_cannot_leave_their_quotes(value: str) -> None:
    sql = quote_text(value)
    if "\0" not in value and not any(0xD800 <= ord(letter) < 0xE000 for letter in value):
        assert duckdb.connect().execute(f"SELECT {sql}").fetchone() == (value,)


@pytest.mark.parametrize(
    "value",
    ["'", "''", "\\", "\\'", "a\0b", "\x02literal:0\x03", "{over}", "990000000", "; drop", "é\n"],
)
def test_parameters_come_back_as_given(golden: Golden, value: str) -> None:
    assert golden.query("select ?, 'x'", [value])[1] == [(value, "x")]
    assert golden.query("select count(*) from people where name = ?", [value])[1] == [("0",)]


def test_parameters_of_every_kind(golden: Golden) -> None:
    given_ = [None, True, 5, 2.5, Decimal("1.50"), b"abc"]
    found = golden.query("select ?, ?, ?, ?, ?, ?", list(given_))[1]
    assert found == [("NULL", "1", "5", "2.5", "1.50", "abc")]


def test_a_new_literal_is_no_new_parse() -> None:
    translator, catalog = Translator(), GoldenCatalog()
    for number in range(10):
        done = translator.translate(
            f"select id + {number} from people where name = 'n{number}' limit {number}",
            catalog,
            CONTEXT,
        )
        assert f"'n{number}'" in done.sql({0: "x"})
        assert done.fields[0].name == f"id + {number}"
    assert translator.parses == 1


def test_a_literal_the_plan_depends_on_is_a_plan_of_its_own() -> None:
    translator, catalog = Translator(), GoldenCatalog()
    for _ in range(2):
        for places in (1, 2):
            done = translator.translate(f"select round(1.2345, {places})", catalog, CONTEXT)
            assert done.fields[0].type.scale == places
    assert translator.parses == 2


def test_plans_are_bounded_and_follow_the_schema() -> None:
    translator, catalog = Translator(plans_max=2), GoldenCatalog()
    for name in ("a", "b", "c", "a"):
        translator.translate(f"select 1 as {name}", catalog, CONTEXT)
    assert translator.parses == 4
    translator.translate("select id from people", catalog, CONTEXT)
    catalog.version = "2"
    translator.translate("select id from people", catalog, CONTEXT)
    assert translator.parses == 6


def test_tables_are_told_with_their_columns_and_refs() -> None:
    text = "select p.name from people for version as of 'v1' p join orders@branch(dev) o on p.id = o.person"  # noqa: E501 - one piece of text
    done = Translator().translate(text, GoldenCatalog(), CONTEXT)
    people, orders = done.tables
    assert (people.name.table, people.name.at) == ("people", At("ref", "v1"))
    assert people.columns == ("id", "name")
    assert (orders.name.at, orders.columns) == (At("branch", "dev"), ("person",))


def test_sketches_are_hidden_unless_asked_for() -> None:
    translator, catalog = Translator(), GoldenCatalog()
    hidden = translator.translate("select h from sketches", catalog, CONTEXT).sql({0: "s"})
    shown = translator.translate("select h from sketches", catalog, CONTEXT, keeps_opaque=True)
    assert "false" in hidden
    assert "false" not in shown.sql({0: "s"})
    asked = replace(CONTEXT, shows_opaque=True)
    assert "false" not in translator.translate("select h from sketches", catalog, asked).sql(
        {0: "s"}
    )


@pytest.mark.parametrize(
    "text",
    [
        "select " + "(" * 5_000 + "1" + ")" * 5_000,
        "select " + "-" * 5_000 + "1",
        "select " + "not " * 5_000 + "1",
        "select " + "abs(" * 1_000 + "1" + ")" * 1_000,
        "select " + "if(1," * 1_000 + "1" + ",2)" * 1_000,
    ],
)
def test_deep_nesting_is_an_error(text: str) -> None:
    refused(text)


def test_long_chains_are_not_deep(golden: Golden) -> None:
    chain = " or ".join(f"id = {number}" for number in range(150))
    assert golden.query(f"select count(*) from people where {chain}")[1] == [("4",)]
    members = ", ".join(str(number) for number in range(5_000))
    assert golden.query(f"select count(*) from people where id in ({members})")[1] == [("4",)]


def test_a_text_past_the_limit_is_refused() -> None:
    assert "longer" in refused("select '" + "x" * limits.QUERY_TEXT_BYTES_MAX + "'")


def test_literals_are_taken_out_of_the_text() -> None:
    tokens, found = literals.scan("select 1, 'a''b', 1.50, 1e3, x'41' -- 2", None)
    assert [(each.value, each.shape) for each in found] == [
        ("1", "i1"), ("a'b", "s"), ("1.50", "d3,2"), ("1e3", "f"), ("A", "s"),
    ]  # fmt: skip
    assert [token.text for token in tokens][:2] == ["select", "1"]


def test_generators_and_special_functions_are_named() -> None:
    assert {"explode", "explode_split"} <= set(GENERATOR_NAMES)
