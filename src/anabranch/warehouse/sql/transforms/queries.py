"""Queries: select blocks, set operations, VALUES, WITH."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from anabranch.warehouse.errors import SqlError, doris, not_supported
from anabranch.warehouse.sql.functions import kinds
from anabranch.warehouse.sql.functions.casts import cast
from anabranch.warehouse.sql.functions.kinds import Bound, Type
from anabranch.warehouse.sql.functions.registry import COMPLEX
from anabranch.warehouse.sql.transforms.binder import Binder, BoundQuery
from anabranch.warehouse.sql.transforms.calls import direction
from anabranch.warehouse.sql.transforms.dialect import SQL_TEXT
from anabranch.warehouse.sql.transforms.expressions import bind
from anabranch.warehouse.sql.transforms.literals import decode, replace_encoded
from anabranch.warehouse.sql.transforms.operators import condition
from anabranch.warehouse.sql.transforms.relations import bind_from, pin_name
from anabranch.warehouse.sql.transforms.rendering import Output, place
from anabranch.warehouse.sql.transforms.scopes import CommonTable, Scope
from anabranch.warehouse.sql.transforms.wanted import note_wanted

_SELECT_PARTS = frozenset(
    (
        "expressions", "from_", "joins", "laterals", "where", "group", "having", "qualify",
        "order", "limit", "offset", "distinct", "with_", "hint", "kind", "operation_modifiers",
    )
)  # fmt: skip


def bind_query(binder: Binder, node: exp.Expression, parent: Scope | None) -> BoundQuery:
    """Return a query in DuckDB's SQL, its columns named c1, c2, ..."""
    binder.enter()
    try:
        return _bind_query(binder, node, parent)
    finally:
        binder.leave()


def _bind_query(binder: Binder, node: exp.Expression, parent: Scope | None) -> BoundQuery:
    if isinstance(node, exp.Subquery):
        if any(node.args.get(part) for part in ("with_", "order", "limit", "offset")):
            return _modified(binder, node, parent)
        return bind_query(binder, node.this, parent)
    if isinstance(node, exp.Select):
        return _Block(binder, node, parent).bind()
    if isinstance(node, exp.SetOperation):
        return _set_operation(binder, node, parent)
    if isinstance(node, exp.Values):
        return _values(binder, node, parent)
    if isinstance(node, exp.Paren):
        return bind_query(binder, node.this, parent)
    raise not_supported(type(node).__name__)


def _common_tables(binder: Binder, node: exp.Expression, scope: Scope) -> str:
    """Bind WITH's queries into the scope and return its text."""
    clause = node.args.get("with_")
    if clause is None:
        return ""
    if clause.args.get("recursive"):
        raise not_supported("WITH RECURSIVE")
    parts: list[str] = []
    for each in clause.expressions:
        query = bind_query(binder, each.this, scope)
        alias = each.args["alias"]
        names = [column.name for column in alias.args.get("columns") or ()]
        if names and len(names) != len(query.outputs):
            text = "WITH column list and SELECT field list have different column counts"
            raise SqlError(1353, "HY000", text)
        if not names:
            for output in query.outputs:
                pin_name(binder, output)
            names = [replace_encoded(output.name, binder.literals) for output in query.outputs]
        generated = binder.fresh("q")
        columns = tuple(zip(names, (output.type for output in query.outputs), strict=True))
        scope.ctes[alias.name] = CommonTable(generated, columns)
        parts.append(f"{generated} AS ({query.sql})")
    return f"WITH {', '.join(parts)} "


def _limits(binder: Binder, node: exp.Expression) -> str:
    parts: list[str] = []
    for name, word in (("limit", "LIMIT"), ("offset", "OFFSET")):
        found = node.args.get(name)
        if found is None:
            continue
        if not isinstance(found, (exp.Limit, exp.Offset)):
            raise not_supported("FETCH")
        number = found.args.get("expression")
        slot = decode(number.name) if isinstance(number, exp.Literal) else None
        if slot is None or not binder.literals[slot].shape.startswith("i"):
            raise doris(f"{word} needs a number that is not negative")
        parts.append(f" {word} {place('literal', slot)}")
    return "".join(parts)


