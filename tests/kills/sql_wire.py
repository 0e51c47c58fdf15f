"""How clients of a trial speak to the SQL process: MySQL's protocol and Doris's HTTP, or lost."""

from __future__ import annotations

import contextlib
import http.client
import json
import struct
from base64 import b64encode
from dataclasses import dataclass
from typing import Any

import pymysql

from tests.kills.sql_ledger import DATABASE

_TIMEOUT_S = 60
_SERVER_ERRORS = range(1_000, 2_000)
"""MySQL's numbers of errors that a server says; those above are the client's own."""


class Lost(Exception):
    """There was no answer: what was sent may have been done."""


class Refused(Exception):
    """The server said no."""

    @property
    def text(self) -> str:
        """Return its words."""
        return str(self.args[0])


@dataclass(frozen=True, slots=True)
class Where:
    """The ports of a server."""

    sql: int
    doris: int


class Session:
    """A connection of MySQL's protocol, opened anew after it was lost."""

    def __init__(self, where: Where) -> None:
        self._where = where
        self._connection: Any = None
        self._database: str | None = DATABASE

    def create(self, database: str) -> None:
        """Make the database that all statements are about, and use it."""
        self._database = None
        self.run(f"CREATE DATABASE {database}")
        self.run(f"USE {database}")

    def run(self, text: str) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows; raise Lost or Refused."""
        try:
            if self._connection is None:
                self._connection = pymysql.connect(
                    host="127.0.0.1", port=self._where.sql, user="root", database=self._database,
                    autocommit=True, connect_timeout=_TIMEOUT_S, read_timeout=_TIMEOUT_S,
                )  # fmt: skip
            with self._connection.cursor() as cursor:
                cursor.execute(text)
                return list(cursor.fetchall())
        except (pymysql.err.MySQLError, OSError, struct.error, AttributeError) as error:
            # PyMySQL of this age trips over a greeting or packet that breaks off half way.
            code = error.args[0] if isinstance(error, pymysql.err.MySQLError) else 0
            if code in _SERVER_ERRORS:
                raise Refused(f"{code} {error.args[1]}") from error
            self.close()
            raise Lost(str(error)) from error

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._connection is not None:
            with contextlib.suppress(pymysql.err.MySQLError, OSError):
                self._connection.close()
            self._connection = None


def send(where: Where, method: str, path: str, body: bytes = b"", **headers: str) -> Any:
    """Send a request to Doris's HTTP and return its JSON; raise Lost."""
    connection = http.client.HTTPConnection("127.0.0.1", where.doris, timeout=_TIMEOUT_S)
    sent = dict(headers) | {"Authorization": "Basic " + b64encode(b"root:").decode()}
    try:
        connection.request(method, f"/api/{DATABASE}/{path}", body, sent)
        response = connection.getresponse()
        return json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Lost(str(error)) from error
    finally:
        connection.close()


def stream(where: Where, table: str, label: str, body: bytes, **headers: str) -> dict[str, Any]:
    """Send a stream load and return its answer; raise Lost."""
    named = {"label": label} if label else {}
    answer: dict[str, Any] = send(where, "PUT", f"{table}/_stream_load", body, **named, **headers)
    return answer


def end_two_phase(where: Where, operation: str, **headers: str) -> dict[str, Any]:
    """Commit or abort a two-phase load by `txn_id` or `label`; raise Lost."""
    sent = headers | {"txn_operation": operation}
    answer: dict[str, Any] = send(where, "PUT", "_stream_load_2pc", b"", **sent)
    return answer
