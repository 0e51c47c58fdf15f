"""Streams, back-pressure, and everything that ends a statement early."""

from __future__ import annotations

import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pymysql
import pytest
from pymysql.constants import COMMAND

from anabranch.mysql.connection import Bounds
from tests.mysql.serving import SECRET, Served, serving
from tests.mysql.test_logins import Raw, error_of, login

SLOW = "select count(*) from range(100000) a, range(10000000) b where (a.range * b.range) % 7 = 3"
PLANS = (
    SLOW,
    "select sum(a.range * b.range % 11) from range(100000) a, range(9999999) b",
    "select max(a.range + b.range) from range(100000) a join range(9999999) b on a.range > b.range",
    "select a.range % 3, count(*) from range(99999) a, range(9999999) b group by 1",
    "select * from range(100000000) a order by hash(a.range) desc limit 3",
    "with recursive r(n) as (select 1 union all select n + 1 from r) select count(*) from r",
)


@pytest.fixture
def served() -> Iterator[Served]:
    with serving() as found:
        yield found


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> float:
    """Return how long it took until a condition held."""
    started = time.monotonic()
    waiter = threading.Event()
    while not condition():
        assert time.monotonic() - started < seconds, "it never held"
        waiter.wait(0.005)
    return time.monotonic() - started


def start(client: Any, text: str) -> None:
    """Send a statement and do not wait for its answer."""
    client._execute_command(COMMAND.COM_QUERY, text)


def code_of(client: Any) -> int:
    """Return the error that a started statement is answered with."""
    with pytest.raises(pymysql.err.MySQLError) as failure:
        client._read_query_result()
    return int(failure.value.args[0])


def is_running(served: Served) -> bool:
    """Tell whether anything runs but what PyMySQL says by itself."""
    found = served.server.list_processes()
    return any(one.command == "Query" and not one.text.startswith("SET") for one in found)


def is_idle(served: Served) -> bool:
    return served.server._threads.open_calls == 0


def test_the_first_row_comes_before_the_last_is_computed(served: Served) -> None:
    with served.connect() as client:
        cursor = client.cursor(pymysql.cursors.SSCursor)
        cursor.execute("rows gated")
        assert cursor.fetchone() == (1,)
        served.engine.gate.set()
        assert cursor.fetchall() == [(2,)]
        cursor.close()


def test_a_client_that_reads_slowly_holds_neither_memory_nor_threads(served: Served) -> None:
    with served.connect() as client:
        start(client, "select range, repeat('x', 100) from range(20000000)")
        wait_until(lambda: is_idle(served))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        client._result = None
        taken = 0
        while taken < 64 << 20:
            taken += len(client._rfile.read(1 << 20))
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 64 << 10, "KiB, for 64 MiB of rows"
        client._force_close()
    wait_until(lambda: served.engine.closed_rows == 1)
    wait_until(lambda: is_idle(served))


def test_more_statements_than_threads_wait_for_their_turn() -> None:
    with serving(threads_max=1) as served, served.connect() as first, served.connect() as second:
        start(first, SLOW)
        wait_until(lambda: is_running(served))
        start(second, "select 1")
        with served.connect() as third, third.cursor() as cursor:
            cursor.execute(f"kill query {first.thread_id()}")
        assert code_of(first) == 1317
        second._read_query_result()
        assert second._result.rows == ((1,),)


@pytest.mark.parametrize("plan", PLANS)
def test_kill_query_answers_within_a_second(served: Served, plan: str) -> None:
    with served.connect() as client, served.connect() as other:
        start(client, plan)
        wait_until(lambda: is_running(served))
        started = time.monotonic()
        with other.cursor() as cursor:
            cursor.execute(f"KILL QUERY {client.thread_id()}")
        assert code_of(client) == 1317
        assert time.monotonic() - started < 2  # a second, and one for a busy machine
        with client.cursor() as cursor:
            cursor.execute("select 1")
            assert cursor.fetchall() == ((1,),)


def test_a_statement_that_cannot_be_interrupted_is_answered_for(served: Served) -> None:
    with served.connect() as client, served.connect() as other:
        start(client, "deaf")
        wait_until(lambda: is_running(served))
        with other.cursor() as cursor:
            cursor.execute(f"kill query {client.thread_id()}")
        assert code_of(client) == 1317
        assert not is_idle(served)
        start(client, "select 8")  # waits for the thread of what went before
        served.engine.gate.set()
        client._read_query_result()
        assert client._result.rows == ((8,),)


def test_a_timeout_cancels(served: Served) -> None:
    with served.connect() as client, client.cursor() as cursor:
        cursor.execute("set query_timeout = 0.2")
        started = time.monotonic()
        with pytest.raises(pymysql.err.MySQLError) as failure:
            cursor.execute(SLOW)
        assert failure.value.args[0] == 3024
        assert time.monotonic() - started < 2.2
        cursor.execute("select 1")


def test_a_statement_that_is_given_more_time_has_it(served: Served) -> None:
    with served.connect() as client, client.cursor() as cursor:
        cursor.execute("select 1")
        served.engine.sessions[0].timeouts_s = [0.05, 0.3, 0.1]
        started = time.monotonic()
        with pytest.raises(pymysql.err.MySQLError, match=r"of 0\.1 s"):
            cursor.execute(SLOW)
        assert 0.29 < time.monotonic() - started < 2.3