def _ordinal(binder: Binder, node: exp.Expression, count: int, clause: str) -> int | None:
    """Return the place in the select list that a bare number names."""
    if not isinstance(node, exp.Literal) or node.is_string:
        return None
    slot = decode(str(node.this))
    if slot is None or not binder.literals[slot].shape.startswith("i"):
        return None
    number = int(binder.pin(slot))
    if not 1 <= number <= count:
        raise SqlError(1054, "42S22", f"Unknown column '{number}' in '{clause}'")
    return number


def _output_order(binder: Binder, node: exp.Expression, outputs: tuple[Output, ...]) -> str:
    """Return ORDER BY of a set operation: by place or by name."""
    order = node.args.get("order")
    if order is None:
        return ""
    parts: list[str] = []
    for ordered in order.expressions:
        number = _ordinal(binder, ordered.this, len(outputs), "order clause")
        if number is None and isinstance(ordered.this, exp.Column):
            wanted = ordered.this.name.lower()
            names = [replace_encoded(each.name, binder.literals).lower() for each in outputs]
            if wanted not in names:
                raise SqlError(1054, "42S22", f"Unknown column '{wanted}' in 'order clause'")
            number = names.index(wanted) + 1
        if number is None:
            raise not_supported("an expression in ORDER BY of a set operation")
        parts.append(f"{number} {direction(ordered)}")
    return f" ORDER BY {', '.join(parts)}"


def _modified(binder: Binder, node: exp.Subquery, parent: Scope | None) -> BoundQuery:
    scope = Scope(parent=parent)
    prefix = _common_tables(binder, node, scope)
    inner = bind_query(binder, node.this, scope)
    order = _output_order(binder, node, inner.outputs)
    names = _shown_columns(binder, inner.outputs, parent)
    sql = f"{prefix}SELECT {names} FROM ({inner.sql}){order}{_limits(binder, node)}"  # noqa: S608 - its parts are our own
    return BoundQuery(sql, inner.outputs)


def _shown_columns(binder: Binder, outputs: tuple[Output, ...], parent: Scope | None) -> str:
    """Return what a query selects of an inner one's columns, hidden where nobody is to see them."""
    columns = [
        (f"c{number + 1}", output.type.kind in kinds.OPAQUE)
        for number, output in enumerate(outputs)
    ]
    if parent is not None or binder.keeps_opaque or not any(hides for _, hides in columns):
        return ", ".join(name for name, _ in columns)
    return ", ".join(f"{_hidden(name)} AS {name}" if hides else name for name, hides in columns)


def _hidden(sql: str) -> str:
    """Return NULL in place of a sketch, which is computed all the same: its errors are told."""
    return f"CASE WHEN octet_length({sql}) < 0 THEN {sql} END"


def _set_operation(binder: Binder, node: exp.SetOperation, parent: Scope | None) -> BoundQuery:
    scope = Scope(parent=parent)
    prefix = _common_tables(binder, node, scope)
    # A long chain leans to the left: it is bound without recursion.
    chain: list[exp.Expression] = [node]
    left_node = node.this
    while isinstance(left_node, exp.SetOperation) and not any(
        left_node.args.get(part) for part in ("with_", "order", "limit", "offset")
    ):
        chain.append(left_node)
        left_node = left_node.this
    result = bind_query(binder, left_node, scope)
    for each in reversed(chain):
        right = bind_query(binder, each.args["expression"], scope)
        result = _combined(each, result, right)
    order = _output_order(binder, node, result.outputs)
    body = result.sql
    if parent is None and any(output.type.kind in kinds.OPAQUE for output in result.outputs):
        body = f"SELECT {_shown_columns(binder, result.outputs, parent)} FROM ({body})"  # noqa: S608 - its parts are our own
    sql = f"{prefix}{body}{order}{_limits(binder, node)}"
    return BoundQuery(sql, result.outputs)


