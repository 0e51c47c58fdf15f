"""One case of the seed after the other, with PyMySQL, and everything that is asserted of it."""

import secrets
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pymysql
from pymysql.cursors import Cursor

from tests.seed.layout import CASES, DISTINCT, HALVES, Case, ask, create_comparison
from tests.seed.reference import EXACT_MAX, Answer, Rows
from tests.support.server import pause

BROKER = "hdfs"
URLS = "hdfs://xxxxxxxx/data"
LOAD_TIMEOUT_S = 120.0
POLL_S = 0.2
GLOBAL_ERROR_MAX = 0.0244  # Doris's 99 % figure
KEY_ERROR_MAX = 0.04
_COMPARISON = "test_query_qa.test"
_SHOWN = 5


class Wrong(AssertionError):
    """The server answered something else."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a case's statements must answer, half by half."""

    distinct: tuple[Answer, ...]
    cardinality: tuple[Answer, ...]
    texts: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Totals:
    """What is asked of all rows together."""

    ndv: tuple[Answer, ...]
    union: tuple[Answer, ...]
    texts: tuple[Answer, ...]
    rows: int


def expect_case(rows: Rows, key: str) -> Expected:
    """Compute what a case must answer."""
    groups = rows.groups(key)
    return Expected(
        tuple(rows.distinct(half, groups) for half in HALVES),
        tuple(rows.estimates(rows.text_hashes, half, groups) for half in HALVES),
        tuple(rows.distinct_texts(half, groups) for half in HALVES),
    )


def expect_totals(rows: Rows) -> Totals:
    """Compute what all rows together must answer."""
    every = [range(rows.count)]
    return Totals(
        tuple(rows.estimates(rows.value_hashes, half, every) for half in HALVES),
        tuple(rows.estimates(rows.text_hashes, half, every) for half in HALVES),
        tuple(rows.distinct_texts(half, every) for half in HALVES),
        rows.count,
    )


class Client:
    """The seed's client: no database at login, no COMMIT ever, `fetchall` after each statement."""

    def __init__(self, host: str, port: int) -> None:
        self._connection = pymysql.connect(
            host=host, port=port, user="root", passwd="", charset="utf8"
        )

    def execute(self, text: str) -> tuple[tuple[object, ...], ...]:
        """Run a statement and return its rows, `()` when it has none."""
        return self._run(text)[0]

    def columns(self, text: str) -> list[dict[str, object]]:
        """Run a statement and return its rows by the columns' names."""
        rows, cursor = self._run(text)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def use(self, database: str) -> None:
        """Change the database, by COM_INIT_DB."""
        self._connection.select_db(database)

    def close(self) -> None:
        """Say goodbye."""
        self._connection.close()

    def _run(self, text: str) -> tuple[tuple[tuple[object, ...], ...], Cursor]:
        with self._connection.cursor() as cursor:
            cursor.execute(text)
            return tuple(cursor.fetchall()), cursor


def build_comparison(host: str, port: int, http: str, files: Sequence[Path]) -> None:
    """Make the table of plain rows and load it as `curl` does, without a header."""
    client = Client(host, port)
    client.execute("create database if not exists test_query_qa")
    client.use("test_query_qa")
    client.execute("drop table if exists test")
    _equal(client.execute(create_comparison()), (), "create table test")
    client.close()
    for file in files:
        done = subprocess.run(
            ["curl", "--silent", "--show-error", "--location-trusted", "-u", "root:", "-T",
             str(file), f"{http}/api/test_query_qa/test/_stream_load"],
            capture_output=True, text=True, check=False, timeout=LOAD_TIMEOUT_S,
        )  # fmt: skip
        if '"Status": "Success"' not in done.stdout.replace('":"', '": "'):
            raise Wrong(f"stream load of {file.name}: {done.stdout}{done.stderr}")


