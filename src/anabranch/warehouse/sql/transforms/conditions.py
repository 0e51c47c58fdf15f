"""Expressions outside of a query: of VALUES, SET and WHERE, over columns that the caller names.

A predicate that is kept (`fixed_condition`) is Doris's SQL again, with nothing of the session in
it, so that whoever reads it binds it through the same allow-list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from anabranch.kernel import limits
from anabranch.warehouse.errors import SqlError, doris, not_supported, syntax
from anabranch.warehouse.sql.functions.kinds import Bound
from anabranch.warehouse.sql.transforms import dialect, literals
from anabranch.warehouse.sql.transforms.binder import Binder
from anabranch.warehouse.sql.transforms.catalog import Catalog, Context, Described, TableName
from anabranch.warehouse.sql.transforms.expressions import bind
from anabranch.warehouse.sql.transforms.operators import condition
from anabranch.warehouse.sql.transforms.queries import bind_query
from anabranch.warehouse.sql.transforms.rendering import Plan, TableUse, Translated
from anabranch.warehouse.sql.transforms.scopes import Relation, Scope, ScopeColumn
from anabranch.warehouse.types import ColumnType, SqlType


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression in DuckDB's SQL; `columns` are the names it uses, in lower case."""

    translated: Translated
    type: ColumnType
    columns: frozenset[str] = frozenset()

    @property
    def tables(self) -> tuple[TableUse, ...]:
        """Return the tables that its sub-queries read."""
        return self.translated.tables

    def sql(self, relations: Mapping[int, str] | None = None) -> str:
        """Return DuckDB's SQL; `relations` has SQL for each table's number."""
        return self.translated.sql(relations or {})


def _no_subquery() -> SqlError:
    return not_supported("a sub-query in this place")


class NoTables:
    """A catalog for expressions that may have no sub-query."""

    def describe(self, name: TableName) -> Described:
        """Refuse."""
        raise _no_subquery()


@dataclass(frozen=True, slots=True)
class Names:
    """What an expression may name: columns of one relation, called `table` or by their names."""

    columns: Sequence[ScopeColumn]
    table: str = ""
    catalog: Catalog = field(default_factory=NoTables)


def bind_expression(
    text: str,
    names: Names,
    context: Context,
    parameters: Sequence[object] | None = None,
) -> Expression:
    """Return one scalar expression; raise SqlError for anything else."""
    read = _read(f"({text})", parameters)
    return _expression(read, read.node(), names, context, lambda value: value)


def bind_condition(
    text: str,
    names: Names,
    context: Context,
    parameters: Sequence[object] | None = None,
) -> Expression:
    """Return one expression as a truth value; raise SqlError for anything else."""
    read = _read(f"({text})", parameters)
    return _expression(read, read.node(), names, context, condition)


@dataclass(frozen=True, slots=True)
class _Read:
    """A text taken apart: its literals, and the tree in which they are numbers."""

    text: str
    literals: tuple[literals.Literal, ...]
    tree: exp.Expression

    def node(self) -> exp.Expression:
        """Return the one expression of the text."""
        found = self.tree.expressions if isinstance(self.tree, exp.Select) else []
        others = [part for part, value in self.tree.args.items() if value and part != "expressions"]
        if len(found) != 1 or others or isinstance(found[0], exp.Alias):
            raise syntax(self.text, 0, "more than one expression")
        node = found[0]
        assert isinstance(node, exp.Expression)
        return node


_DEPTHS = {"(": 1, ")": -1}


def _read(text: str, parameters: Sequence[object] | None, head: str = "SELECT ") -> _Read:
    if len(text) > limits.QUERY_TEXT_BYTES_MAX:
        raise doris(f"the statement is longer than {limits.QUERY_TEXT_BYTES_MAX} bytes")
    tokens, found = literals.scan(text, parameters)
    depth = 0
    for token in tokens:  # `a) OR (b` is no expression, though it would be one in brackets
        depth += _DEPTHS.get(token.text, 0) if token.slot is None else 0
        if head and depth == 0 and token.end < len(text):
            raise syntax(text, token.position, token.text)
    skeleton = dialect.skeleton(tokens, found, text)
    return _Read(text, tuple(found), dialect.parse(head + skeleton, text, found))