def _combined(node: exp.Expression, left: BoundQuery, right: BoundQuery) -> BoundQuery:
    if len(left.outputs) != len(right.outputs):
        text = "The used SELECT statements have a different number of columns"
        raise SqlError(1222, "21000", text)
    words: dict[type[exp.Expression], str]
    words = {exp.Union: "UNION", exp.Except: "EXCEPT", exp.Intersect: "INTERSECT"}
    word = words[type(node)]
    is_all = node.args.get("distinct") is False
    pairs = zip(left.outputs, right.outputs, strict=True)
    types = [kinds.common(one.type, two.type) for one, two in pairs]
    if not is_all and any(kind.is_complex for kind in types):
        raise doris(COMPLEX)
    sides = [_as_types(side, types) for side in (left, right)]
    outputs = tuple(
        replace(output, type=kind) for output, kind in zip(left.outputs, types, strict=True)
    )
    return BoundQuery(f"{sides[0]} {word}{' ALL' if is_all else ''} {sides[1]}", outputs)


def _as_types(query: BoundQuery, types: list[Type]) -> str:
    columns = [
        cast(Bound(f"c{number + 1}", output.type), kind).sql + f" AS c{number + 1}"
        for number, (output, kind) in enumerate(zip(query.outputs, types, strict=True))
    ]
    return f"(SELECT {', '.join(columns)} FROM ({query.sql}))"  # noqa: S608 - its parts are our own


def _values(binder: Binder, node: exp.Values, parent: Scope | None) -> BoundQuery:
    scope = Scope(parent=parent)
    rows = [
        [
            bind(binder, each, scope)
            for each in (row.expressions if isinstance(row, exp.Tuple) else [row])
        ]
        for row in node.expressions
    ]
    width = len(rows[0])
    if any(len(row) != width for row in rows):
        raise SqlError(1136, "21S01", "Column count doesn't match value count at row 1")
    types: list[Type] = [kinds.NULL] * width
    for row in rows:
        types = [kinds.common(kind, value.type) for kind, value in zip(types, row, strict=True)]
    texts = [
        "(" + ", ".join(cast(value, kind).sql for value, kind in zip(row, types, strict=True)) + ")"
        for row in rows
    ]
    names = [f"c{number + 1}" for number in range(width)]
    outputs = tuple(Output(f"column_{number}", kind) for number, kind in enumerate(types))
    shown = _shown_columns(binder, outputs, parent)
    sql = f"SELECT {shown} FROM (VALUES {', '.join(texts)}) AS v({', '.join(names)})"  # noqa: S608 - its parts are our own
    return BoundQuery(sql, outputs)


