"""The benchmarks' load generator: a fast wrong server scores nothing."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bench.generating import Load, Pool, Step, drive
from bench.samples import WrongAnswer

SIZE = 100
GET = b"GET /%d HTTP/1.1\r\nhost: here\r\n\r\n"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # compiles the generator at first use


class Handler(BaseHTTPRequestHandler):
    """Answers /N by the pool's body N; from 100 on by another, from 200 on by a refusal."""

    protocol_version = "HTTP/1.1"
    pool = Pool(4_096)

    def do_GET(self) -> None:
        number = int(self.path[1:])
        body = self.pool.get(self.pool.span(number % 100, SIZE))
        self.send_response(503 if number >= 200 else 200)
        self.send_header("content-length", str(SIZE))
        self.end_headers()
        self.wfile.write(body if number < 100 else b"x" * SIZE)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def steps_of(*numbers: int) -> list[Step]:
    pool = Handler.pool
    return [Step(GET % number, expected=pool.span(number % 100, SIZE)) for number in numbers]


def test_a_plan_is_sent_once_and_every_answer_counted() -> None:
    with serving() as address:
        outcome = drive(address, steps_of(*range(40)), Handler.pool, Load(4), "gets")
    assert (outcome.answered, outcome.issued, outcome.measured) == (40, 40, 40)
    assert outcome.body_bytes == 40 * SIZE
    assert sum(count for _, count in outcome.latencies) == 40
    assert 0 < outcome.quantile_us(0.5) <= outcome.quantile_us(0.99)


def test_a_plan_is_sent_again_until_the_time_is_over() -> None:
    load = Load(2, measured_s=0.3, warm_up_s=0.1, interval_s=0.01, is_cycle=True)
    with serving() as address:
        outcome = drive(address, steps_of(1, 2, 3), Handler.pool, load, "gets")
    assert outcome.issued == outcome.answered >= outcome.measured
    assert outcome.raw["elapsed_us"] >= 400_000
    assert not outcome.is_exhausted


def test_a_wrong_body_ends_the_run() -> None:
    with serving() as address, pytest.raises(WrongAnswer, match="1 of 3 bodies differ"):
        drive(address, steps_of(1, 2, 103), Handler.pool, Load(1), "gets")


def test_a_refusal_ends_the_run() -> None:
    with serving() as address, pytest.raises(WrongAnswer, match="503"):
        drive(address, steps_of(1, 203), Handler.pool, Load(1), "gets")


def test_no_server_ends_the_run() -> None:
    with serving() as address:
        pass
    with pytest.raises(WrongAnswer, match="refused"):
        drive(address, steps_of(1), Handler.pool, Load(1), "gets")
