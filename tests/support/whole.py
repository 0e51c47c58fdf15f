"""A whole warehouse of tests in this process: as the SQL process joins it, with Doris's HTTP."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anabranch.directory import Directory
from anabranch.doris.app import Doris
from anabranch.doris.metadata import Endpoints
from anabranch.edge.granian_server import GranianServer
from anabranch.edge.listening import Port
from anabranch.edge.middleware import Edge
from anabranch.settings import Settings
from anabranch.stores import Stores, open_stores
from anabranch.telemetry import Metrics
from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.results import Done, Rows
from anabranch.warehouse.session import SqlSession
from anabranch.warehousing import Warehousing, build_warehouse

DATABASE = "db"


@dataclass
class Whole:
    """A warehouse with a database `db`, a session of root's in it, and the port of Doris's HTTP."""

    warehousing: Warehousing
    stores: Stores
    session: SqlSession
    port: int
    _tables: list[str] = field(default_factory=list)

    def run(self, text: str) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows."""
        found: list[tuple[Any, ...]] = []
        for result in self.warehousing.statements.run(self.session, text):
            if isinstance(result, Rows):
                for batch in result.batches:
                    columns = [column.to_pylist() for column in batch.columns]
                    found += zip(*columns, strict=True)
                result.close()
            else:
                assert isinstance(result, Done)
        return found

    def refused(self, text: str) -> SqlError:
        """Run a statement that must fail, and return why."""
        try:
            self.run(text)
        except SqlError as error:
            return error
        raise AssertionError(f"not refused: {text}")

    def create(self, ddl: str) -> str:
        """Make a table of its own for a test, `{}` being its name; return the name."""
        name = f"t{len(self._tables)}"
        self._tables.append(name)
        self.run(ddl.format(name))
        return name

    def ask(
        self, method: str, path: str, body: Any = None, user: str = "root:", **headers: str
    ) -> tuple[int, Any]:
        """Return the status and the JSON or text that a path answers, below `/api/db` without /."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            sent = headers | {"Authorization": "Basic " + b64encode(user.encode()).decode()}
            place = path if path.startswith("/") else f"/api/{DATABASE}/{path}"
            connection.request(method, place, body, sent)
            response = connection.getresponse()
            data = response.read()
            return response.status, json.loads(data) if data[:1] in b"{[" else data.decode()
        finally:
            connection.close()

    def load(self, table: str, body: Any, **headers: str) -> dict[str, Any]:
        """Send a stream load; return its answer, which comes with a 200."""
        status, answer = self.ask("PUT", f"{table}/_stream_load", body, **headers)
        assert status == 200, answer
        assert isinstance(answer, dict)
        return answer

    def error_log(self, url: str) -> str:
        """Return the bad rows that an answer names."""
        found = self.warehousing.loads.find_error_log(url.partition("file=")[2])
        assert found is not None
        return found.decode()


@contextmanager
def open_whole(directory: Path, import_from: Sequence[Path] = ()) -> Iterator[Whole]:
    """Build it in an empty directory; the broker `hdfs` maps `hdfs://far/` to the first root."""
    roots = tuple(f"local://{root}" for root in import_from)
    port = _free_port()
    settings = Settings(
        data=directory,
        import_from=roots,
        broker=tuple(f"hdfs=hdfs://far={root}" for root in roots[:1]),
        doris_port=port,
        sql_memory="1GiB",
        sql_threads=2,
    )
    Directory(directory).prepare()
    stores = open_stores(settings)
    warehousing = build_warehouse(settings, stores)
    warehousing.start()
    users = stores.access.sql_users
    app = Doris(
        warehousing.loads, warehousing.tables, users.authenticate, Endpoints(0, port, "test")
    )
    edge = Edge(app, failure=app.failure, metrics=Metrics(), id_prefix="T", has_access_log=False)
    try:
        session = warehousing.statements.open("root", "127.0.0.1:1", None, 1)
        whole = Whole(warehousing, stores, session, port)
        whole.run(f"CREATE DATABASE {DATABASE}")
        whole.run(f"USE {DATABASE}")
        with _serving(GranianServer([Port(edge, "127.0.0.1", port)])):
            yield whole
        warehousing.statements.close(session)
    finally:
        app.close()
        warehousing.close()
        stores.close()


@contextmanager
def _serving(server: GranianServer) -> Iterator[None]:
    started = threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        await server.serve(started.set)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert started.wait(10)
        yield
    finally:
        loops[0].call_soon_threadsafe(server.stop)
        thread.join(10)
        assert not thread.is_alive()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
