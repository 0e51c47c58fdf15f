"""The server: accepts connections within its bounds, and knows those that are open."""

import asyncio
import itertools
import socket
import ssl

from anabranch.edge.blocking import Threads
from anabranch.kernel import limits
from anabranch.mysql import packets
from anabranch.mysql.connection import Bounds, Connection, Service
from anabranch.mysql.errors import not_owner, too_many_connections
from anabranch.mysql.handshake import Keys, Users
from anabranch.mysql.stream import Stream
from anabranch.warehouse.errors import unknown_thread
from anabranch.warehouse.results import Process, Statements

VERSION = "5.7.99"
"""What Doris says, so that clients choose the statements that Doris knows."""
_STOP_S = 5.0
_ID_MAX = 0xFFFF_FFFF


class MysqlServer:
    """Serves the MySQL protocol on one listening socket, from `start` to `stop`."""

    def __init__(
        self,
        statements: Statements,
        users: Users,
        *,
        tls: ssl.SSLContext | None = None,
        bounds: Bounds | None = None,
        threads_max: int = limits.MYSQL_THREADS_MAX,
    ) -> None:
        self._threads = Threads(threads_max, limits.MYSQL_CONNECTIONS_MAX)
        self._light_threads = Threads(limits.MYSQL_LIGHT_THREADS_MAX, limits.MYSQL_CONNECTIONS_MAX)
        self._bounds = bounds or Bounds()
        self._service = Service(
            statements,
            users,
            self,
            self._threads,
            self._light_threads,
            VERSION,
            Keys(),
            tls,
            self._bounds,
            self._statistics,
        )
        self._connections: dict[int, Connection] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ids = itertools.count(1)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: asyncio.Server | None = None
        self._started_s = 0.0
        self._accepted = 0

    async def start(self, listener: socket.socket) -> None:
        """Accept clients on a listening socket, in the running loop."""
        self._loop = asyncio.get_running_loop()
        self._started_s = self._loop.time()
        self._server = await self._loop.create_server(lambda: Stream(self._accept), sock=listener)

    async def stop(self) -> None:
        """Accept nothing more, cancel what runs and close every connection."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections.values()):
            connection.shut_down()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_STOP_S)
        for task in self._tasks:
            task.cancel()
        self._threads.close()
        self._light_threads.close()

    def _accept(self, stream: Stream) -> None:
        logins = sum(not connection.is_logged_in for connection in self._connections.values())
        is_full = len(self._connections) >= self._bounds.connections_max
        if is_full or logins >= self._bounds.logins_max:
            error = too_many_connections()
            stream.write(packets.encode_error(error.code, error.state, error.message))
            stream.close()
            return
        self._accepted += 1
        connection_id = next(self._ids) & _ID_MAX
        connection = Connection(stream, connection_id, self._service)
        self._connections[connection_id] = connection
        task = asyncio.get_running_loop().create_task(self._serve(connection_id, connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection_id: int, connection: Connection) -> None:
        try:
            await connection.serve()
        finally:
            del self._connections[connection_id]

    def _statistics(self) -> str:
        assert self._loop is not None
        uptime_s = int(self._loop.time() - self._started_s)
        return (
            f"Uptime: {uptime_s}  Threads: {len(self._connections)}  "
            f"Connections: {self._accepted}  Running: {self._threads.open_calls}"
        )

    # What statements may ask, from any thread

    def list_processes(self) -> list[Process]:
        """Return the connections by id."""
        found = [connection.describe() for connection in list(self._connections.values())]
        return sorted(found, key=lambda process: process.connection_id)

    def kill(self, connection_id: int, *, by: str, is_query_only: bool) -> None:
        """Cancel what a connection runs; see Processes."""
        connection = self._connections.get(connection_id)
        if connection is None:
            raise unknown_thread(connection_id)
        if connection.describe().user != by and not self._service.users.may_administer(by):
            raise not_owner(connection_id)
        assert self._loop is not None
        self._loop.call_soon_threadsafe(lambda: connection.kill(is_query_only=is_query_only))
