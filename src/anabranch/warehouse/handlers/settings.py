"""USE, SET, KILL and what clients send though it has nothing to do here."""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.kernel import limits
from anabranch.kernel.errors import InvalidInput, NotFound
from anabranch.kernel.ids import Ref
from anabranch.warehouse.errors import SqlError, doris, unknown_thread
from anabranch.warehouse.information import information_schema
from anabranch.warehouse.parts import Parts
from anabranch.warehouse.places import DatabasePlace, Place
from anabranch.warehouse.reading import Reader
from anabranch.warehouse.results import Done, Result
from anabranch.warehouse.session import SqlSession, parse_database_text
from anabranch.warehouse.sql.admin import (
    AdminSetConfig,
    Kill,
    Nothing,
    Scope,
    SetItem,
    SetNames,
    SetTransaction,
    SetVariables,
    Use,
    ValueKind,
)

_NAMED_CHARSETS = """
    utf8mb4 utf8 utf8mb3 binary ascii latin1 latin2 latin5 latin7 gbk gb2312 gb18030 big5 cp1250
    cp1251 cp1252 cp1256 cp1257 cp850 cp852 cp866 cp932 euckr eucjpms greek hebrew koi8r koi8u
    sjis swe7 tis620 ucs2 ujis utf16 utf16le utf32 macroman macce hp8 dec8 armscii8 geostd8 keybcs2
"""
_CHARSETS = frozenset(_NAMED_CHARSETS.split())


def move(parts: Parts, session: SqlSession, use: Use) -> None:
    """Move a session to a catalog, ref and database that exist.

    Without a ref a session stays at its own, or in another catalog at the default branch. Raises
    SqlError: 1049, or Doris's for a catalog or ref that is not there.
    """
    name = parse_database_text(use.database or "")
    asked = use.catalog or name.catalog
    catalog = session.catalog_named(asked)
    try:
        repository = parts.lake.repositories.get(catalog)
    except (NotFound, InvalidInput):
        raise doris(f"Unknown catalog '{asked or catalog}'") from None
    ref = use.ref or name.ref
    if ref is None:
        ref = session.ref if catalog == session.catalog else repository.default_branch
    else:
        try:
            parts.lake.resolve.resolve(catalog, Ref(ref))
        except (NotFound, InvalidInput):
            raise doris(f"Unknown ref '{ref}' in catalog '{catalog}'") from None
    database = name.database or None
    if database is not None and information_schema.is_its_name(database):
        database = information_schema.NAME
    elif database is not None:
        parts.databases.get(DatabasePlace(Place(catalog, Ref(ref)), database))
    session.use(catalog, Ref(ref), database)


