"""Real servers for benchmarks: SQL by MySQL's protocol, stream loads, REST, processor time."""

from __future__ import annotations

import base64
import http.client
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pymysql

from anabranch.client.transport import Server as Peer
from anabranch.client.transport import Transport
from bench.samples import Sample, WrongAnswer, load_average
from tests.support.server import RunningServer, start_server

_TICKS = os.sysconf("SC_CLK_TCK")
_CHUNK_BYTES = 1 << 20
_TIMEOUT_S = 3_600


@dataclass(frozen=True, slots=True)
class Server:
    """A running server; one that `open_server` started has a database, `bench`."""

    running: RunningServer

    @property
    def address(self) -> str:
        """Return host and port of REST and S3."""
        return urlsplit(self.running.api_url).netloc

    @contextmanager
    def rest(self) -> Iterator[Transport]:
        """Open a connection to the REST API."""
        host, _, port = self.address.rpartition(":")
        keys = (self.running.access_key, self.running.secret_key)
        transport = Transport(Peer("http", host, int(port), *keys, source="the benchmark"))
        try:
            yield transport
        finally:
            transport.close()

    def connect(self) -> Any:
        """Return a connection of PyMySQL."""
        return pymysql.connect(
            host="127.0.0.1", port=self.running.sql_port, user="root", database="bench",
            autocommit=True, read_timeout=_TIMEOUT_S,
        )  # fmt: skip

    def run(self, *texts: str) -> Any:
        """Run statements on a connection of their own; return the rows of the last."""
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                for text in texts:
                    cursor.execute(text)
                return cursor.fetchall()
        finally:
            connection.close()

    def load(self, table: str, file: Path, headers: Mapping[str, str]) -> dict[str, Any]:
        """Send a file as a stream load; return the answer, which is a success."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.running.doris_port, timeout=_TIMEOUT_S
        )
        token = base64.b64encode(b"root:").decode()
        connection.putrequest("PUT", f"/api/bench/{table}/_stream_load")
        sent = {"Authorization": f"Basic {token}", "Content-Length": str(file.stat().st_size)}
        for name, value in {**sent, **headers}.items():
            connection.putheader(name, value)
        connection.endheaders()
        with file.open("rb") as data:
            while chunk := data.read(_CHUNK_BYTES):
                connection.send(chunk)
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        connection.close()
        if answer["Status"] != "Success":
            raise WrongAnswer(f"a stream load of {table}: {answer}")
        return answer

    def processor_s(self) -> float:
        """Return the processor seconds that all processes of the server have used."""
        total = 0
        for pid in self.running.processes():
            text = Path(f"/proc/{pid}/stat").read_text()
            fields = text[text.rindex(")") + 2 :].split()
            total += int(fields[11]) + int(fields[12])
        return total / _TICKS

    def timed(self, work: Callable[[], Any]) -> tuple[Sample, Any]:
        """Run something that the server does; return its cost and what it gave."""
        load, used, started = load_average(), self.processor_s(), time.perf_counter()
        found = work()
        clock = time.perf_counter() - started
        return Sample(clock, self.processor_s() - used, load), found


@contextmanager
def open_server(folder: Path, *options: str) -> Iterator[Server]:
    """Run a server on an empty folder."""
    with start_server(folder, *options, has_sql=True, timeout_s=120) as running:
        server = Server(running)
        connection = pymysql.connect(host="127.0.0.1", port=running.sql_port, user="root")
        with connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE bench")
        connection.close()
        yield server


@contextmanager
def open_lake(folder: Path, *options: str, has_sql: bool = True) -> Iterator[Server]:
    """Run a server on a folder as `anabranch serve` does by default, with the quickstart keys."""
    with start_server(folder, *options, has_sql=has_sql, timeout_s=120) as running:
        yield Server(running)


def expect(found: object, wanted: object, what: str) -> None:
    """Raise WrongAnswer unless both are equal."""
    if found != wanted:
        raise WrongAnswer(f"{what}: {found!r}, not {wanted!r}")
