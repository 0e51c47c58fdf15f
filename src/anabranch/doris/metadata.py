"""What connectors ask about servers and tables before they load or read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from anabranch.doris.answers import failure, json_response, success
from anabranch.doris.callers import Caller
from anabranch.edge.blocking import call_thread
from anabranch.edge.http import Request, Response
from anabranch.kernel.errors import AnabranchError, NotFound
from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.schema import KeyModel, Table

_KEYS = {
    KeyModel.DUPLICATE: "DUP_KEYS",
    KeyModel.AGGREGATE: "AGG_KEYS",
    KeyModel.UNIQUE: "UNIQUE_KEYS",
}
_NO_SUCH = (1046, 1049, 1102, 1103, 1146)


class TableFacts(Protocol):
    """What is known of tables by name. All calls block, and raise SqlError."""

    def describe(self, user: str, database: str, table: str) -> Table:
        """Return a table's schema; `database` is `db` or `db@branch`."""
        ...

    def count_rows(self, user: str, database: str, table: str) -> int:
        """Return how many rows a table shows."""
        ...


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where this server answers."""

    sql_port: int
    doris_port: int
    version: str


class Metadata:
    """Answers about the server, which is frontend and backend in one, and about tables."""

    def __init__(self, tables: TableFacts, endpoints: Endpoints) -> None:
        self._tables = tables
        self._endpoints = endpoints

    def health(self) -> Response:
        """Say that the one backend is alive."""
        return success({"online_backend_num": 1, "total_backend_num": 1})

    def bootstrap(self) -> Response:
        """Say that the server has started; ports are told to those with a password."""
        return success({"replayedJournalId": 0, "queryPort": 0, "rpcPort": 0, "version": ""})

    def backends(self, request: Request) -> Response:
        """Return the one backend: the address at which the client reached this server."""
        host, port = self._reached(request)
        return success({"backends": [{"ip": host, "http_port": port, "is_alive": True}]})

    def nodes(self, request: Request, kind: str) -> Response:
        """Return the table of frontends or backends that managers and connectors read."""
        host, port = self._reached(request)
        sql_port, version = str(self._endpoints.sql_port), self._endpoints.version
        if kind == "frontends":
            row = {
                "Name": "fe_1", "Host": host, "EditLogPort": "9010", "HttpPort": str(port),
                "QueryPort": sql_port, "RpcPort": "9020", "Role": "FOLLOWER", "IsMaster": "true",
                "ClusterId": "1", "Join": "true", "Alive": "true", "ErrMsg": "",
                "Version": version, "CurrentConnected": "Yes",
            }  # fmt: skip  # a row of a table
        else:
            row = {
                "BackendId": "1", "Cluster": "default_cluster", "IP": host, "Host": host,
                "HeartbeatPort": "9050", "BePort": "9060", "HttpPort": str(port),
                "BrpcPort": "8060", "Alive": "true", "SystemDecommissioned": "false",
                "ErrMsg": "", "Version": version,
            }  # fmt: skip  # a row of a table
        return success({"column_names": list(row), "rows": [list(row.values())]})

    def system(self, request: Request, path: str) -> Response:
        """Return SHOW PROC of backends or frontends as old connectors read it."""
        kind = path.strip("/")
        if kind not in ("backends", "frontends"):
            return failure(f"no such path: {path[:100]}")
        host, port = self._reached(request)
        row = {
            "BackendId": "1", "IP": host, "Host": host, "HttpPort": str(port),
            "QueryPort": str(self._endpoints.sql_port), "Alive": "true",
        }  # fmt: skip  # a row of a table
        return success(
            {
                "href_columns": [],
                "parent_url": f"/rest/v1/system?path=//{kind}",
                "column_names": list(row),
                "rows": [row],
            }
        )

    async def schema(self, caller: Caller, database: str, table: str) -> Response:
        """Return a table's columns in the form of Doris's connectors."""

        def find() -> dict[str, Any]:
            return schema_body(self._tables.describe(caller.user, database, table))

        return await self._answered(find)

    async def count(self, caller: Caller, database: str, table: str) -> Response:
        """Return how many rows a table shows."""

        def find() -> dict[str, Any]:
            return {"size": self._tables.count_rows(caller.user, database, table), "status": 200}

        return await self._answered(find)

    async def _answered(self, find: Callable[[], dict[str, Any]]) -> Response:
        try:
            return success(await call_thread(find))
        except AnabranchError as error:
            is_missing = isinstance(error, NotFound) or (
                isinstance(error, SqlError) and error.code in _NO_SUCH
            )
            body = {"status": 404 if is_missing else 403, "exception": error.message}
            return json_response({"msg": "Error", "code": 1, "data": body, "count": 0})

    def _reached(self, request: Request) -> tuple[str, int]:
        """Return the host and port that the client knows this server by."""
        host, _, port = request.host.rpartition(":")
        if not port.isdigit() or len(port) > 5:
            host, port = request.host, str(self._endpoints.doris_port)
        return host or "127.0.0.1", int(port)


def schema_body(table: Table) -> dict[str, Any]:
    """Return a schema as connectors read it."""
    return {
        "keysType": _KEYS[table.key_model],
        "properties": [
            {
                "name": column.name,
                "aggregation_type": column.aggregate.value,
                "comment": column.comment,
                "type": column.type.kind.value,
                **_sizes(column.type.precision, column.type.scale, column.type.kind.value),
            }
            for column in table.columns
        ],
        "status": 200,
    }


def _sizes(precision: int, scale: int, kind: str) -> dict[str, str]:
    return {"precision": str(precision), "scale": str(scale)} if kind == "DECIMAL" else {}