@pytest.mark.parametrize("has_quit", [True, False])
def test_a_client_that_goes_cancels_its_statement(served: Served, has_quit: bool) -> None:
    client = served.connect()
    start(client, SLOW)
    wait_until(lambda: is_running(served))
    session = served.engine.sessions[0]
    if has_quit:
        client._next_seq_id = 0
        client.write_packet(b"\x01")
        wait_until(lambda: session.is_closed, 3)
    client._force_close()
    assert wait_until(lambda: session.is_closed, 10) < 2
    assert is_idle(served)


def test_a_client_that_goes_half_way_through_its_rows(served: Served) -> None:
    client = served.connect()
    cursor = client.cursor(pymysql.cursors.SSCursor)
    cursor.execute("rows gated")
    cursor.fetchone()
    client._force_close()
    session = served.engine.sessions[0]
    assert wait_until(lambda: session.is_closed) < 2
    assert served.engine.closed_rows == 1
    cursor._result.unbuffered_active = False


def test_kill_closes_a_connection_that_runs_and_one_that_waits(served: Served) -> None:
    with served.connect() as other, other.cursor() as cursor:
        running, idle = served.connect(), served.connect()
        start(running, SLOW)
        wait_until(lambda: is_running(served))
        cursor.execute(f"kill {running.thread_id()}")
        cursor.execute(f"kill connection {idle.thread_id()}")
        assert code_of(running) == 1317
        with pytest.raises(pymysql.err.OperationalError):
            idle.ping(reconnect=False)
        with pytest.raises(pymysql.err.OperationalError):
            running.ping(reconnect=False)
        wait_until(lambda: len(served.server.list_processes()) == 1)
        with pytest.raises(pymysql.err.MySQLError) as failure:
            cursor.execute("kill 4294967295")
        assert failure.value.args == (1094, "Unknown thread id: 4294967295")


def test_only_the_owner_and_root_may_kill(served: Served) -> None:
    options = {"user": "ada", "password": SECRET.encode()}
    with served.connect(**options) as ada, served.connect() as root, ada.cursor() as cursor:
        with pytest.raises(pymysql.err.MySQLError) as failure:
            cursor.execute(f"kill {root.thread_id()}")
        assert failure.value.args[0] == 1095
        root._execute_command(COMMAND.COM_PROCESS_KILL, ada.thread_id().to_bytes(4, "little"))
        assert root._read_packet().is_ok_packet()
        with pytest.raises(pymysql.err.OperationalError):
            cursor.execute("select 1")


def test_the_processes_are_listed(served: Served) -> None:
    with served.connect(database="test") as client, client.cursor() as cursor:
        cursor.execute("show processlist")
        assert cursor.fetchall() == ((client.thread_id(),),)
        (process,) = served.server.list_processes()
        assert (process.user, process.address, process.database) == ("root", "127.0.0.1", "test")
        wait_until(lambda: served.server.list_processes()[0].command == "Sleep")


def test_packets_past_the_limit_are_refused_with_their_error() -> None:
    bounds = Bounds(packet_bytes_max=1 << 20)
    with (
        serving(bounds=bounds) as served,
        served.connect() as client,
        client.cursor() as cursor,
    ):
        cursor.execute("echo " + "x" * ((1 << 20) - 6))
        assert len(cursor.fetchone()[0]) == (1 << 20) - 6
        with pytest.raises(pymysql.err.MySQLError) as failure:
            cursor.execute("echo " + "x" * (1 << 20))
        assert failure.value.args[0] == 1153
        with pytest.raises(pymysql.err.MySQLError):
            client.ping(reconnect=False)


@pytest.mark.parametrize(
    ("sent", "code"),
    [(b"\x01\0\0\x05\x0e", 1156), (b"\0\0\0\0", 1835), (b"\x03\0\0\0\x17\0\0", 1835)],
)
def test_bad_packets_after_a_login_close_the_connection(
    served: Served, sent: bytes, code: int
) -> None:
    with Raw(served) as raw:
        raw.read()
        raw.send(login("root", b"", "mysql_native_password"), 1)
        raw.read()
        raw.socket.sendall(sent)
        assert error_of(raw.read()) == code
        assert raw.read() is None
    wait_until(lambda: not served.server.list_processes())


def test_a_packet_that_ends_half_way(served: Served) -> None:
    with Raw(served) as raw:
        raw.read()
        raw.send(login("root", b"", "mysql_native_password"), 1)
        raw.read()
        raw.socket.sendall(b"\x10\0\0\0\x03insert")
        raw.socket.shutdown(socket.SHUT_WR)
        assert raw.read() is None
    wait_until(lambda: served.engine.sessions[0].is_closed)


def test_stopping_tells_those_who_run(served: Served) -> None:
    client = served.connect()
    with serving() as other:
        running = other.connect()
        start(running, SLOW)
        wait_until(lambda: is_running(other))
    assert code_of(running) == 1053
    client.close()
