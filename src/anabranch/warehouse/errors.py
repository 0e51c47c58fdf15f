"""Errors of SQL statements, with MySQL's numbers and in the words that clients match on.

Doris answers most of its own rules with 1105 and `errCode = 2, detailMessage = ...`; what MySQL has
a number for keeps MySQL's number, SQLSTATE and text.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from anabranch.kernel.errors import AnabranchError, Kind

_GENERAL = "HY000"
_REFUSED = "42000"
LINE_SHOWN_MAX = 200  # characters of a line that an error repeats


class SqlError(AnabranchError):
    """A statement that failed: `code` is MySQL's error number, `state` its SQLSTATE."""

    def __init__(self, code: int, state: str, message: str, kind: Kind = Kind.SQL) -> None:
        super().__init__(kind, message)
        self.code = code
        self.state = state


def doris(detail: str, code: int = 1105) -> SqlError:
    """Return an error in Doris's envelope."""
    return SqlError(code, _GENERAL, f"errCode = 2, detailMessage = {detail}")


def syntax(text: str, position: int, encountered: str, expected: str = "") -> SqlError:
    """Return the error of text that is no statement, pointing at the character at `position`."""
    line_start = text.rfind("\n", 0, position) + 1
    line_end = text.find("\n", position)
    line_end = len(text) if line_end < 0 else line_end
    number = text.count("\n", 0, position) + 1
    column = position - line_start
    first = max(0, column - LINE_SHOWN_MAX // 2)
    line = text[line_start + first : min(line_end, line_start + first + LINE_SHOWN_MAX)]
    lines = [f"Syntax error in line {number}:", line, " " * (column - first) + "^"]
    lines.append(f"Encountered: {encountered[:LINE_SHOWN_MAX]}")
    if expected:
        lines.append(f"Expected: {expected}")
    return SqlError(1064, _REFUSED, "errCode = 2, detailMessage = " + "\n".join(lines))


def not_supported(what: str) -> SqlError:
    """Return the refusal of a statement or clause that is known and not offered."""
    return SqlError(
        1235, _REFUSED, f"This version doesn't yet support '{what}'", Kind.NOT_SUPPORTED
    )


def unknown_properties(names: dict[str, str]) -> SqlError:
    """Return the refusal of properties, by name."""
    shown = ", ".join(f"{name}={value}" for name, value in sorted(names.items()))
    return doris(f"Unknown properties: {{{shown}}}")


def no_database() -> SqlError:
    """Return MySQL's 1046."""
    return SqlError(1046, "3D000", "No database selected")


def unknown_database(database: str) -> SqlError:
    """Return MySQL's 1049."""
    return SqlError(1049, _REFUSED, f"Unknown database '{database}'")


def database_exists(database: str) -> SqlError:
    """Return MySQL's 1007."""
    return SqlError(1007, _GENERAL, f"Can't create database '{database}'; database exists")


def no_database_to_drop(database: str) -> SqlError:
    """Return MySQL's 1008."""
    return SqlError(1008, _GENERAL, f"Can't drop database '{database}'; database doesn't exist")


def table_exists(table: str) -> SqlError:
    """Return MySQL's 1050."""
    return SqlError(1050, "42S01", f"Table '{table}' already exists")


def unknown_table(table: str) -> SqlError:
    """Return MySQL's 1051, of DROP TABLE."""
    return SqlError(1051, "42S02", f"Unknown table '{table}'")


def no_such_table(database: str, table: str) -> SqlError:
    """Return MySQL's 1146, of every other statement that names a table."""
    return SqlError(1146, "42S02", f"Table '{database}.{table}' doesn't exist")


def unknown_column(column: str, where: str) -> SqlError:
    """Return MySQL's 1054; `where` is a table or a clause."""
    return SqlError(1054, "42S22", f"Unknown column '{column}' in '{where}'")


def duplicate_column(column: str) -> SqlError:
    """Return MySQL's 1060."""
    return SqlError(1060, "42S21", f"Duplicate column name '{column}'")


def incorrect_database_name(name: str) -> SqlError:
    """Return MySQL's 1102."""
    return SqlError(1102, _REFUSED, f"Incorrect database name '{name}'")


def incorrect_table_name(name: str) -> SqlError:
    """Return MySQL's 1103."""
    return SqlError(1103, _REFUSED, f"Incorrect table name '{name}'")


def incorrect_column_name(name: str) -> SqlError:
    """Return MySQL's 1166."""
    return SqlError(1166, _REFUSED, f"Incorrect column name '{name}'")


def no_columns() -> SqlError:
    """Return MySQL's 1113."""
    return SqlError(1113, _REFUSED, "A table must have at least 1 column")


def duplicate_partition(name: str) -> SqlError:
    """Return MySQL's 1517."""
    return SqlError(1517, _GENERAL, f"Duplicate partition name {name}")


def unknown_partition(name: str, table: str) -> SqlError:
    """Return MySQL's 1735."""
    return SqlError(1735, _GENERAL, f"Unknown partition '{name}' in table '{table}'")


def unknown_variable(name: str) -> SqlError:
    """Return MySQL's 1193."""
    return SqlError(1193, _GENERAL, f"Unknown system variable '{name}'")


def wrong_variable_value(name: str, value: str) -> SqlError:
    """Return MySQL's 1231."""
    return SqlError(1231, _REFUSED, f"Variable '{name}' can't be set to the value of '{value}'")


def unknown_thread(connection_id: int) -> SqlError:
    """Return MySQL's 1094."""
    return SqlError(1094, _GENERAL, f"Unknown thread id: {connection_id}")


def access_denied(user: str, host: str, has_password: bool) -> SqlError:
    """Return MySQL's 1045."""
    said = "YES" if has_password else "NO"
    text = f"Access denied for user '{user}'@'{host}' (using password: {said})"
    return SqlError(1045, "28000", text, Kind.CREDENTIALS)


def interrupted() -> SqlError:
    """Return MySQL's 1317."""
    return SqlError(1317, "70100", "Query execution was interrupted", Kind.TIMEOUT)


def label_used(label: str, job: int, status: str) -> SqlError:
    """Return Doris's refusal of a label that a load has already; `status` is that load's."""
    told = f"relate to txn [{job}], status [{status}]."
    detail = f"errCode = 2, detailMessage = Label [{label}] has already been used, {told}"
    return SqlError(1105, _GENERAL, detail, Kind.LABEL_USED)


def transaction_conflict() -> SqlError:
    """Return the end of a statement that others were faster than, each time it was run."""
    return doris("transaction conflict")


_LAKE_CODES = {
    Kind.REPOSITORY_NOT_FOUND: (1049, _REFUSED),
    Kind.BRANCH_NOT_FOUND: (1049, _REFUSED),
    Kind.REF_NOT_FOUND: (1049, _REFUSED),
    Kind.TAG_NOT_FOUND: (1049, _REFUSED),
    Kind.COMMIT_NOT_FOUND: (1049, _REFUSED),
    Kind.REF_EXPRESSION: (1049, _REFUSED),
    Kind.REF_AMBIGUOUS: (1049, _REFUSED),
    Kind.NOT_A_BRANCH: (1290, _GENERAL),
    Kind.READ_ONLY_REPOSITORY: (1290, _GENERAL),
    Kind.PROTECTED_BRANCH: (1290, _GENERAL),
}
_LAKE_CODE = (1105, _GENERAL)


def of_lake(error: AnabranchError) -> SqlError:
    """Return an error of the lake as a statement's: the kind stays, Doris's envelope around it."""
    if isinstance(error, SqlError):
        return error
    code, state = _LAKE_CODES.get(error.kind, _LAKE_CODE)
    return SqlError(code, state, f"errCode = 2, detailMessage = {error.message}", error.kind)


@contextmanager
def lake_errors(*passing: type[AnabranchError]) -> Iterator[None]:
    """Let what the lake raises come out as SqlError, those of the classes `passing` as they are."""
    try:
        yield
    except AnabranchError as error:
        if isinstance(error, (SqlError, *passing)):
            raise
        raise of_lake(error) from error
