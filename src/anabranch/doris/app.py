"""The Doris HTTP surface: paths to endpoints, and who may use them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import unquote_to_bytes

from anabranch.doris.answers import failure, unauthorized
from anabranch.doris.callers import Authenticate, Caller, database_text, identify
from anabranch.doris.loads import StreamLoads
from anabranch.doris.metadata import Endpoints, Metadata, TableFacts
from anabranch.doris.stream_load import StreamLoading
from anabranch.doris.transactions import Transactions
from anabranch.edge.blocking import Threads, call_local
from anabranch.edge.http import Request, Response
from anabranch.kernel import limits
from anabranch.kernel.errors import Unauthenticated

SURFACE = "doris"
_NOT_OFFERED = frozenset(("_query_plan", "_load", "_multi_start", "_multi_commit", "_multi_abort"))
_Endpoint = Callable[[Request, Caller, list[str]], Awaitable[Response]]


class Doris:
    """The handler of Doris's port."""

    def __init__(
        self,
        loads: StreamLoads,
        tables: TableFacts,
        authenticate: Authenticate,
        endpoints: Endpoints,
    ) -> None:
        self._threads = Threads(limits.STREAM_LOADS_MAX, limits.STREAM_LOADS_WAITING_MAX)
        self._loading = StreamLoading(loads, self._threads)
        self._transactions = Transactions(loads)
        self._metadata = Metadata(tables, endpoints)
        self._authenticate = authenticate

    async def __call__(self, request: Request) -> Response:
        """Answer a request."""
        request.surface = SURFACE
        parts = _split(request.raw_path)
        if parts is None:
            return self.failure(request, 404, "not found")
        if request.method in ("GET", "HEAD") and parts in (["api", "health"], ["_health"]):
            return self._metadata.health()
        if request.method in ("GET", "HEAD") and parts == ["api", "bootstrap"]:
            return self._metadata.bootstrap()
        if request.method == "GET" and parts == ["api", "_load_error_log"]:
            return await self._transactions.error_log(request)
        endpoint = self._find(request.method, parts)
        if endpoint is None:
            return self.failure(request, 404, "not found")
        try:
            caller = await call_local(identify, request, self._authenticate)
        except Unauthenticated as error:
            return unauthorized(error.message)
        return await endpoint(request, caller, parts)

    def _find(self, method: str, parts: list[str]) -> _Endpoint | None:
        """Return what answers a path, None when nothing does."""
        if parts[0] == "rest":
            return self._server if method == "GET" else None
        if parts[0] != "api":
            return None
        match method, parts[1:]:
            case "PUT", [_, _, "_stream_load"]:
                return self._load
            case "PUT", [_, "_stream_load_2pc"] | [_, _, "_stream_load_2pc"]:
                return self._end
            case "GET", [_, "get_load_state"] | [_, _, "get_load_state"]:
                return self._state
            case "POST", [_, "_cancel"] | [_, _, "_cancel"]:
                return self._cancel
            case "GET", ["backends"]:
                return self._server
            case "GET", [_, _, "_schema"]:
                return self._schema
            case "GET", [_, _, "_count"]:
                return self._count
            case _, [_, _, last] | [_, last] if last in _NOT_OFFERED:
                return self._refuse
        return None

    async def _load(self, request: Request, caller: Caller, parts: list[str]) -> Response:
        return await self._loading.load(request, caller, database_text(parts[1]), parts[2])

    async def _end(self, request: Request, caller: Caller, parts: list[str]) -> Response:
        return await self._transactions.end(request, caller, database_text(parts[1]))

    async def _state(self, request: Request, _caller: Caller, parts: list[str]) -> Response:
        return await self._transactions.state(request, database_text(parts[1]))

    async def _cancel(self, request: Request, caller: Caller, parts: list[str]) -> Response:
        return await self._transactions.cancel(request, caller, database_text(parts[1]))

    async def _schema(self, _request: Request, caller: Caller, parts: list[str]) -> Response:
        return await self._metadata.schema(caller, database_text(parts[1]), parts[2])

    async def _count(self, _request: Request, caller: Caller, parts: list[str]) -> Response:
        return await self._metadata.count(caller, database_text(parts[1]), parts[2])

    async def _server(self, request: Request, _caller: Caller, parts: list[str]) -> Response:
        match parts:
            case ["api", "backends"]:
                return self._metadata.backends(request)
            case ["rest", "v2", "manager", "node", ("frontends" | "backends") as kind]:
                return self._metadata.nodes(request, kind)
            case ["rest", "v1", "system"]:
                path = next((value for name, value in request.query_plain if name == "path"), "")
                return self._metadata.system(request, path)
        return self.failure(request, 404, "not found")

    async def _refuse(self, _request: Request, _caller: Caller, parts: list[str]) -> Response:
        return failure(f"{parts[-1]} is not offered", status=501)

    def failure(self, request: Request, status: int, message: str) -> Response:
        """Answer what no endpoint answers."""
        request.surface = SURFACE
        return failure(message, status=status, code=status)

    def close(self) -> None:
        """Let no further load begin; those that run end by themselves."""
        self._threads.close()


def _split(raw_path: bytes) -> list[str] | None:
    """Return the decoded parts of a path, None when they are no text."""
    try:
        return [unquote_to_bytes(part).decode() for part in raw_path.strip(b"/").split(b"/")]
    except UnicodeDecodeError:
        return None
