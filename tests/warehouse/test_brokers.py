"""Brokers: which configured place a URL stands for, and what may be configured at all."""

from __future__ import annotations

import pytest

from anabranch.kernel.errors import InvalidInput
from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.origins.brokers import Brokers, parse_brokers

ROOTS = ["local:///srv/data", "webhdfs://node:9870/", "https://host/public"]


def test_the_longest_prefix_wins() -> None:
    brokers = Brokers(
        parse_brokers(
            [
                "hdfs=hdfs://xxxxxxxx/=local:///srv/data/",
                "hdfs=hdfs://xxxxxxxx/data/qe=lakefs://raw/main/qe",
            ],
            ROOTS,
        )
    )
    near = brokers.locate("hdfs://xxxxxxxx/data/qe/baseall.txt", "hdfs")
    assert (near.base, near.pattern) == ("lakefs://raw/main/qe/", "baseall.txt")
    far = brokers.locate("hdfs://xxxxxxxx/data/qe2/*.txt", "hdfs")
    assert (far.base, far.pattern) == ("local:///srv/data/", "data/qe2/*.txt")
    assert far.url_of("local:///srv/data/data/qe2/a.txt") == "hdfs://xxxxxxxx/data/qe2/a.txt"


def test_a_prefix_ends_where_a_name_ends() -> None:
    brokers = Brokers(parse_brokers(["b=hdfs://a=local:///srv/data"], ROOTS))
    assert brokers.locate("hdfs://ab/x", "b").base == ""
    assert brokers.locate("hdfs://a/x", "b").base == "local:///srv/data/"


def test_a_broker_maps_its_own_prefixes_alone() -> None:
    lines = ["one=hdfs://a/=local:///srv/data/one", "two=hdfs://a/=local:///srv/data/two"]
    brokers = Brokers(parse_brokers(lines, ROOTS))
    assert brokers.locate("hdfs://a/x", "two").base == "local:///srv/data/two/"
    assert brokers.locate("hdfs://a/x", "local").base == ""
    assert brokers.locate("hdfs://a/x").base == "local:///srv/data/one/"


def test_an_unknown_broker_is_refused_in_the_words_clients_know() -> None:
    brokers = Brokers(parse_brokers(["hdfs=hdfs://a/=local:///srv/data"], ROOTS))
    brokers.check("hdfs")
    with pytest.raises(SqlError, match=r"Unknown broker name\(other\)"):
        brokers.check("other")


def test_names_are_told_once_and_local_where_none_is_configured() -> None:
    assert Brokers([]).names == ["local"]
    lines = ["b=hdfs://a/=local:///srv/data/a", "b=hdfs://b/=local:///srv/data/b"]
    assert Brokers(parse_brokers(lines, ROOTS)).names == ["b"]


@pytest.mark.parametrize(
    "line",
    [
        "hdfs",
        "hdfs=hdfs://a/",
        "=hdfs://a/=local:///srv/data",
        "hdfs=hdfs://a/=local:///etc",
        "hdfs=hdfs://a/=local:///srv/data/../../etc",
        "hdfs=hdfs://a/=local:///srv/database",
        "hdfs=hdfs://a/=http://169.254.169.254/",
        "hdfs=hdfs://a/=https://host/private",
        "hdfs=hdfs://a/=webhdfs://node:9871/",
        "hdfs=hdfs://a/=gopher://host/",
    ],
)
def test_targets_must_be_configured(line: str) -> None:
    with pytest.raises(InvalidInput):
        parse_brokers([line], ROOTS)


def test_a_prefix_is_mapped_once() -> None:
    line = "hdfs=hdfs://a/=local:///srv/data"
    with pytest.raises(InvalidInput, match="twice"):
        parse_brokers([line, line], ROOTS)
