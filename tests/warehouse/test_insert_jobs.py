"""INSERTs as jobs: SHOW LOAD, SHOW TRANSACTION, and what of them outlives the process."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from anabranch.kernel import limits
from anabranch.kernel.ids import Ref
from anabranch.warehouse.jobs.load_records import Counts
from anabranch.warehouse.parts import DEFAULT_CATALOG
from anabranch.warehouse.places import DatabasePlace, Place
from anabranch.warehouse.results import Done
from tests.support.joined import Joined, open_joined

TABLE = "CREATE TABLE t (k int, v bigint SUM) AGGREGATE KEY(k) DISTRIBUTED BY HASH(k)"


@pytest.fixture
def joined(tmp_path: Path) -> Iterator[Joined]:
    with open_joined(tmp_path) as made:
        made.do(TABLE)
        yield made


def told(done: Done) -> dict[str, str]:
    """Return what the OK packet says of a transaction."""
    found: dict[str, str] = ast.literal_eval(done.info)
    return found


def test_inserts_are_listed_with_the_transaction_that_clients_are_told(joined: Joined) -> None:
    first = told(joined.do("INSERT INTO t VALUES (1, 1), (2, 2)"))
    second = told(joined.do("INSERT INTO t WITH LABEL mine VALUES (3, 3)"))
    joined.do("DELETE FROM t WHERE k = 1", "INSERT INTO t SELECT k, v FROM t WHERE false")
    jobs = joined.dicts("SHOW LOAD FROM db")
    assert [job["Label"] for job in jobs] == [first["label"], "mine"]
    assert [job["TransactionId"] for job in jobs] == [first["txnId"], second["txnId"]]
    assert [(job["State"], job["Type"], job["User"]) for job in jobs] == [
        ("FINISHED", "INSERT", "root")
    ] * 2
    assert jobs[0]["EtlInfo"] == "unselected.rows=0; dpp.abnorm.ALL=0; dpp.norm.ALL=2"
    assert [int(job["JobId"]) for job in jobs] == sorted(int(job["JobId"]) for job in jobs)
    (shown,) = joined.dicts(f"SHOW TRANSACTION WHERE ID = {second['txnId']}")
    assert (shown["Label"], shown["TransactionStatus"]) == ("mine", "VISIBLE")
    (shown,) = joined.dicts(f"SHOW TRANSACTION FROM db WHERE ID = {first['txnId']}")
    assert shown["LoadJobSourceType"] == "INSERT_STREAMING"
    used = joined.refused("INSERT INTO t WITH LABEL mine VALUES (3, 3)").message
    assert f"Label [mine] has already been used, relate to txn [{second['txnId']}]" in used


def test_an_insert_that_failed_under_a_label_is_listed_and_its_label_is_free(
    joined: Joined,
) -> None:
    used = "INSERT INTO t WITH LABEL mine VALUES (1, 1)"
    error = joined.refused("INSERT INTO t WITH LABEL mine VALUES ('x', 1)")
    joined.refused("INSERT INTO t VALUES ('x', 1)")
    (job,) = joined.dicts("SHOW LOAD WHERE STATE = 'CANCELLED'")
    assert (job["Label"], job["Type"], job["Progress"]) == ("mine", "INSERT", "ETL:N/A; LOAD:N/A")
    assert job["ErrorMsg"] == f"type:LOAD_RUN_FAIL; msg:{error.message}"
    (shown,) = joined.dicts("SHOW TRANSACTION WHERE LABEL = 'mine'")
    assert shown["TransactionStatus"] == "ABORTED"
    joined.do(used)
    joined.refused(used)
    jobs = joined.dicts("SHOW LOAD WHERE LABEL = 'mine'")
    assert [each["State"] for each in jobs] == ["CANCELLED", "FINISHED"]


def test_a_transaction_is_one_job(joined: Joined) -> None:
    joined.do("BEGIN WITH LABEL both", "INSERT INTO t VALUES (1, 1)", "INSERT INTO t VALUES (2, 2)")
    assert joined.rows("SHOW LOAD") == []
    number = told(joined.do("COMMIT"))["txnId"]
    (job,) = joined.dicts("SHOW LOAD")
    assert (job["Label"], job["TransactionId"]) == ("both", number)
    assert job["EtlInfo"].endswith("dpp.norm.ALL=2")
    joined.do("BEGIN", "INSERT INTO t VALUES (1, 1)", "ROLLBACK")
    assert len(joined.rows("SHOW LOAD")) == 1


def test_load_data_is_listed(joined: Joined) -> None:
    joined.files["rows.txt"] = b"1\t1\n2\t2\n"
    joined.do("LOAD DATA LOCAL INFILE 'rows.txt' INTO TABLE t")
    (job,) = joined.dicts("SHOW LOAD")
    assert (job["Type"], job["State"]) == ("INSERT", "FINISHED")
    assert joined.rows("SELECT sum(v) FROM t") == [(3,)]


def test_a_restart_keeps_labelled_inserts(tmp_path: Path) -> None:
    with open_joined(tmp_path) as joined:
        joined.do(TABLE, "INSERT INTO t VALUES (1, 1)")
        joined.do("INSERT INTO t WITH LABEL kept VALUES (1, 1)")
        assert len(joined.rows("SHOW LOAD")) == 2
    with open_joined(tmp_path) as joined:
        assert [job["Label"] for job in joined.dicts("SHOW LOAD")] == ["kept"]


def test_a_database_made_again_lists_nothing_of_before(joined: Joined) -> None:
    joined.do("INSERT INTO t VALUES (1, 1)", "DROP DATABASE db", "CREATE DATABASE db")
    assert joined.rows("SHOW LOAD FROM db") == []


def test_the_newest_are_kept(joined: Joined) -> None:
    inserts = joined.warehousing.jobs.inserts
    place = DatabasePlace(Place(DEFAULT_CATALOG, Ref("main")), "db")
    record = inserts.begin(place, label="x", tables=["t"], user="root")
    for number in range(limits.INSERT_JOBS_KEPT_MAX + 1):
        inserts.keep(replace(record, id=record.id + number), Counts(loaded=1))
    assert len(joined.rows("SHOW LOAD")) == limits.INSERT_JOBS_KEPT_MAX
    for number in range(limits.INSERT_JOB_DATABASES_MAX):
        other = replace(record, scope=replace(record.scope, database_id=str(number)))
        inserts.keep(other, Counts(loaded=1))
    assert joined.rows("SHOW LOAD") == []
