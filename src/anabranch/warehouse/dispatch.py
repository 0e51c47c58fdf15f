"""A text to its statements, and each to its handler: `results.Statements` for surfaces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from anabranch.kernel.errors import AnabranchError, NotFound
from anabranch.kernel.ids import Ref
from anabranch.warehouse.errors import SqlError, doris, not_supported, of_lake, unknown_database
from anabranch.warehouse.handlers.settings import move
from anabranch.warehouse.parts import Parts
from anabranch.warehouse.reading import Reader
from anabranch.warehouse.registry import Guard, Registry
from anabranch.warehouse.results import Prepared, Result, Session
from anabranch.warehouse.session import SqlSession, parse_database_text, utc_of
from anabranch.warehouse.sql import statements as st
from anabranch.warehouse.sql.admin import Call, SetVariables, Use
from anabranch.warehouse.sql.lexer import Token, TokenKind, quote_string, scan, split
from anabranch.warehouse.sql.loads import LoadData, LoadLabel
from anabranch.warehouse.sql.parser import Statement, parse_one
from anabranch.warehouse.sql.shows import Show, ShowKind
from anabranch.warehouse.variables import GlobalVariables

_IN_TRANSACTION = (
    "This is in a transaction, only insert, update, delete, commit, rollback is acceptable."
)
_NOT_IN_TRANSACTION = (
    st.CreateDatabase,
    st.DropDatabase,
    st.RenameDatabase,
    st.CreateTable,
    st.CreateTableLike,
    st.DropTable,
    st.TruncateTable,
    st.AlterTable,
    LoadLabel,
    LoadData,
    Call,
)
_KEEPS_WARNINGS = frozenset(
    {ShowKind.WARNINGS, ShowKind.ERRORS, ShowKind.COUNT_WARNINGS, ShowKind.COUNT_ERRORS}
)


class Warehouse:
    """Runs statements of clients: `results.Statements`."""

    def __init__(
        self,
        parts: Parts,
        registry: Registry,
        *,
        guard: Guard | None = None,
        variables: GlobalVariables | None = None,
    ) -> None:
        self._parts = parts
        self._registry = registry
        self._guard = guard
        self._variables = variables or GlobalVariables()
        self._reader = Reader(parts)

    def open(self, user: str, address: str, database: str | None, connection_id: int) -> SqlSession:
        """Begin a session in the default catalog, at its default branch."""
        catalog = self._parts.default_catalog
        try:
            ref = Ref(self._parts.lake.repositories.get(catalog).default_branch)
        except NotFound:
            raise doris(f"the catalog '{catalog}' does not exist") from None
        now = utc_of(self._parts.clock.now_ns())
        session = SqlSession(user, address, connection_id, catalog, ref, self._variables, now)
        if database:
            name = parse_database_text(database)
            if not name.database:
                raise unknown_database(database)
            if self._guard is not None:
                self._guard.check_database(user, name.database)
            move(self._parts, session, Use(name.database, name.ref, name.catalog))
        return session

    def close(self, session: Session) -> None:
        """End a session: roll back what it began."""
        found = _own(session)
        transaction, found.transaction = found.transaction, None
        if transaction is not None:
            transaction.rollback()

    def run(
        self, session: Session, text: str, parameters: Sequence[object] | None = None
    ) -> Iterator[Result]:
        """Run the statements of a text one after the other, as the iterator is advanced."""
        found = _own(session)
        found.renew()
        texts = split(text)
        if not texts:
            raise SqlError(1065, "42000", "Query was empty")
        if parameters is not None and len(texts) > 1:
            raise not_supported("several statements with parameters")
        for each in texts:
            found.check()
            yield from self._run_one(found, each, parameters)

    def _run_one(
        self, session: SqlSession, text: str, parameters: Sequence[object] | None
    ) -> Iterator[Result]:
        try:
            if parameters is not None and not _is_query(text):
                text, parameters = with_literals(text, parameters), None
            statement = parse_one(text)
            session.begin(utc_of(self._parts.clock.now_ns()), text, parameters)
            if not (isinstance(statement, Show) and statement.kind in _KEEPS_WARNINGS):
                session.warnings.clear()
            self._check(session, statement)
            session.is_changing = _is_changing(statement)
            yield from self._registry.find(statement).run(session, statement)
        except AnabranchError as error:
            found = error if isinstance(error, SqlError) else of_lake(error)
            session.warn(found.message, code=found.code, level="Error")
            if found is error:
                raise
            raise found from error
        finally:
            session.is_changing = False

    def _check(self, session: SqlSession, statement: Statement) -> None:
        if self._guard is not None:
            self._guard.check(session, statement)
        if session.transaction is None:
            return
        is_refused = isinstance(statement, _NOT_IN_TRANSACTION) or (
            isinstance(statement, Use) and (statement.ref or statement.catalog)
        )
        if isinstance(statement, SetVariables):
            is_refused = any(item.name in ("ref", "catalog") for item in statement.items)
        if is_refused:
            raise doris(_IN_TRANSACTION)

    def prepare(self, session: Session, text: str) -> Prepared:
        """Check one statement and count its parameters; a query's columns are told when known."""
        found = _own(session)
        texts = split(text)
        if len(texts) != 1:
            raise SqlError(1065, "42000", "Query was empty")
        count = len(_places(texts[0]))
        found.begin(utc_of(self._parts.clock.now_ns()), texts[0], None)
        # What is no query is parsed with values in place, since not every clause takes a mark.
        if _is_query(texts[0]):
            return self._prepare_query(found, parse_one(texts[0]), count)
        try:
            parse_one(with_literals(texts[0], ["1"] * count))
        except SqlError:
            parse_one(with_literals(texts[0], [1] * count))
        return Prepared(count)

    def _prepare_query(self, session: SqlSession, statement: Statement, count: int) -> Prepared:
        assert isinstance(statement, st.Query)
        # A value's type decides what fits: a number and a text are tried before it is left open.
        failure: SqlError | None = None
        for value in ((None,) if count else ()) + (1, "1"):
            try:
                translated = self._reader.translate(session, statement.text, [value] * count)
            except SqlError as error:
                failure = error
            else:
                return Prepared(count, translated.fields)
        if failure is not None and failure.code in (1046, 1049, 1054, 1064, 1146, 1193):
            raise failure
        return Prepared(count)


