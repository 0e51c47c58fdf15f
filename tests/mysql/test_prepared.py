"""Prepared statements, in the binary protocol, with mysql-connector-python and by hand."""

from __future__ import annotations

import datetime
import struct
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import mysql.connector
import pymysql
import pytest
from pymysql.constants import COMMAND

from anabranch.kernel import limits
from anabranch.mysql.packets import encode_sized
from tests.mysql.serving import Served, serving


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as found:
        yield found


@pytest.fixture
def connector(served: Served) -> Iterator[Any]:
    client = mysql.connector.connect(
        host="127.0.0.1", port=served.port, user="root", password="", use_pure=True
    )
    yield client
    client.close()


VALUES = (
    0,
    -(2**63),
    2**63 - 1,
    1.5,
    "é🌊",
    "",
    b"\0\xff",
    None,
    datetime.date(2020, 2, 29),
    datetime.datetime(2020, 2, 29, 1, 2, 3, 456),  # noqa: DTZ001 - SQL's have no zone
    "x" * 70_000,
)


def test_parameters_come_back(connector: Any) -> None:
    with connector.cursor(prepared=True) as cursor:
        for value in VALUES:
            cursor.execute("select ? as x, 1 as y", (value,))
            ((found, one),) = cursor.fetchall()
            assert one == 1
            if isinstance(value, bytes):
                assert bytes(found) == value
            else:
                assert found == value


def test_all_types_in_binary(connector: Any) -> None:
    with connector.cursor(prepared=True) as cursor:
        cursor.execute(
            "select true, 1::tinyint, -2::smallint, 3, -4::bigint, 5::hugeint, 0.5::float,"
            " 1e300::double, -1.50::decimal(9,2), date '9999-12-31',"
            " timestamp '2020-01-02 03:04:05.123456', timestamp '2020-01-02 00:00:00',"
            " 'é', null, ?",
            ("last",),
        )
        (row,) = cursor.fetchall()
    assert row[:9] == (1, 1, -2, 3, -4, "5", 0.5, 1e300, Decimal("-1.50"))
    assert row[9] == datetime.date(9999, 12, 31)
    assert row[10] == datetime.datetime(2020, 1, 2, 3, 4, 5, 123456)  # noqa: DTZ001 - SQL's have no zone
    assert row[11] == datetime.datetime(2020, 1, 2)  # noqa: DTZ001 - SQL's have no zone
    assert row[12:] == ("é", None, "last")


def test_many_rows_in_binary(connector: Any) -> None:
    with connector.cursor(prepared=True) as cursor:
        cursor.execute("select range, range * 0.5, 'r' || range from range(?)", (30_000,))
        rows = cursor.fetchall()
    assert len(rows) == 30_000
    assert rows[29_999][0] == 29_999
    assert rows[7][2] == "r7"


class Prepared:
    """A prepared statement over PyMySQL's packets."""

    def __init__(self, client: Any, text: str) -> None:
        self.client = client
        client._execute_command(COMMAND.COM_STMT_PREPARE, text)
        data = client._read_packet().get_all_data()
        self.id, columns, parameters = struct.unpack_from("<IHH", data, 1)
        for count in (parameters, columns):
            for _ in range(count + (count > 0)):
                client._read_packet()

    def send(self, command: int, rest: bytes) -> None:
        self.client._execute_command(command, struct.pack("<I", self.id) + rest)

    def execute(self, rest: bytes) -> Any:
        self.send(COMMAND.COM_STMT_EXECUTE, b"\0\1\0\0\0" + rest)
        return self.client._read_packet()


def text_row(client: Any) -> bytes:
    """Return the only cell of the only row, after the packet with the count of columns."""
    client._read_packet()
    assert client._read_packet().is_eof_packet()
    data = client._read_packet().get_all_data()
    assert client._read_packet().is_eof_packet()
    length = data[2]
    return bytes(data[3 : 3 + length])


def test_long_data_is_joined_and_forgotten_after_use(served: Served) -> None:
    with served.connect() as client:
        statement = Prepared(client, "select length(?)::varchar as n")
        for part in (b"ab", b"", b"cde"):
            statement.send(COMMAND.COM_STMT_SEND_LONG_DATA, b"\0\0" + part)
        statement.execute(b"\0\1\xfd\0")
        assert text_row(client) == b"5"
        statement.execute(b"\0\0" + encode_sized(b"x"))  # types are those of the last time
        assert text_row(client) == b"1"
        statement.send(COMMAND.COM_STMT_SEND_LONG_DATA, b"\0\0" + b"zzz")
        statement.send(COMMAND.COM_STMT_RESET, b"")
        assert client._read_packet().is_ok_packet()
        statement.execute(b"\0\0" + encode_sized(b"xy"))
        assert text_row(client) == b"2"


def test_statements_are_closed_and_unknown_ones_refused(served: Served) -> None:
    with served.connect() as client:
        statement = Prepared(client, "select 1::varchar")
        statement.execute(b"")
        assert text_row(client) == b"1"
        statement.send(COMMAND.COM_STMT_FETCH, b"\1\0\0\0")
        with pytest.raises(pymysql.err.MySQLError) as failure:
            client._read_packet()
        assert failure.value.args[0] == 1421
        statement.send(COMMAND.COM_STMT_CLOSE, b"")
        with pytest.raises(pymysql.err.MySQLError) as failure:
            statement.execute(b"")
        assert failure.value.args[0] == 1243
        with pytest.raises(pymysql.err.MySQLError) as failure:
            Prepared(client, "nonsense")
        assert failure.value.args[0] == 1064
        with pytest.raises(pymysql.err.MySQLError) as failure:
            Prepared(client, "select 1; select 2")
        assert failure.value.args[0] == 1064
        client.ping(reconnect=False)


def test_the_number_of_statements_is_bounded(served: Served) -> None:
    with served.connect() as client:
        for _ in range(limits.MYSQL_STATEMENTS_MAX):
            Prepared(client, "select 1")
        with pytest.raises(pymysql.err.MySQLError) as failure:
            Prepared(client, "select 1")
        assert failure.value.args[0] == 1461


@pytest.mark.parametrize(
    "rest", [b"", b"\0", b"\0\1", b"\0\1\xfd", b"\0\0", b"\0\1\xfd\0\xfe", b"\0\1\7\0\3"]
)
def test_executions_that_end_too_early_are_malformed(served: Served, rest: bytes) -> None:
    client = served.connect()
    statement = Prepared(client, "select ?")
    with pytest.raises(pymysql.err.MySQLError) as failure:
        statement.execute(rest)
    assert failure.value.args[0] == 1835
    client._force_close()