def _expression(
    read: _Read,
    node: exp.Expression,
    names: Names,
    context: Context,
    finish: Callable[[Bound], Bound],
) -> Expression:
    if isinstance(names.catalog, NoTables) and node.find(exp.Select, exp.SetOperation) is not None:
        raise _no_subquery()
    binder = Binder(read.literals, names.catalog, context, bind_query, keeps_opaque=True)
    scope = Scope(relations=[Relation(names.table, tuple(names.columns))])
    return _finished(binder, scope, node, context, finish)


def _finished(
    binder: Binder,
    scope: Scope,
    node: exp.Expression,
    context: Context,
    finish: Callable[[Bound], Bound],
) -> Expression:
    try:
        value = finish(bind(binder, node, scope))
    except RecursionError:
        raise doris("the statement is nested too deeply") from None
    if value.has_aggregate or "OVER (" in value.sql:
        raise SqlError(1111, "HY000", "Invalid use of group function")
    uses = tuple(
        TableUse(number, name, tuple(sorted(binder.used[number])))
        for number, name in enumerate(binder.tables)
    )
    plan = Plan(value.sql, (), uses, tuple(binder.versions), ())
    columns = frozenset(column.name.lower() for column in node.find_all(exp.Column))
    return Expression(Translated(plan, binder.literals, context), value.type, columns)


# Rows of VALUES


DEFAULT = None
"""What stands for the word DEFAULT in a row."""


def bind_rows(
    body: str,
    context: Context,
    parameters: Sequence[object] | None = None,
) -> list[list[Expression | None]]:
    """Return the rows of `VALUES (..), ..`; None stands where DEFAULT was written."""
    read = _read(body, parameters, head="")
    tree = read.tree
    if not isinstance(tree, exp.Values):
        raise syntax(body, 0, "no VALUES")
    rows: list[list[Expression | None]] = []
    names = Names(())
    binder = Binder(read.literals, names.catalog, context, bind_query, keeps_opaque=True)
    for row in tree.expressions:
        cells = row.expressions if isinstance(row, exp.Tuple) else [row]
        scope = Scope()
        rows.append(
            [
                DEFAULT if _is_default(cell) else _finished(binder, scope, cell, context, _same)
                for cell in cells
            ]
        )
    return rows


def _same(value: Bound) -> Bound:
    return value


def _is_default(node: exp.Expression) -> bool:
    if isinstance(node, exp.Var):
        return node.name.upper() == "DEFAULT"
    return (
        isinstance(node, exp.Column)
        and node.name.upper() == "DEFAULT"
        and not node.args.get("table")
        and not (isinstance(node.this, exp.Identifier) and node.this.args.get("quoted"))
    )


# Predicates that are kept


_SESSION_CALLS = frozenset(
    (
        "now", "sysdate", "current_timestamp", "localtime", "localtimestamp", "from_unixtime",
        "curdate", "current_date", "curtime", "current_time", "utc_timestamp", "utc_date",
        "utc_time", "unix_timestamp", "database", "schema", "user", "current_user",
        "session_user", "version", "connection_id", "current_catalog", "lake_ref",
    )
)  # fmt: skip
_VOLATILE = frozenset(("rand", "random", "uuid", "sleep"))
_ENCODED = re.compile(r"(?<![\w.`])'?99(\d{7})'?(?!\w)")


