"""Conditions and NULLs, and what a session says of itself."""

from anabranch.warehouse.sql.functions.casts import cast
from anabranch.warehouse.sql.functions.kinds import BIGINT, VARCHAR, Bound
from anabranch.warehouse.sql.functions.registry import Call, Family, common_of, made

CONDITIONALS = Family("conditionals")
SESSION = Family("session")


def _either(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    condition, *values = arguments
    kind = common_of(values)
    one, two = (cast(value, kind).sql for value in values)
    return made(arguments, f"CASE WHEN {condition.sql} THEN {one} ELSE {two} END", kind)


def _first(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    kind = common_of(arguments)
    values = ", ".join(cast(value, kind).sql for value in arguments)
    return made(arguments, f"coalesce({values})", kind)


def _null_if(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    kind = common_of(arguments)
    one, two = arguments
    is_equal = f"{cast(one, kind).sql} = {cast(two, kind).sql}"
    return made(arguments, f"CASE WHEN {is_equal} THEN NULL ELSE {one.sql} END", one.type)


def _null_or(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    kind = common_of(arguments[1:])
    one, two = (cast(value, kind).sql for value in arguments[1:])
    condition = f"{arguments[0].sql} IS NOT NULL"
    return made(arguments, f"CASE WHEN {condition} THEN {one} ELSE {two} END", kind)


_add = CONDITIONALS.add
_add("if", "BAA", "common", _either, "the second if the condition holds, else the third")
_add("ifnull nvl", "AA", "common", _first, "the first, or the second where it is NULL")
_add("coalesce", "A*", "common", _first, "the first that is not NULL")
_add("nullif", "AA", "same", _null_if, "NULL if both are equal, else the first")
_add("nvl2", "AAA", "common", _null_or, "the second if the first is not NULL, else the third")
_add("isnull", "A", "BOOLEAN", "({0} IS NULL)", "whether it is NULL")


def _session(name: str, variable: str, *, is_number: bool = False) -> None:
    def build(call: Call, arguments: tuple[Bound, ...]) -> Bound:
        return made((), call.variable(variable), BIGINT if is_number else VARCHAR)

    gives = "BIGINT" if is_number else "VARCHAR"
    SESSION.add(name, "", gives, build, _SESSION_TEXTS[variable])


_SESSION_TEXTS = {
    "database": "the session's database, NULL if none",
    "user": "the client's user and address",
    "version": "the version that clients are told",
    "connection_id": "the number of the connection",
    "catalog": "the session's catalog",
    "ref": "the branch, tag or commit the session reads",
}
_session("database schema", "database")
_session("user current_user session_user", "user")
_session("version", "version")
_session("connection_id", "connection_id", is_number=True)
_session("current_catalog", "catalog")
_session("lake_ref", "ref")
