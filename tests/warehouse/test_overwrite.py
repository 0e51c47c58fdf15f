"""INSERT OVERWRITE and TRUNCATE: what they saw goes, and a mark says so."""

from collections.abc import Iterator
from typing import Any

import pytest

from anabranch.kernel.ids import Ref
from tests.support.sql_clients import Client, open_client

TAIL = "DISTRIBUTED BY HASH(k) BUCKETS 1 PROPERTIES('replication_num' = '1')"


@pytest.fixture
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with open_client(tmp_path_factory.mktemp("overwrite")) as made:
        made.do(
            "CREATE TABLE t (k int, n bigint SUM) AGGREGATE KEY(k) PARTITION BY RANGE(k) "
            f"(PARTITION p1 VALUES LESS THAN ('10'), PARTITION p2 VALUES LESS THAN ('20')) {TAIL}"
        )
        made.do("INSERT INTO t VALUES (1, 1), (11, 1)")
        made.do("INSERT INTO t VALUES (1, 1), (11, 1)")
        yield made


def rows(client: Client) -> list[tuple[Any, ...]]:
    return client.rows("SELECT k, n FROM t ORDER BY k")


def marks(client: Client) -> list[str]:
    return client.catalog.on.paths(prefix="db/t/_overwrites/")


def test_the_whole_table_is_replaced(client: Client) -> None:
    done = client.do("INSERT OVERWRITE TABLE t VALUES (2, 5)")
    assert done.affected_rows == 1
    assert rows(client) == [(2, 5)]
    assert len(marks(client)) == 2
    assert len(client.catalog.sequences("t")) == 1


def test_a_table_is_replaced_by_what_is_in_it(client: Client) -> None:
    client.do("INSERT OVERWRITE TABLE t SELECT k, n + 1 FROM t")
    assert rows(client) == [(1, 3), (11, 3)]


def test_partitions_are_replaced_alone(client: Client) -> None:
    client.do("INSERT OVERWRITE TABLE t PARTITION(p2) VALUES (12, 7)")
    assert rows(client) == [(1, 2), (12, 7)]
    assert len(marks(client)) == 1
    error = client.refused("INSERT OVERWRITE TABLE t PARTITION(p2) VALUES (1, 7)")
    assert "no partition for this tuple" in error.message
    assert client.refused("INSERT OVERWRITE TABLE t PARTITION(p3) VALUES (1, 7)").code == 1735


def test_nothing_replaces_something(client: Client) -> None:
    assert client.do("INSERT OVERWRITE TABLE t SELECT k, n FROM t WHERE k > 99").affected_rows == 0
    assert rows(client) == []


def test_truncate_empties_the_table_or_some_partitions(client: Client) -> None:
    done = client.do("TRUNCATE TABLE t PARTITION(p1)")
    assert (done.affected_rows, done.info) == (0, "")
    assert rows(client) == [(11, 2)]
    assert client.refused("TRUNCATE TABLE t PARTITION(p3)").code == 1735
    client.do("TRUNCATE TABLE t")
    assert rows(client) == []
    assert len(marks(client)) == 2
    assert client.refused("TRUNCATE TABLE none").code == 1146


def test_both_sides_write_marks_of_their_own(client: Client) -> None:
    client.catalog.on.commit()
    client.catalog.on.branch("dev")
    client.do("TRUNCATE TABLE `db@dev`.t")
    client.do("TRUNCATE TABLE t")
    found = {ref: client.catalog.on.find(marks(client)[0], ref=Ref(ref)) for ref in ("main", "dev")}
    assert found["main"] is not None
    assert found["main"] != found["dev"]
