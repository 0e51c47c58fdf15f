"""Random histories of INSERT, DELETE, UPDATE, OVERWRITE and TRUNCATE against a model in Python."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.sql_clients import Client, open_client

TAIL = "DISTRIBUTED BY HASH(k) BUCKETS 1 PROPERTIES('replication_num' = '1'"
TABLES = {
    "d": f"CREATE TABLE d (k int, v varchar(5), n bigint) DUPLICATE KEY(k) {TAIL})",
    "a": (
        "CREATE TABLE a (k int, s bigint SUM, m int MAX, r varchar(5) REPLACE, "
        f"q int REPLACE_IF_NOT_NULL) AGGREGATE KEY(k) {TAIL})"
    ),
    "u": f"CREATE TABLE u (k int, v varchar(5), n bigint) UNIQUE KEY(k) {TAIL})",
    "w": (
        "CREATE TABLE w (k int, v varchar(5), n bigint, t int) UNIQUE KEY(k) "
        "PARTITION BY RANGE(k) (PARTITION p1 VALUES LESS THAN ('2'), "
        "PARTITION p2 VALUES LESS THAN MAXVALUE) "
        f"{TAIL}, 'function_column.sequence_col' = 't')"
    ),
}  # fmt: skip
COLUMNS = {"d": "kvn", "a": "ksmrq", "u": "kvn", "w": "kvnt"}
Row = dict[str, Any]
DELETED = "deleted"


@dataclass
class Model:
    """Rows as they were written, in their order; folded when they are asked for."""

    name: str
    rows: list[Row] = field(default_factory=list)

    def add(self, rows: list[Row]) -> None:
        self.rows += [dict(row) for row in rows]

    def fold(self) -> list[tuple[Any, ...]]:
        names = COLUMNS[self.name]
        if self.name == "d":
            found = [tuple(row[name] for name in names) for row in self.rows]
        else:
            keys: dict[Any, list[Row]] = {}
            for row in self.rows:
                keys.setdefault(row["k"], []).append(row)
            folded = [self._folded(rows) for rows in keys.values()]
            found = [tuple(row[name] for name in names) for row in folded if row is not None]
        return sorted(found, key=lambda row: tuple((cell is not None, cell) for cell in row))

    def _folded(self, rows: list[Row]) -> Row | None:
        if self.name == "a":
            return {
                "k": rows[0]["k"],
                "s": _some(sum, rows, "s"),
                "m": _some(max, rows, "m"),
                "r": rows[-1]["r"],
                "q": _some(lambda values: values[-1], rows, "q"),
            }
        # sorted() keeps the order of equal ones: later rows win among equal sequence values.
        ordered = sorted(rows, key=lambda row: (row.get("t") is not None, row.get("t") or 0))
        if DELETED in ordered[-1]:
            return None
        made: Row = dict.fromkeys(COLUMNS[self.name])
        for row in ordered:
            if DELETED in row:
                made = dict.fromkeys(COLUMNS[self.name])
            made |= row
        return made

    def where(self, test: Callable[[Row], bool]) -> list[Row]:
        names = COLUMNS[self.name]
        rows = [dict(zip(names, row, strict=True)) for row in self.fold()]
        return [row for row in rows if test(row)]


def _some(fold: Callable[[list[Any]], Any], rows: list[Row], name: str) -> Any:
    values = [row[name] for row in rows if row[name] is not None]
    return fold(values) if values else None


def literal(value: Any) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return "NULL" if value is None else str(value)


@dataclass
class History:
    """One history: what it did is in `done`, for who must replay it."""

    client: Client
    dice: random.Random
    models: dict[str, Model] = field(default_factory=lambda: {n: Model(n) for n in TABLES})
    done: list[str] = field(default_factory=list)

    def step(self) -> None:
        steps = [self.insert] * 5 + [self.delete] * 3 + [self.update] * 3
        self.dice.choice([*steps, self.select, self.overwrite, self.truncate])()

    def run(self, text: str) -> int:
        self.done.append(text)
        return self.client.do(text).affected_rows

    def row(self, name: str) -> Row:
        row: Row = {}
        for column in COLUMNS[name]:
            if column in "vr":
                row[column] = self.dice.choice(["a", "bb", "é'", "", None])
            else:
                top = 4 if column == "k" else 9
                value = self.dice.randint(0 if column == "k" else -9, top)
                row[column] = None if self.dice.random() < 0.15 else value
        return row

    def insert(self) -> None:
        name = self.dice.choice(list(TABLES))
        rows = [self.row(name) for _ in range(self.dice.randint(1, 4))]
        texts = [f"({', '.join(literal(value) for value in row.values())})" for row in rows]
        if self.dice.random() < 0.3:  # an expression: the engine judges the statement
            texts[0] = texts[0].replace("(", "(0 + ", 1) if rows[0]["k"] is not None else texts[0]
        self.run(f"INSERT INTO {name} VALUES {', '.join(texts)}")
        self.models[name].add(rows)

    def select(self) -> None:
        found = self.models["u"].where(lambda row: row["n"] is not None)
        done = self.run("INSERT INTO d SELECT k, v, n + 1 FROM u WHERE n IS NOT NULL")
        assert done == len(found)
        self.models["d"].add([{**row, "n": row["n"] + 1} for row in found])

    def condition(self, name: str) -> tuple[str, Callable[[Row], bool]]:
        column = self.dice.choice("kn") if name != "a" else "k"
        bound = self.dice.randint(0, 4)
        return self.dice.choice(
            [
                (f"{column} = {bound}", lambda row: row[column] == bound),
                (f"{column} IS NULL", lambda row: row[column] is None),
                (
                    f"{column} >= {bound} AND {column} < {bound} + 2",
                    lambda row: row[column] is not None and bound <= row[column] < bound + 2,
                ),
                (
                    f"NOT ({column} IN (0, {bound}))",
                    lambda row: row[column] is not None and row[column] not in (0, bound),
                ),
            ]
        )

    def delete(self) -> None:
        name = self.dice.choice(list(TABLES))
        text, test = self.condition(name)
        model = self.models[name]
        found = model.where(test)
        assert self.run(f"DELETE FROM {name} WHERE {text}") == len(found)
        if name in "da":
            model.rows = [row for row in model.rows if not test(row)]
            return
        model.add([{"k": row["k"], "t": row.get("t"), DELETED: 1} for row in found])

    def update(self) -> None:
        name = self.dice.choice("uw")
        text, test = self.condition(name)
        add = self.dice.randint(1, 9)
        found = self.models[name].where(test)
        change: Callable[[Row], Row]
        if self.dice.random() < 0.5:
            assigned = f"n = n + {add}"
            change = lambda row: {"n": None if row["n"] is None else row["n"] + add}  # noqa: E731 - one of two
        else:
            assigned = f"v = 'u{add}', n = DEFAULT"
            change = lambda row: {"v": f"u{add}", "n": None}  # noqa: E731 - one of two
        assert self.run(f"UPDATE {name} SET {assigned} WHERE {text}") == len(found)
        self.models[name].add(
            [
                {"k": row["k"], **({"t": row["t"]} if "t" in row else {}), **change(row)}
                for row in found
            ]
        )

    def overwrite(self) -> None:
        if self.dice.random() < 0.5:
            rows = self.models["u"].where(lambda row: row["k"] is not None and row["k"] >= 2)
            self.run(
                "INSERT OVERWRITE TABLE w PARTITION(p2) (k, v, n) SELECT * FROM u WHERE k >= 2"
            )
            model = self.models["w"]
            model.rows = [row for row in model.rows if row["k"] is None or row["k"] < 2]
            model.add([{**row, "t": None} for row in rows])
            return
        rows = [self.row("u") for _ in range(2)]
        texts = [f"({', '.join(literal(value) for value in row.values())})" for row in rows]
        self.run(f"INSERT OVERWRITE TABLE u VALUES {', '.join(texts)}")
        self.models["u"].rows = []
        self.models["u"].add(rows)

    def truncate(self) -> None:
        if self.dice.random() < 0.7:
            self.run("TRUNCATE TABLE w PARTITION(p1)")
            model = self.models["w"]
            model.rows = [row for row in model.rows if row["k"] is not None and row["k"] >= 2]
            return
        name = self.dice.choice(list(TABLES))
        self.run(f"TRUNCATE TABLE {name}")
        self.models[name].rows = []

    def check(self) -> None:
        for name, model in self.models.items():
            found = self.client.rows(f"SELECT * FROM {name}")
            found.sort(key=lambda row: tuple((cell is not None, cell) for cell in row))
            assert found == model.fold(), (name, self.done)


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 4))]
)
def test_histories_agree_with_the_model(tmp_path: Path, seed: int) -> None:
    with open_client(tmp_path) as client:
        for text in TABLES.values():
            client.do(text)
        history = History(client, random.Random(seed))
        for _ in range(40):
            history.step()
            history.check()
