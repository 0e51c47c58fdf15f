"""One-row INSERTs from one connection and from sixteen, while the table grows."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from bench.samples import Row, Sample, load_average
from bench.servers import Server, expect, open_server

CONNECTIONS = 16
WANTED_ALONE, WANTED_TOGETHER = 150.0, 500.0
_TABLE = (
    "CREATE TABLE one_row (k BIGINT, city VARCHAR(40), amount BIGINT SUM DEFAULT '0') "
    "AGGREGATE KEY(k, city) DISTRIBUTED BY HASH(k) BUCKETS 1"
)
_INSERT = "INSERT INTO one_row VALUES ({key}, 'city-{city}', {key})"
_FILLED_AT_ONCE = 500  # statements of one transaction


def measure(folder: Path, *, rowsets: int, count: int, rounds: int) -> list[Row]:
    """Measure at an empty table and at one of `rowsets` rowsets, `count` statements each time."""
    with open_server(folder / "inserts") as server:
        server.run(_TABLE)
        used = 0
        found: list[Row] = []
        insert(server, used, count // 4, CONNECTIONS)  # what is loaded at first use
        used += count // 4
        for length in (0, rowsets):
            if used < length:
                fill(server, used, length - used)
                used = length
            for connections, wanted in ((1, WANTED_ALONE), (CONNECTIONS, WANTED_TOGETHER)):
                samples: list[Sample] = []
                began = used
                for _ in range(rounds):
                    samples.append(insert(server, used, count, connections))
                    used += count
                best = min(samples, key=lambda each: each.clock_s)
                found.append(
                    Row(
                        "insert",
                        f"{connections} connections, from {began:,} rowsets",
                        "1/s",
                        count / best.clock_s,
                        wanted,
                        at_least=True,
                        load=best.load,
                        samples={"anabranch": samples},
                        notes={"processor_ms_each": 1e3 * best.processor_s / count},
                    )
                )
        answer = server.run("SELECT count(*), sum(amount), count(DISTINCT k) FROM one_row")
        expect(
            tuple(int(each) for each in answer[0]),
            (used, sum(range(used)), used),
            "the inserted rows",
        )
    return found


def fill(server: Server, first: int, count: int) -> None:
    """Add `count` rowsets of one row: each statement of a transaction has one of its own."""
    connection = server.connect()
    with connection.cursor() as cursor:
        for start in range(first, first + count, _FILLED_AT_ONCE):
            cursor.execute("BEGIN")
            for key in range(start, min(start + _FILLED_AT_ONCE, first + count)):
                cursor.execute(_INSERT.format(key=key, city=key % 97))
            cursor.execute("COMMIT")
    connection.close()


def insert(server: Server, first: int, count: int, connections: int) -> Sample:
    """Insert `count` rows, each by a statement of its own; return what that cost."""
    opened = [server.connect() for _ in range(connections)]
    failures: list[BaseException] = []
    gate = threading.Barrier(connections + 1)

    def work(number: int) -> None:
        cursor = opened[number].cursor()
        gate.wait()
        try:
            for key in range(first + number, first + count, connections):
                cursor.execute(_INSERT.format(key=key, city=key % 97))
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    load, used = load_average(), server.processor_s()
    gate.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    clock_s = time.perf_counter() - started
    sample = Sample(clock_s, server.processor_s() - used, load)
    for connection in opened:
        connection.close()
    if failures:
        raise failures[0]
    return sample