def fixed_condition(
    text: str,
    names: Names,
    written: Mapping[str, str],
    context: Context,
    evaluate: Callable[[str], str | None],
    parameters: Sequence[object] | None = None,
) -> str:
    """Return a condition as Doris's SQL that means the same in every session.

    `written` is, by lower-case column name, what the column is called in the result. Calls without
    a column that ask the session (now(), database()) become their values: `evaluate` takes
    DuckDB's SQL of a text and returns its value. Raises SqlError for sub-queries, for functions
    that answer differently each time, and for what depends on the session in another way.
    """
    read = _read(f"({text})", parameters)
    node = read.node()
    bound = _expression(read, node.copy(), names, context, condition)
    holder = exp.Paren(this=node)
    added: list[literals.Literal] = list(read.literals)
    for each in list(holder.walk()):
        if isinstance(each, (exp.Anonymous, exp.Column)) and _is_session_call(each, names):
            value = _expression(read, each.copy(), names, context, lambda got: got)
            _put_value(each, value, evaluate, added)
        elif isinstance(each, exp.Anonymous) and str(each.name).lower() in _VOLATILE:
            raise not_supported(f"{str(each.name).lower()}() in the condition of DELETE")
    for column in list(holder.find_all(exp.Column)):
        if _is_unit(column):
            continue
        kept = written.get(column.name.lower())
        if kept is None:
            raise not_supported("this condition of DELETE")
        column.replace(exp.column(exp.to_identifier(kept, quoted=True)))
    made = _written_out(holder.this.sql(dialect=dialect.Dialect), added)
    _check_same(made, bound, names, written, context)
    return made


def _is_session_call(node: exp.Expression, names: Names) -> bool:
    name = str(node.name).lower()
    if isinstance(node, exp.Column):
        known = {column.name.lower() for column in names.columns}
        return not node.args.get("table") and name in _SESSION_CALLS and name not in known
    return name in _SESSION_CALLS and node.find(exp.Column) is None


def _is_unit(node: exp.Expression) -> bool:
    """Tell whether a name is the unit of timestampdiff or timestampadd, which no column is."""
    call = node.parent
    is_move = isinstance(call, exp.Anonymous) and str(call.name).lower() in _UNIT_CALLS
    return is_move and call is not None and call.expressions[0] is node


_UNIT_CALLS = frozenset(("timestampdiff", "timestampadd"))
_STAMPS = {SqlType.DATE, SqlType.DATETIME}


def _put_value(
    node: exp.Expression,
    value: Expression,
    evaluate: Callable[[str], str | None],
    added: list[literals.Literal],
) -> None:
    """Put a value in the place of the call that gave it, cast to the call's type."""
    found = evaluate(f"CAST({value.sql()} AS VARCHAR)")
    if found is None:
        node.replace(exp.Null())
        return
    is_text = value.type.kind in (*_STAMPS, SqlType.VARCHAR, SqlType.STRING, SqlType.TIME)
    literal = literals.of_parameter(found if is_text else int(found))
    slot = literals.encode(len(added))
    added.append(literal)
    made = exp.Literal.string(slot) if is_text else exp.Literal.number(slot)
    if value.type.kind in _STAMPS:
        arguments = []
        if value.type.scale:
            arguments = [exp.Literal.number(literals.encode(len(added)))]
            added.append(literals.of_parameter(value.type.scale))
        kind = exp.DataType(
            this=exp.DType.USERDEFINED, kind=str(value.type.kind), expressions=arguments
        )
        node.replace(exp.Cast(this=made, to=kind))
        return
    node.replace(made)


def _written_out(generated: str, found: Sequence[literals.Literal]) -> str:
    def shown(place: re.Match[str]) -> str:
        literal = found[int(place.group(1))]
        if literal.shape == "n":
            return "NULL"
        if not literal.is_text:
            return literal.value
        escaped = literal.value.replace("\\", "\\\\").replace("'", "''").replace("\0", "\\0")
        return f"'{escaped}'"

    return _ENCODED.sub(shown, generated)


def _check_same(
    made: str, bound: Expression, names: Names, written: Mapping[str, str], context: Context
) -> None:
    """Raise unless the text written out means what was asked, in any session."""
    kept = [
        ScopeColumn(written[column.name.lower()], column.sql, column.type)
        for column in names.columns
        if column.name.lower() in written
    ]
    here = bind_condition(made, Names(kept), context).sql()
    nowhere = Context(context.utc_now.replace(year=2001), "+03:07")
    there = bind_condition(made, Names(kept), nowhere).sql()
    has_calls = bool(_SESSION_WORDS.search(bound.translated.plan.template))
    if here != there or (not has_calls and here != bound.sql()):
        raise not_supported("a condition of DELETE that depends on the session")


_SESSION_WORDS = re.compile("\x02session:")