class Uses:
    """USE and SWITCH."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def run(self, session: SqlSession, statement: Use) -> Iterator[Result]:
        """Move the session."""
        move(self._parts, session, statement)
        yield Done(0)


class Sets:
    """SET of variables, names and transactions."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._reader = Reader(parts)

    def run(
        self, session: SqlSession, statement: SetVariables | SetNames | SetTransaction
    ) -> Iterator[Result]:
        """Set what the statement names, in its order; what was set before an error stays."""
        match statement:
            case SetVariables():
                for item in statement.items:
                    self._set(session, item)
            case SetNames():
                self._set_names(session, statement)
            case SetTransaction():
                _set_transaction(session, statement)
        yield Done(0)

    def _set(self, session: SqlSession, item: SetItem) -> None:
        is_global = item.scope is Scope.GLOBAL
        if item.scope is Scope.USER:
            self._set_user_variable(session, item)
            return
        if item.name == "ref":
            self._set_ref(session, item)
            return
        if item.kind is ValueKind.DEFAULT:
            session.variables.reset(item.name, is_global=is_global)
            return
        text: str | None = item.text
        is_number = item.kind is ValueKind.NUMBER
        if item.kind is ValueKind.WORD and item.text.upper() == "NULL":
            text = None
        elif item.kind is ValueKind.EXPRESSION:
            value = self._reader.value(session, item.text)
            text = None if value is None else str(value)
            is_number = isinstance(value, int)
        if item.name.startswith("character_set_") and text is not None:
            _check_charset(text)
        session.variables.put(item.name, text, is_global=is_global, is_number=is_number)

    def _set_ref(self, session: SqlSession, item: SetItem) -> None:
        if item.scope is Scope.GLOBAL:
            raise SqlError(
                1228,
                "HY000",
                "Variable 'ref' is a SESSION variable and can't be used with SET GLOBAL",
            )
        ref = item.text
        if item.kind is ValueKind.DEFAULT:
            ref = self._parts.lake.repositories.get(session.catalog).default_branch
        elif item.kind is ValueKind.EXPRESSION:
            ref = str(self._reader.value(session, item.text))
        move(self._parts, session, Use(session.database, ref))

    def _set_user_variable(self, session: SqlSession, item: SetItem) -> None:
        value: object = item.text
        match item.kind:
            case ValueKind.NUMBER:
                value = int(item.text) if item.text.lstrip("-").isdigit() else float(item.text)
            case ValueKind.WORD if item.text.upper() in ("NULL", "TRUE", "FALSE"):
                value = {"NULL": None, "TRUE": True, "FALSE": False}[item.text.upper()]
            case ValueKind.EXPRESSION | ValueKind.WORD:
                value = self._reader.value(session, item.text)
            case ValueKind.DEFAULT:
                raise doris("DEFAULT is no value of a user variable")
        known = session.user_variables
        if item.name not in known and len(known) >= limits.USER_VARIABLES_MAX:
            raise doris(f"a session has at most {limits.USER_VARIABLES_MAX} user variables")
        known[item.name] = value

    def _set_names(self, session: SqlSession, statement: SetNames) -> None:
        charset = "utf8mb4" if statement.charset.lower() == "default" else statement.charset
        _check_charset(charset)
        for name in ("client", "connection", "results"):
            session.variables.put(f"character_set_{name}", charset.lower())
        if statement.collation is not None:
            session.variables.put("collation_connection", statement.collation)


def _check_charset(charset: str) -> None:
    if charset and charset.lower() not in _CHARSETS:
        raise SqlError(1115, "42000", f"Unknown character set: '{charset[:100]}'")


def _set_transaction(session: SqlSession, statement: SetTransaction) -> None:
    words = statement.text.replace("TRANSACTION", "").split()
    is_global = statement.scope is Scope.GLOBAL
    for at, word in enumerate(words):
        if word == "LEVEL":
            level = "-".join(words[at + 1 : at + 3]).strip(",")
            level = level if level.startswith(("READ-", "REPEATABLE-")) else level.split("-")[0]
            session.variables.put("transaction_isolation", level.strip(","), is_global=is_global)
        elif word.startswith("ONLY") or (word.startswith("WRITE") and words[at - 1] == "READ"):
            session.variables.put(
                "transaction_read_only", str(int(word.startswith("ONLY"))), is_global=is_global
            )


class Kills:
    """KILL, where the surface did not see it before: in a text of several statements."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def run(self, session: SqlSession, statement: Kill) -> Iterator[Result]:
        """Cancel a connection's statement, or the connection."""
        if self._parts.processes is None:
            raise unknown_thread(statement.connection_id)
        self._parts.processes.kill(
            statement.connection_id, by=session.user, is_query_only=statement.is_query
        )
        yield Done(0)


class Nothings:
    """LOCK TABLES, SYNC, ANALYZE, and ADMIN SET of a cluster's configuration."""

    def run(self, session: SqlSession, statement: Nothing | AdminSetConfig) -> Iterator[Result]:
        """Answer that it is done."""
        if isinstance(statement, AdminSetConfig):
            session.warn("configuration of a cluster's nodes has no effect", level="Note")
        yield Done(0, warnings=len(session.warnings))
