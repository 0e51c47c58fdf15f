"""One client's connection: its login, then its commands one after the other."""

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from anabranch.edge.blocking import Threads, call_local, call_thread
from anabranch.kernel import limits
from anabranch.kernel.errors import AnabranchError
from anabranch.mysql import packets, texts
from anabranch.mysql.errors import (
    LinkError,
    describe,
    internal,
    killed,
    login_too_slow,
    malformed,
    no_cursor,
    not_utf8,
    several_statements,
    stopping,
    timed_out,
    unknown_command,
)
from anabranch.mysql.handshake import Handshake, Keys, LoggedIn, Users
from anabranch.mysql.packets import Capability, Command, Reader
from anabranch.mysql.prepared import Statements as PreparedStatements
from anabranch.mysql.results import Answer, FieldList, encode_preparation, status_of
from anabranch.mysql.running import Running
from anabranch.mysql.stream import ConnectionGoneError, Stream
from anabranch.telemetry import logger
from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.results import (
    FileRequest,
    Process,
    Processes,
    Result,
    Session,
    Statements,
)

T = TypeVar("T")
_HEAD_BYTES = 9  # of COM_STMT_EXECUTE: id, flags, iteration count


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one server allows its clients."""

    connections_max: int = limits.MYSQL_CONNECTIONS_MAX
    logins_max: int = limits.MYSQL_LOGINS_MAX
    login_s: float = limits.MYSQL_LOGIN_S
    packet_bytes_max: int = limits.MYSQL_PACKET_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Service:
    """What all connections of a server share."""

    statements: Statements
    users: Users
    processes: Processes
    threads: Threads
    light_threads: Threads
    version: str
    keys: Keys
    tls: ssl.SSLContext | None
    bounds: Bounds
    statistics: Callable[[], str]


class Connection:
    """A client. `serve` runs from its greeting to its end; the rest may be called meanwhile."""

    def __init__(self, stream: Stream, connection_id: int, service: Service) -> None:
        self._stream = stream
        self._id = connection_id
        self._service = service
        self._loop = asyncio.get_running_loop()
        self._log = logger("mysql").bind(connection=connection_id)
        self._user: LoggedIn | None = None
        self._session: Session | None = None
        self._capabilities = Capability(0)
        self._prepared = PreparedStatements()
        self._running: Running | None = None
        self._ending: Running | None = None
        self._is_killed = False
        self._command = "Connect"
        self._text = ""
        self._since_s = time.monotonic()
        stream.on_lost = self._leave

    # What others may call

    @property
    def is_logged_in(self) -> bool:
        """Tell whether the client has said who it is."""
        return self._session is not None

    def describe(self) -> Process:
        """Return how SHOW PROCESSLIST shows it."""
        return Process(
            self._id,
            self._user.user if self._user else "unauthenticated user",
            self._stream.peer,
            self._session.database if self._session else None,
            self._command,
            "killed" if self._is_killed else "",
            int(time.monotonic() - self._since_s),
            self._text[: limits.MYSQL_PROCESS_TEXT_MAX],
        )

    def kill(self, *, is_query_only: bool) -> None:
        """Cancel the statement that runs, and close the connection unless only that is meant."""
        if is_query_only:
            if self._running is not None:
                self._running.interrupt(killed(), is_final=False)
            return
        self._end(killed())

    def shut_down(self) -> None:
        """Close because the server stops."""
        self._end(stopping())

    def _end(self, reason: SqlError) -> None:
        self._is_killed = True
        if self._running is None:
            self._stream.abort()
            return
        self._running.interrupt(reason, is_final=True)
        self._loop.call_later(limits.MYSQL_CANCEL_S, self._stream.abort)

    def _leave(self) -> None:
        if self._running is not None:
            self._running.interrupt(killed(), is_final=True)

    # The life of a connection

    async def serve(self) -> None:
        """Log the client in and run its commands until it leaves."""
        try:
            await self._log_in()
            while not self._is_killed:
                await self._next_command()
        except ConnectionGoneError:
            pass
        except LinkError as error:
            self._say(error)
            await self._stream.refuse()
        finally:
            self._stream.close()
            await self._settle()
            await self._close_session()

    async def _log_in(self) -> None:
        service = self._service
        handshake = Handshake(self._stream, service.users, service.keys, service.tls)
        try:
            async with asyncio.timeout(service.bounds.login_s):
                found = await handshake.greet(service.version, self._id)
                await self._open(found)
        except TimeoutError:
            raise login_too_slow() from None
        except AnabranchError as error:
            raise self._refusal(error) from error
        self._capabilities = found.capabilities
        self._ok()

    def _refusal(self, error: AnabranchError) -> LinkError:
        """Return what ends a connection that may not go on: an error of its login."""
        found = describe(error)
        self._log.info("a login failed", code=found.code, address=self._stream.peer)
        return LinkError(found.code, found.state, found.message, found.kind)

    async def _open(self, user: LoggedIn) -> None:
        self._session = await call_thread(
            self._service.statements.open, user.user, self._stream.peer, user.database, self._id
        )
        self._user = user

    async def _close_session(self) -> None:
        session, self._session = self._session, None
        self._prepared.clear()
        if session is None:
            return
        try:
            await call_thread(self._service.statements.close, session)
        except AnabranchError as error:
            self._log.warning("a session did not close", error=error.message)

    async def _settle(self) -> None:
        """Wait until no thread works on what came before."""
        if self._ending is not None:
            await self._ending.stop()
            self._ending = None

    async def _next_command(self) -> None:
        self._note("Sleep", "")
        payload = await self._stream.read_command(
            self._service.bounds.packet_bytes_max, idle_s=limits.MYSQL_IDLE_S
        )
        await self._settle()
        if not payload:
            raise malformed()
        try:
            await self._run(payload)
        except (LinkError, ConnectionGoneError):
            raise
        except AnabranchError as error:
            self._say(describe(error))
        except Exception:  # noqa: BLE001 - the boundary of the program: a defect is an answer too
            self._log.exception("a command failed", command=payload[0])
            self._say(internal())
        await self._stream.drain()

    def _note(self, command: str, text: str) -> None:
        self._command, self._text, self._since_s = command, text, time.monotonic()

    def _say(self, error: SqlError) -> None:
        self._stream.write(packets.encode_error(error.code, error.state, error.message))

    def _ok(self) -> None:
        self._stream.write(packets.encode_ok(status_of(self._now)))

    @property
    def _now(self) -> Session:
        """Return the session; commands come only after a login."""
        assert self._session is not None
        return self._session

    async def _call(self, function: Callable[[], T]) -> T:
        return await asyncio.wrap_future(self._service.threads.submit(function))

    # Commands

    async def _run(self, payload: bytes) -> None:
        match payload[0]:
            case Command.QUERY:
                await self._query(payload)
            case Command.STMT_EXECUTE:
                await self._execute(Reader(payload, 1))
            case Command.STMT_PREPARE:
                await self._prepare(_text(payload, 1))
            case Command.STMT_SEND_LONG_DATA:
                self._take_long_data(Reader(payload, 1))
            case Command.STMT_CLOSE:
                self._prepared.remove(Reader(payload, 1).integer(4))
            case Command.STMT_RESET:
                self._prepared.get(Reader(payload, 1).integer(4), "mysqld_stmt_reset").reset()
                self._ok()
            case Command.STMT_FETCH:
                statement_id = Reader(payload, 1).integer(4)
                self._prepared.get(statement_id, "mysqld_stmt_fetch")
                raise no_cursor(statement_id)
            case Command.PING:
                self._ok()
            case Command.QUIT:
                raise ConnectionGoneError
            case Command.INIT_DB:
                await self._use(_text(payload, 1))
            case Command.FIELD_LIST:
                await self._list_fields(Reader(payload, 1))
            case _:
                await self._administrate(payload)

    async def _administrate(self, payload: bytes) -> None:
        match payload[0]:
            case Command.STATISTICS:
                self._stream.write(self._service.statistics().encode())
            case Command.PROCESS_INFO:
                text = "SHOW PROCESSLIST"
                await self._respond(self._results(text), threads=self._threads_for(text))
            case Command.PROCESS_KILL:
                await self._kill(texts.Kill(Reader(payload, 1).integer(4), is_query_only=False))
            case Command.SET_OPTION:
                self._set_option(Reader(payload, 1).integer(2))
            case Command.RESET_CONNECTION:
                assert self._user is not None
                await self._close_session()
                await self._reopen(self._user)
            case Command.CHANGE_USER:
                await self._change_user(payload[1:])
            case _:
                raise unknown_command()

    async def _query(self, payload: bytes) -> None:
        text = _text(payload, 1)
        self._note("Query", text[: limits.MYSQL_PROCESS_TEXT_MAX])
        kill = texts.find_kill(text)
        if kill is not None:
            await self._kill(kill)
            return
        await self._respond(self._results(text), threads=self._threads_for(text))

    def _results(self, text: str) -> Callable[[], Iterator[Result]]:
        session, statements = self._now, self._service.statements
        is_one = not self._capabilities & Capability.MULTI_STATEMENTS

        def run() -> Iterator[Result]:
            if is_one and texts.has_second_statement(text):
                raise several_statements()
            return statements.run(session, text)

        return run

    def _threads_for(self, text: str) -> Threads:
        # Who wants to look and to kill must be able to come in while every thread computes.
        return self._service.light_threads if texts.is_light(text) else self._service.threads

    async def _kill(self, kill: texts.Kill) -> None:
        await call_local(
            self._service.processes.kill,
            kill.connection_id,
            by=self._now.user,
            is_query_only=kill.is_query_only,
        )
        self._ok()

    async def _use(self, database: str) -> None:
        self._note("Init DB", database)
        text = f"USE {texts.quote_name(database)}"
        await self._respond(self._results(text), threads=self._threads_for(text))

    async def _list_fields(self, reader: Reader) -> None:
        table = texts.quote_name(reader.until_nul().decode(errors="replace"))
        self._note("Field List", table)
        text = f"SELECT * FROM {table} LIMIT 0"  # noqa: S608 - the name is quoted
        await self._respond(self._results(text), answer=FieldList)

    def _set_option(self, option: int) -> None:
        if option > 1:
            raise unknown_command()
        if option == 0:
            self._capabilities |= Capability.MULTI_STATEMENTS
        else:
            self._capabilities &= ~Capability.MULTI_STATEMENTS
        if self._capabilities & Capability.DEPRECATE_EOF:
            self._stream.write(packets.encode_ok(status_of(self._now), is_end_of_rows=True))
        else:
            self._stream.write(packets.encode_eof(status_of(self._now)))

    async def _change_user(self, payload: bytes) -> None:
        service = self._service
        request = packets.decode_change_user(payload, self._capabilities)
        handshake = Handshake(self._stream, service.users, service.keys, service.tls)
        await self._close_session()
        try:
            async with asyncio.timeout(service.bounds.login_s):
                found = await handshake.change(request)
        except TimeoutError:
            raise login_too_slow() from None
        except AnabranchError as error:
            raise self._refusal(error) from error
        await self._reopen(found)

    async def _reopen(self, user: LoggedIn) -> None:
        try:
            await self._open(user)
        except AnabranchError as error:
            raise self._refusal(error) from error
        self._ok()

    # Prepared statements

    async def _prepare(self, text: str) -> None:
        self._note("Prepare", text[: limits.MYSQL_PROCESS_TEXT_MAX])
        session, statements = self._now, self._service.statements
        self._prepared.check_room()
        if texts.has_second_statement(text):
            raise several_statements()
        prepared = await self._call(lambda: statements.prepare(session, text))
        statement_id = self._prepared.add(text, prepared)
        for answer in encode_preparation(
            statement_id, prepared.parameter_count, prepared.fields, self._capabilities
        ):
            self._stream.write(answer)

    async def _execute(self, reader: Reader) -> None:
        statement_id = reader.integer(4)
        statement = self._prepared.get(statement_id, "mysqld_stmt_execute")
        reader.take(_HEAD_BYTES - 4)
        self._note("Execute", statement.text[: limits.MYSQL_PROCESS_TEXT_MAX])
        try:
            parameters = statement.parameters(reader)
        finally:
            statement.reset()
        session, statements, text = self._now, self._service.statements, statement.text
        await self._respond(lambda: statements.run(session, text, parameters), is_binary=True)

    def _take_long_data(self, reader: Reader) -> None:
        statement = self._prepared.find(reader.integer(4))
        parameter = reader.integer(2)
        if statement is not None:
            statement.append(parameter, reader.rest())

    # Answers

    async def _respond(
        self,
        results: Callable[[], Iterator[Result]],
        *,
        is_binary: bool = False,
        answer: type[Answer] = Answer,
        threads: Threads | None = None,
    ) -> None:
        """Send what statements return as it is computed, as fast as the client takes it."""
        session, stream = self._now, self._stream
        made = answer(
            results, session, self._capabilities, is_binary=is_binary, sequence=stream.sequence
        )
        running = self._running = Running(made, threads or self._service.threads, session.cancel)
        timer = _Timer(self._loop, session, running)
        try:
            while (piece := await running.next()) is not None:
                if isinstance(piece, FileRequest):
                    await self._take_file(running, piece)
                else:
                    stream.write_framed(piece.data, piece.sequence)
                    await stream.drain()
        finally:
            timer.cancel()
            self._running = None
            if not running.is_over:
                self._ending = running

    async def _take_file(self, running: Running, request: FileRequest) -> None:
        """Hand a file of the client's to the statement; one that it cannot take is read on."""
        stream = self._stream
        failure: SqlError | None = None
        stream.takes_quit = False
        try:
            while data := await stream.read(
                self._service.bounds.packet_bytes_max, idle_s=limits.MYSQL_BODY_S
            ):
                if failure is None:
                    failure = await self._write_part(request, data)
        finally:
            stream.takes_quit = True
        running.resume(stream.sequence, failure)

    async def _write_part(self, request: FileRequest, data: bytes) -> SqlError | None:
        try:
            await self._call(lambda: request.write(data))
        except AnabranchError as error:
            return describe(error)
        return None


class _Timer:
    """Interrupts what runs when its time is over, which the session says anew each time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, session: Session, running: Running) -> None:
        self._loop = loop
        self._session = session
        self._running = running
        self._began_s = loop.time()
        self._handle = loop.call_later(session.timeout_s, self._look)

    def _look(self) -> None:
        timeout_s = self._session.timeout_s
        end_s = self._began_s + timeout_s
        if self._loop.time() < end_s:
            self._handle = self._loop.call_at(end_s, self._look)
        else:
            self._running.interrupt(timed_out(timeout_s), is_final=False)

    def cancel(self) -> None:
        """Let it run on."""
        self._handle.cancel()


def _text(payload: bytes, at: int) -> str:
    try:
        return payload[at:].decode()
    except UnicodeDecodeError:
        raise not_utf8() from None