class _Block:
    """One SELECT with its clauses."""

    def __init__(self, binder: Binder, node: exp.Select, parent: Scope | None) -> None:
        self._binder = binder
        self._node = node
        self._scope = Scope(parent=parent)
        self._is_top = parent is None
        self._values: list[Bound] = []
        self._outputs: list[Output] = []

    def bind(self) -> BoundQuery:
        """Return the block in DuckDB's SQL, clauses bound in the order of their meaning."""
        node, binder = self._node, self._binder
        for part, value in node.args.items():
            if value and part not in _SELECT_PARTS and part != "locks":
                raise not_supported(part.upper())
        if not node.expressions:
            raise SqlError(
                1064, "42000", "errCode = 2, detailMessage = Syntax error: no select list"
            )
        prefix = _common_tables(binder, node, self._scope)
        source = bind_from(binder, node, self._scope)
        where = self._where()
        self._bind_list()
        self._name_aliases()
        group = self._group()
        having, where = self._having(where, group)
        qualify = self._qualify()
        order = self._order()
        distinct = "DISTINCT " if node.args.get("distinct") else ""
        if distinct and node.args["distinct"].args.get("on"):
            raise not_supported("DISTINCT ON")
        if distinct and any(value.type.is_complex for value in self._values):
            raise doris(COMPLEX)
        columns = ", ".join(
            f"{self._shown(value)} AS c{number + 1}" for number, value in enumerate(self._values)
        )
        sql = f"{prefix}SELECT {distinct}{columns}"
        sql += f" FROM {source}" if source else ""
        sql += f" WHERE {where}" if where else ""
        sql += f"{group}{having}{qualify}{order}{_limits(binder, node)}"
        return BoundQuery(sql, tuple(self._outputs))

    def _shown(self, value: Bound) -> str:
        """Return a select item; sketches are shown to nobody unless asked for."""
        is_hidden = (
            self._is_top and not self._binder.keeps_opaque and value.type.kind in kinds.OPAQUE
        )
        if not is_hidden:
            return value.sql
        # A plain column is not even read.
        return (
            f"CASE WHEN false THEN {value.sql} END"
            if value.column is not None
            else _hidden(value.sql)
        )

    def _where(self) -> str:
        clause = self._node.args.get("where")
        if clause is None:
            return ""
        value = condition(bind(self._binder, clause.this, self._scope))
        if value.has_aggregate:
            raise SqlError(1111, "HY000", "Invalid use of group function")
        note_wanted(self._binder, clause.this, self._scope)
        return value.sql

    def _bind_list(self) -> None:
        for item in self._node.expressions:
            if isinstance(item, exp.Star) or (
                isinstance(item, exp.Column) and isinstance(item.this, exp.Star)
            ):
                self._bind_star(item)
                continue
            inner = item.this if isinstance(item, exp.Alias) else item
            value = bind(self._binder, inner, self._scope)
            self._values.append(value)
            self._outputs.append(self._output(item, inner, value))

    def _output(self, item: exp.Expression, inner: exp.Expression, value: Bound) -> Output:
        if isinstance(item, exp.Alias):
            name = item.alias
            slot = decode(name)
            name = self._binder.pin(slot) if slot is not None else name
        elif isinstance(inner, exp.Column):
            name = inner.name
        else:
            name = str(item.meta.get(SQL_TEXT) or "expression")
        table, database, original = value.column or ("", "", "")
        return Output(name, value.type, table, database, original)

    def _bind_star(self, item: exp.Expression) -> None:
        table = item.args.get("table")
        star = item.this if isinstance(item, exp.Column) else item
        if star.args.get("replace") or star.args.get("rename"):
            raise not_supported("* REPLACE")
        left_out = {each.name.lower() for each in star.args.get("except_") or ()}
        columns = list(self._scope.star(table.name if table else ""))
        if not columns:
            raise SqlError(1096, "HY000", "No tables used")
        for column in columns:
            if column.name.lower() in left_out:
                continue
            bound = column.bound
            number = self._binder.aliases.get(column.sql.split(".", 1)[0])
            if number is not None:
                self._binder.used[number].add(column.name)
            self._values.append(bound)
            origin = bound.column or ("", "", "")
            self._outputs.append(Output(column.name, column.type, *origin))

    def _name_aliases(self) -> None:
        """Let GROUP BY, HAVING and ORDER BY use the select list's names, after FROM's columns."""
        for item, value in zip(self._aliased(), self._values, strict=True):
            if item and item.lower() not in self._scope.aliases:
                self._scope.aliases[item.lower()] = value

    def _aliased(self) -> list[str]:
        return [replace_encoded(output.name, self._binder.literals) for output in self._outputs]

    def _with_aliases(self) -> Scope:
        """Return a scope in which unknown names are looked up among the aliases."""
        names = {
            name: value for name, value in self._scope.aliases.items() if not self._has_column(name)
        }
        inner = Scope(parent=self._scope)
        inner.variables.update(names)
        return inner

    def _has_column(self, name: str) -> bool:
        try:
            return self._scope.find(name, "", "") is not None
        except SqlError:  # ambiguous: an alias of that name does not win
            return True

    def _group(self) -> str:
        clause = self._node.args.get("group")
        if clause is None:
            return ""
        plain = [self._group_item(each) for each in clause.expressions]
        parts = list(plain)
        for key, word in (("rollup", "ROLLUP"), ("cube", "CUBE")):
            for each in clause.args.get(key) or ():
                if each.expressions:
                    parts.append(f"{word} ({self._group_items(each)})")
                else:  # WITH ROLLUP: of everything before it
                    parts = [f"{word} ({', '.join(plain)})"]
        for each in clause.args.get("grouping_sets") or ():
            parts.append(f"GROUPING SETS ({self._sets(each)})")
        nested = [each for each in clause.expressions if not isinstance(each, _GROUPINGS)]
        if len(nested) != len(clause.expressions):
            parts = [
                self._grouping(each) if isinstance(each, _GROUPINGS) else self._group_item(each)
                for each in clause.expressions
            ]
        if clause.args.get("all"):
            raise not_supported("GROUP BY ALL")
        return f" GROUP BY {', '.join(parts)}"

    def _grouping(self, node: exp.Expression) -> str:
        if isinstance(node, exp.GroupingSets):
            return f"GROUPING SETS ({self._sets(node)})"
        word = "ROLLUP" if isinstance(node, exp.Rollup) else "CUBE"
        return f"{word} ({self._group_items(node)})"

    def _sets(self, node: exp.Expression) -> str:
        parts: list[str] = []
        for each in node.expressions:
            if isinstance(each, exp.Tuple):
                parts.append(f"({self._group_items(each)})")
            elif isinstance(each, exp.Paren):
                parts.append(f"({self._group_item(each.this)})")
            else:
                parts.append(self._group_item(each))
        return ", ".join(parts)

    def _group_items(self, node: exp.Expression) -> str:
        return ", ".join(self._group_item(each) for each in node.expressions)

    def _group_item(self, node: exp.Expression) -> str:
        if isinstance(node, _GROUPINGS):
            return ""
        number = _ordinal(self._binder, node, len(self._values), "group statement")
        if number is not None:
            value = self._values[number - 1]
        else:
            value = bind(self._binder, node, self._with_aliases())
        if value.has_aggregate:
            raise doris(
                "GROUP BY expression must not contain aggregate functions: " + value.type.text
            )
        if value.type.is_complex:
            raise doris(COMPLEX)
        if value.slot is not None:  # a constant is no place in the select list
            return f"({value.sql} || '')" if kinds.is_text(value.type) else f"({value.sql} + 0)"
        return value.sql

    def _having(self, where: str, group: str) -> tuple[str, str]:
        clause = self._node.args.get("having")
        if clause is None:
            return "", where
        value = condition(bind(self._binder, clause.this, self._with_aliases()))
        is_grouped = bool(group) or any(each.has_aggregate for each in (*self._values, value))
        if is_grouped:
            return f" HAVING {value.sql}", where
        return "", f"{where} AND {value.sql}" if where else value.sql

    def _qualify(self) -> str:
        clause = self._node.args.get("qualify")
        if clause is None:
            return ""
        value = condition(bind(self._binder, clause.this, self._with_aliases()))
        return f" QUALIFY {value.sql}"

    def _order(self) -> str:
        clause = self._node.args.get("order")
        if clause is None:
            return ""
        parts: list[str] = []
        for ordered in clause.expressions:
            parts.append(f"{self._order_item(ordered.this)} {direction(ordered)}")
        return f" ORDER BY {', '.join(parts)}"

    def _order_item(self, node: exp.Expression) -> str:
        number = _ordinal(self._binder, node, len(self._values), "order clause")
        if number is None and isinstance(node, exp.Column) and not node.args.get("table"):
            names = [name.lower() for name in self._aliased()]
            if names.count(node.name.lower()) == 1:
                number = names.index(node.name.lower()) + 1
        if number is not None:
            value = self._values[number - 1]
            if value.type.is_complex:
                raise doris(COMPLEX)
            return str(number)
        value = bind(self._binder, node, self._with_aliases())
        if value.type.is_complex:
            raise doris(COMPLEX)
        for place_, each in enumerate(self._values):
            if each.sql == value.sql:
                return str(place_ + 1)
        if value.slot is not None:
            return "(SELECT NULL)"
        return value.sql


_GROUPINGS = (exp.GroupingSets, exp.Rollup, exp.Cube)
