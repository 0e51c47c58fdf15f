"""Errors -> MySQL's codes and SQLSTATEs: the protocol's own, and the table of this surface."""

from anabranch.kernel.errors import (
    AnabranchError,
    Forbidden,
    Kind,
    NotSupported,
    Unauthenticated,
)
from anabranch.warehouse.errors import SqlError, doris, interrupted

GENERAL = "HY000"
_LINK = "08S01"

# By what a handler would do; the rest is Doris's 1105 with its envelope.
_CODES: tuple[tuple[type[AnabranchError], int, str], ...] = (
    (Forbidden, 1227, "42000"),
    (Unauthenticated, 1045, "28000"),
    (NotSupported, 1235, "42000"),
)


class LinkError(SqlError):
    """The client broke the protocol or a limit: it is answered, and its connection closed."""


def describe(error: AnabranchError) -> SqlError:
    """Return any of our errors as one with a MySQL code."""
    if isinstance(error, SqlError):
        return error
    if error.kind is Kind.BUSY:
        return SqlError(1203, "42000", error.message, error.kind)
    for known, code, state in _CODES:
        if isinstance(error, known):
            return SqlError(code, state, error.message, error.kind)
    return doris(error.message)


def malformed(*, handshake: bool = False) -> LinkError:
    """Return the error of a packet whose bytes make no sense."""
    if handshake:
        return LinkError(1043, _LINK, "Bad handshake", Kind.BODY)
    return LinkError(1835, GENERAL, "Malformed communication packet.", Kind.BODY)


def out_of_order() -> LinkError:
    """Return the error of a packet whose number is not the next one."""
    return LinkError(1156, _LINK, "Got packets out of order", Kind.BODY)


def packet_too_large() -> LinkError:
    """Return the error of a packet past max_allowed_packet."""
    message = "Got a packet bigger than 'max_allowed_packet' bytes"
    return LinkError(1153, _LINK, message, Kind.TOO_LARGE)


def parameter_too_long() -> SqlError:
    """Return the error of long data past max_allowed_packet."""
    message = (
        "Parameter of prepared statement which is set through mysql_send_long_data() is longer "
        "than 'max_allowed_packet' bytes"
    )
    return SqlError(1105, GENERAL, message, Kind.TOO_LARGE)


def login_too_slow() -> LinkError:
    """Return the error of a client that does not say in time who it is."""
    return LinkError(1159, _LINK, "Got timeout reading communication packets", Kind.TIMEOUT)


def too_many_connections() -> LinkError:
    """Return the error of a connection past the limit."""
    return LinkError(1040, "08004", "Too many connections", Kind.TOO_MANY)


def stopping() -> LinkError:
    """Return the error of a connection that a stopping server closes."""
    return LinkError(1053, _LINK, "Server shutdown in progress", Kind.BUSY)


def unknown_command() -> SqlError:
    """Return the error of a command that is not offered."""
    return SqlError(1047, _LINK, "Unknown command", Kind.NOT_SUPPORTED)


def unknown_statement(statement_id: int, command: str) -> SqlError:
    """Return the error of a prepared statement that does not exist."""
    message = f"Unknown prepared statement handler ({statement_id}) given to {command}"
    return SqlError(1243, GENERAL, message)


def no_cursor(statement_id: int) -> SqlError:
    """Return the error of COM_STMT_FETCH: statements run without cursors."""
    return SqlError(1421, GENERAL, f"The statement ({statement_id}) has no open cursor.")


def too_many_statements(count: int) -> SqlError:
    """Return the error of one prepared statement too many."""
    message = f"Can't create more than max_prepared_stmt_count statements (current value: {count})"
    return SqlError(1461, "42000", message, Kind.TOO_MANY)


def not_owner(connection_id: int) -> SqlError:
    """Return the error of KILL for somebody else's connection."""
    message = f"You are not owner of thread {connection_id}"
    return SqlError(1095, GENERAL, message, Kind.FORBIDDEN)


def several_statements() -> SqlError:
    """Return the error of a second statement from a client that did not announce any."""
    message = (
        "You have an error in your SQL syntax; a second statement follows and the connection "
        "does not allow multiple statements"
    )
    return SqlError(1064, "42000", message)


def local_files_refused() -> SqlError:
    """Return the error of LOAD DATA LOCAL on a client that does not send files."""
    message = (
        "Loading local data is disabled; this must be enabled on both the client and server sides"
    )
    return SqlError(3948, "42000", message, Kind.NOT_SUPPORTED)


def not_utf8() -> SqlError:
    """Return the error of a statement that is not UTF-8 text."""
    return SqlError(1300, GENERAL, "Invalid utf8mb4 character string: the statement", Kind.BODY)


def timed_out(timeout_s: float) -> SqlError:
    """Return the error of a statement that ran for too long."""
    message = (
        "Query execution was interrupted, maximum statement execution time exceeded "
        f"(query timeout of {timeout_s:g} s)"
    )
    return SqlError(3024, GENERAL, message, Kind.TIMEOUT)


def killed() -> SqlError:
    """Return the error of a statement that somebody cancelled."""
    return interrupted()


def internal() -> SqlError:
    """Return the error of a defect, which is in the log."""
    return doris("internal error")