def run_case(host: str, port: int, case: Case, expected: Expected, totals: Totals) -> None:
    """Create, load, wait, ask and clean up, in the seed's order."""
    client = Client(host, port)
    _equal(client.execute(f"drop database if exists {case.database}"), (), "drop database")
    client.execute(f"CREATE DATABASE {case.database}")
    if (case.database,) not in client.execute("SHOW DATABASES"):
        raise Wrong(f"SHOW DATABASES does not name {case.database}")
    client.use(case.database)
    client.use(case.database)
    _equal(client.execute(case.create_table()), (), "CREATE TABLE")
    brokers = client.execute('SHOW PROC "/brokers"')
    if not brokers or brokers[0][0] != BROKER:
        raise Wrong(f'SHOW PROC "/brokers" says {brokers}')
    labels = []
    for name in ("baseall.txt", "xaaa"):
        labels.append(f"label_{time.strftime('%d_%H_%M_%S')}_{secrets.token_hex(6)}")
        url = f"{URLS}/qe/{name}"
        _equal(client.execute(case.load(labels[-1], url)), (), f"LOAD LABEL {name}")
    _wait(client, case.database, labels)
    _check_answers(client, case, expected)
    _check_totals(client, case, totals)
    client.execute(f"DROP DATABASE {case.database} FORCE")
    if (case.database,) in client.execute("SHOW DATABASES"):
        raise Wrong(f"{case.database} is still there")
    client.close()


def _wait(client: Client, database: str, labels: list[str]) -> None:
    deadline_s = time.monotonic() + LOAD_TIMEOUT_S
    while True:
        jobs = client.columns(f"SHOW LOAD FROM {database}")
        _equal([job["Label"] for job in jobs], labels, "SHOW LOAD's labels, by JobId")
        states = {str(job["State"]) for job in jobs}
        if states == {"FINISHED"}:
            return
        if "CANCELLED" in states:
            raise Wrong(f"a load was cancelled: {[job['ErrorMsg'] for job in jobs]}")
        if time.monotonic() > deadline_s:
            raise Wrong(f"loads did not end: {states}")
        pause(POLL_S)


def _check_answers(client: Client, case: Case, expected: Expected) -> None:
    for number, half in enumerate(HALVES):
        distinct = _ask(client, ask("count(distinct {})", half, _COMPARISON, case.key, group=True))
        _equal(distinct, expected.distinct[number], f"{case.key}: count(distinct)")
        union = _ask(
            client, ask("hll_cardinality({}_hll)", half, case.table, case.key, group=False)
        )
        _equal(union, expected.cardinality[number], f"{case.key}: hll_cardinality")
        _near(union, expected.texts[number], KEY_ERROR_MAX, f"{case.key}: hll_cardinality")
        ndv = _ask(client, ask("ndv({})", half, case.table, case.key, group=True))
        _equal(ndv, [(1,) * len(half)] * len(distinct), f"{case.key}: ndv per key")


def _check_totals(client: Client, case: Case, totals: Totals) -> None:
    for number, half in enumerate(HALVES):
        ndv = _ask(client, ask("ndv({})", half, _COMPARISON, group=False))
        _equal(ndv, totals.ndv[number], f"{case.key}: ndv")
        union = _ask(client, ask("hll_union_agg({}_hll)", half, case.table, group=False))
        _equal(union, totals.union[number], f"{case.key}: hll_union_agg")
        _near(union, totals.texts[number], GLOBAL_ERROR_MAX, f"{case.key}: hll_union_agg")
        counted = _ask(client, ask("count(distinct {})", half, _COMPARISON, group=False))
        _equal(counted, [tuple(DISTINCT[name] for name in half)], "count(distinct)")


def _ask(client: Client, text: str) -> Answer:
    return [tuple(int(str(cell)) for cell in row) for row in client.execute(text)]


def _equal(found: object, wanted: object, what: str) -> None:
    if found == wanted:
        return
    if isinstance(found, list) and isinstance(wanted, list):
        if len(found) != len(wanted):
            raise Wrong(f"{what}: {len(found)} rows, wanted {len(wanted)}")
        pairs = enumerate(zip(found, wanted, strict=True))
        other = [f"row {at}: {one}, wanted {two}" for at, (one, two) in pairs if one != two]
        raise Wrong(f"{what}: {len(other)} rows differ; " + "; ".join(other[:_SHOWN]))
    raise Wrong(f"{what}: {found}, wanted {wanted}")


def _near(found: Answer, distinct: Answer, error_max: float, what: str) -> None:
    """Hold estimates against true numbers: exact up to 160, else within a ratio."""
    for row, truth in zip(found, distinct, strict=True):
        for estimate, count in zip(row, truth, strict=True):
            allowed = 0.0 if count <= EXACT_MAX else error_max
            if abs(estimate - count) > allowed * count:
                raise Wrong(f"{what}: {estimate} for {count} distinct texts")


CASE_LIST = tuple(Case(key) for key in CASES)
