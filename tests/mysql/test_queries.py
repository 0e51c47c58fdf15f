"""Statements over a real socket, with PyMySQL."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pymysql
import pytest
from pymysql.constants import CLIENT, COMMAND, FIELD_TYPE, FLAG, SERVER_STATUS

from tests.mysql.serving import Served, serving


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as found:
        yield found


def test_types_come_as_python_values(served: Served) -> None:
    with served.connect() as client, client.cursor() as cursor:
        cursor.execute(
            "select true, 1::tinyint, -2::smallint, 3, 4::bigint, (2::hugeint ** 100)::hugeint,"
            " 0.1::float, 1e300::double, 1.50::decimal(9,2), date '9999-12-31',"
            " timestamp '2020-01-02 03:04:05.123456', 'é', 'x'::blob, null, '{}'::json"
        )
        (row,) = cursor.fetchall()
        codes = [column[1] for column in cursor.description]
    assert row[:6] == (1, 1, -2, 3, 4, "1267650600228229401496703205376")
    assert row[6:10] == (0.1, 1e300, Decimal("1.50"), datetime.date(9999, 12, 31))
    assert row[10] == datetime.datetime(2020, 1, 2, 3, 4, 5, 123456)  # noqa: DTZ001 - SQL's have no zone
    assert row[11:] == ("é", b"x", None, "{}")
    assert codes[:4] == [FIELD_TYPE.TINY, FIELD_TYPE.TINY, FIELD_TYPE.SHORT, FIELD_TYPE.LONG]
    assert codes[8:11] == [FIELD_TYPE.NEWDECIMAL, FIELD_TYPE.DATE, FIELD_TYPE.DATETIME]


def test_year_zero_is_a_text_to_clients(served: Served) -> None:
    with served.connect() as client, client.cursor() as cursor:
        cursor.execute("select date '0001-01-01' - interval 366 day + interval 0 day as d")
        assert str(cursor.fetchone()[0]).startswith("0000-01-01")


def test_no_rows_and_no_columns(served: Served) -> None:
    with served.connect() as client, client.cursor() as cursor:
        assert cursor.execute("select 1 as a where false") == 0
        assert [column[0] for column in cursor.description] == ["a"]
        assert cursor.execute("insert 3") == 3
        assert cursor.lastrowid == 7
        assert cursor._result.message == b"\x0d{'label':'l'}"
        assert cursor._result.warning_count == 2


def test_errors_leave_the_session_usable(served: Served) -> None:
    with served.connect() as client, client.cursor() as cursor:
        with pytest.raises(pymysql.err.MySQLError) as failure:
            cursor.execute("select nonsense from nowhere")
        assert failure.value.args[0] == 1105
        assert failure.value.args[1].startswith("errCode = 2, detailMessage = ")
        with pytest.raises(pymysql.err.MySQLError, match="internal error"):
            cursor.execute("defect")
        cursor.execute("select 5")
        assert cursor.fetchall() == ((5,),)


def test_databases(served: Served) -> None:
    with served.connect(database="test") as client:
        client.select_db("other db`s")
        with pytest.raises(pymysql.err.OperationalError) as failure:
            client.select_db("absent")
        assert failure.value.args == (1049, "Unknown database 'absent'")
        client.ping()
    with pytest.raises(pymysql.err.OperationalError) as failure:
        served.connect(database="absent")
    assert failure.value.args[0] == 1049


def test_autocommit_and_transactions_are_told(served: Served) -> None:
    with served.connect(autocommit=None) as client, client.cursor() as cursor:
        assert client.get_autocommit()
        cursor.execute("SET AUTOCOMMIT = 0")
        assert not client.get_autocommit()
        cursor.execute("begin")
        assert client.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS
        cursor.execute("commit")
        assert not client.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS
    with served.connect() as client:  # PyMySQL sends SET AUTOCOMMIT = 0 by itself
        assert not client.get_autocommit()


def test_several_statements_when_they_were_announced(served: Served) -> None:
    options = {"client_flag": CLIENT.MULTI_STATEMENTS}
    with served.connect(**options) as client, client.cursor() as cursor:
        cursor.execute("select 1; insert 4; select 2 where false; select 3;")
        found = [cursor.fetchall()]
        counts = [cursor.rowcount]
        while cursor.nextset():
            found.append(cursor.fetchall())
            counts.append(cursor.rowcount)
        assert list(map(tuple, found)) == [((1,),), (), (), ((3,),)]
        assert counts[1] == 4


def test_an_error_in_the_middle_comes_after_what_succeeded(served: Served) -> None:
    options = {"client_flag": CLIENT.MULTI_STATEMENTS}
    with served.connect(**options) as client, client.cursor() as cursor:
        cursor.execute("select 1; select nonsense; select 3")
        assert cursor.fetchall() == ((1,),)
        with pytest.raises(pymysql.err.MySQLError):
            cursor.nextset()
        cursor.execute("select 4")
        assert cursor.fetchall() == ((4,),)


def test_a_second_statement_that_was_not_announced_runs_neither(served: Served) -> None:
    with served.connect() as client, client.cursor() as cursor:
        with pytest.raises(pymysql.err.ProgrammingError) as failure:
            cursor.execute("insert 1; insert 2")
        assert failure.value.args[0] == 1064
        cursor.execute("select 1 ; ;")
        client._execute_command(COMMAND.COM_SET_OPTION, b"\0\0")
        assert client._read_packet().is_eof_packet()
        cursor.execute("select 1; select 2")
        assert cursor.fetchall() == ((1,),)
        assert cursor.nextset()


def test_field_list_and_flags(served: Served) -> None:
    with served.connect() as client:
        client._execute_command(COMMAND.COM_FIELD_LIST, b"people\0%")
        names = []
        for packet in iter(client._read_packet, None):
            if packet.is_eof_packet():
                break
            fields = [packet.read_length_coded_string() for _ in range(6)]
            packet.advance(9)
            flags = packet.read_uint16()
            names.append((fields[4], bool(flags & FLAG.NOT_NULL)))
        assert [name for name, _ in names] == [b"id", b"name"]


def test_statistics_and_unknown_commands(served: Served) -> None:
    with served.connect() as client:
        client._execute_command(COMMAND.COM_STATISTICS, b"")
        assert client._read_packet().get_all_data().startswith(b"Uptime: ")
        client._execute_command(COMMAND.COM_DEBUG, b"")
        with pytest.raises(pymysql.err.MySQLError) as failure:
            client._read_packet()
        assert failure.value.args[0] == 1047
        client.ping(reconnect=False)


def test_statements_are_utf8(served: Served) -> None:
    with served.connect() as client, client.cursor() as cursor:
        client._execute_command(COMMAND.COM_QUERY, b"select '\xff'")
        with pytest.raises(pymysql.err.MySQLError) as failure:
            client._read_packet()
        assert failure.value.args[0] == 1300
        cursor.execute("select '🌊'")
        assert cursor.fetchall() == (("🌊",),)


def test_a_statement_and_a_row_of_several_packets(served: Served) -> None:
    with served.connect(max_allowed_packet=64 << 20) as client, client.cursor() as cursor:
        for length in (0xFF_FFFF - 6, 0xFF_FFFF - 4, (1 << 24) + 7, 40 << 20):
            cursor.execute("echo " + "y" * length)
            ((found,),) = cursor.fetchall()
            assert len(found) == length


def test_reset_connection_opens_a_new_session(served: Served) -> None:
    with served.connect() as client:
        before = served.engine.sessions[-1]
        client._execute_command(0x1F, b"")
        assert client._read_packet().is_ok_packet()
        assert before.is_closed
        assert served.engine.sessions[-1] is not before


def test_a_file_of_the_clients_is_loaded(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(b"row\n" * 500_000)
    text = f"load data local infile '{file}' into table x"
    with served.connect(local_infile=True) as client, client.cursor() as cursor:
        assert cursor.execute(text) == 500_000
        assert served.engine.files[str(file)] == file.read_bytes()
        file.write_bytes(b"a forbidden row\n" * 100_000)
        with pytest.raises(pymysql.err.MySQLError, match="a forbidden word"):
            cursor.execute(text)
        cursor.execute("select 6")
        assert cursor.fetchall() == ((6,),)
    with served.connect() as client, client.cursor() as cursor:
        with pytest.raises(pymysql.err.MySQLError) as failure:
            cursor.execute(text)
        assert failure.value.args[0] == 3948
        cursor.execute("select 7")