def _is_changing(statement: Statement) -> bool:
    """Tell whether a statement's time is insert_timeout."""
    if isinstance(statement, st.CreateTable):
        return statement.query is not None
    return isinstance(statement, (st.Insert, st.Update, st.Delete, LoadData))


def _own(session: Session) -> SqlSession:
    assert isinstance(session, SqlSession)
    return session


def _is_query(text: str) -> bool:
    return next(scan(text)).value.upper() in ("SELECT", "WITH", "VALUES", "(")


def _places(text: str) -> list[Token]:
    return [token for token in scan(text) if token.kind is TokenKind.PARAMETER]


def with_literals(text: str, parameters: Sequence[object]) -> str:
    """Return a statement's text with its `?` replaced by literals."""
    places = _places(text)
    if len(places) != len(parameters):
        raise SqlError(1210, "HY000", "Incorrect arguments to EXECUTE")
    parts: list[str] = []
    at = 0
    for place, value in zip(places, parameters, strict=True):
        parts += [text[at : place.start], literal_text(value)]
        at = place.end
    return "".join([*parts, text[at:]])


def literal_text(value: object) -> str:
    """Return a parameter as a literal of SQL."""
    match value:
        case None:
            return "NULL"
        case bool():
            return "TRUE" if value else "FALSE"
        case int() | Decimal():
            return str(value) if isinstance(value, int) else f"{value:f}"
        case float():
            return repr(value)
        case bytes():
            return quote_string(value.decode("utf-8", "replace"))
        case datetime():
            return quote_string(value.isoformat(" "))
        case date():
            return quote_string(value.isoformat())
        case timedelta():
            return quote_string(str(value))
    return quote_string(str(value))
