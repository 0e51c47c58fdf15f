"""Calls of functions, aggregates and windows."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from sqlglot import exp

from anabranch.warehouse.errors import doris, not_supported
from anabranch.warehouse.sql.functions import kinds
from anabranch.warehouse.sql.functions.dates import is_unit, shifted, unit_name
from anabranch.warehouse.sql.functions.families import find_function
from anabranch.warehouse.sql.functions.kinds import BIGINT, Bound, Type
from anabranch.warehouse.sql.functions.registry import COMPLEX, made, wrong_arity
from anabranch.warehouse.sql.transforms.binder import Binder
from anabranch.warehouse.sql.transforms.rendering import place, zone_sql
from anabranch.warehouse.sql.transforms.scopes import Scope
from anabranch.warehouse.types import SqlType

Bind = Callable[[Binder, exp.Expression, Scope], Bound]
_FILTER = re.compile(r"\{filter:([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A call as a function's translation sees it."""

    binder: Binder
    name: str
    arguments: tuple[Bound, ...]

    def pin(self, argument: Bound) -> str | None:
        """Return a literal's value, on which the plan then depends."""
        if argument.sql.startswith("\x02unit:"):
            return argument.sql[6:-1]
        if argument.slot is None:
            return None
        value = self.binder.pin(argument.slot)
        return value if not argument.sql.startswith("(-") else f"-{value}"

    def shaped(self, argument: Bound, shape: str) -> str | None:
        """Return the place of a literal that is rewritten at rendering."""
        return None if argument.slot is None else place(shape, argument.slot)

    def variable(self, name: str) -> str:
        """Return SQL of a value of the session."""
        if name in ("to_utc", "from_utc"):
            return zone_sql(name, self.binder.context.time_zone)
        return place("session", name)


@dataclass(frozen=True, slots=True)
class _Written:
    """A call's arguments as written: DISTINCT and ORDER BY taken apart."""

    nodes: list[exp.Expression]
    is_distinct: bool
    order: exp.Expression | None


def _written(node: exp.Anonymous) -> _Written:
    nodes: list[exp.Expression] = []
    is_distinct = bool(node.args.get("distinct"))
    order = node.args.get("order")
    for child in node.expressions:
        if isinstance(child, exp.Order) and child.this is not None:
            order, child = child, child.this
        if isinstance(child, exp.Distinct):
            is_distinct = True
            nodes.extend(child.expressions)
        else:
            nodes.append(child)
    if nodes and isinstance(nodes[-1], exp.Order):
        order = nodes.pop()
    return _Written(nodes, is_distinct, order)


def call(binder: Binder, node: exp.Anonymous, scope: Scope, bind: Bind, over: str = "") -> Bound:
    """Return a call; `over` is the window's text if it has one."""
    name = str(node.name).lower()
    written = _written(node)
    if name == "count":
        return _finished(binder, _count(binder, written, scope, bind), written, scope, bind, over)
    if name in _LAMBDAS and any(isinstance(each, exp.Lambda) for each in written.nodes):
        return _with_lambda(binder, name, written.nodes, scope, bind)
    if name in _MOVES:
        return _moved(binder, name, written.nodes, scope, bind)
    function = find_function(name)
    if function.kind == "window" and not over:
        raise doris(f"Window function {name}() must have an OVER clause")
    if function.kind == "scalar" and over:
        raise doris(f"Unsupported window function: {name}")
    if function.kind == "scalar" and (written.is_distinct or written.order is not None):
        raise doris(f"Can not specify DISTINCT or ORDER BY for function '{name}'")
    arguments = tuple(_argument(binder, each, scope, bind, name) for each in written.nodes)
    done = function.bind(FunctionCall(binder, name, arguments))
    if function.kind == "scalar":
        return done
    if function.kind == "aggregate" and any(each.has_aggregate for each in arguments) and not over:
        raise doris("aggregate function cannot contain aggregate parameters")
    return _finished(binder, done, written, scope, bind, over)


def _argument(binder: Binder, node: exp.Expression, scope: Scope, bind: Bind, name: str) -> Bound:
    if isinstance(node, exp.Star):
        raise wrong_arity(name, 0)
    if name == "timestampdiff" and isinstance(node, (exp.Column, exp.Var)) and is_unit(node.name):  # noqa: SIM102 - reads better apart
        if isinstance(node, exp.Var) or not node.args.get("table"):
            return Bound(place("unit", node.name), kinds.VARCHAR)
    return bind(binder, node, scope)


def _moved(
    binder: Binder, name: str, nodes: list[exp.Expression], scope: Scope, bind: Bind
) -> Bound:
    """Return date_add(time, INTERVAL n unit), date_add(time, days), timestampadd(unit, n, time)."""
    sign = -1 if name.endswith("sub") or name == "subdate" else 1
    if name == "timestampadd":
        if len(nodes) != 3:
            raise wrong_arity(name, len(nodes))
        unit = unit_name(nodes[0].name, name)
        return shifted(bind(binder, nodes[2], scope), bind(binder, nodes[1], scope), unit, 1)
    if len(nodes) != 2:
        raise wrong_arity(name, len(nodes))
    time = bind(binder, nodes[0], scope)
    if isinstance(nodes[1], exp.Interval):
        return moved_by(binder, time, nodes[1], sign, scope, bind)
    return shifted(time, bind(binder, nodes[1], scope), "DAY", sign)


def moved_by(
    binder: Binder, time: Bound, interval: exp.Interval, sign: int, scope: Scope, bind: Bind
) -> Bound:
    """Return a time moved by an INTERVAL."""
    unit = interval.args.get("unit")
    if unit is None or interval.this is None:
        raise doris("INTERVAL needs a number and a unit")
    amount = bind(binder, interval.this, scope)
    return shifted(time, amount, unit_name(unit.name, "INTERVAL"), sign)


_MOVES = frozenset(("date_add", "date_sub", "adddate", "subdate", "timestampadd"))


def _finished(
    binder: Binder, value: Bound, written: _Written, scope: Scope, bind: Bind, over: str
) -> Bound:
    order = ordering(binder, written.order, scope, bind) if written.order is not None else ""
    sql = value.sql.replace("{distinct}", "DISTINCT " if written.is_distinct else "")
    sql = sql.replace("{order}", f" ORDER BY {order}" if order else "")
    sql = _FILTER.sub(lambda found: f" FILTER (WHERE {found.group(1)})", sql)
    sql = sql.replace("{over}", over)
    return Bound(sql, value.type, has_aggregate=not over or value.has_aggregate)


def _count(binder: Binder, written: _Written, scope: Scope, bind: Bind) -> Bound:
    nodes = written.nodes
    if len(nodes) == 1 and isinstance(nodes[0], exp.Star):
        return Bound("count(*){over}", BIGINT)
    if not nodes:
        raise wrong_arity("count", 0)
    values = [bind(binder, each, scope) for each in nodes]
    if len(values) > 1:
        if not written.is_distinct:
            raise doris("COUNT must have DISTINCT for multiple arguments")
        if any(value.type.is_complex for value in values):
            raise doris(COMPLEX)
        present = " AND ".join(f"{value.sql} IS NOT NULL" for value in values)
        row = ", ".join(value.sql for value in values)
        sql = f"count({{distinct}}CASE WHEN {present} THEN ({row}) END){{over}}"
        return made((), sql, BIGINT)
    value = values[0]
    if written.is_distinct and value.type.kind is SqlType.HLL:
        return Bound(f"coalesce(hll_union_agg({value.sql}){{over}}, 0)", BIGINT)
    if written.is_distinct and value.type.kind is SqlType.BITMAP:
        return Bound(f"coalesce(bitmap_count(bitmap_union({value.sql}){{over}}), 0)", BIGINT)
    if value.type.is_complex and written.is_distinct:
        raise doris(COMPLEX)
    return Bound(f"count({{distinct}}{value.sql}){{over}}", BIGINT)


def ordering(binder: Binder, node: exp.Expression, scope: Scope, bind: Bind) -> str:
    """Return an ORDER BY list inside a call or window: NULLs are the smallest, as in Doris."""
    parts: list[str] = []
    for ordered in node.expressions:
        value = bind(binder, ordered.this, scope)
        if value.type.is_complex:
            raise doris(COMPLEX)
        parts.append(f"{value.sql} {direction(ordered)}")
    return ", ".join(parts)


def direction(ordered: exp.Expression) -> str:
    """Return ASC or DESC with where NULLs go."""
    is_first = bool(ordered.args.get("nulls_first"))
    way = "DESC" if ordered.args.get("desc") else "ASC"
    return f"{way} NULLS {'FIRST' if is_first else 'LAST'}"


def window(binder: Binder, node: exp.Window, scope: Scope, bind: Bind) -> Bound:
    """Return a call with its OVER clause."""
    inner = node.this
    if not isinstance(inner, exp.Anonymous):
        raise not_supported("this form of a window function")
    if node.args.get("alias") is not None:
        raise not_supported("WINDOW clause")
    parts: list[str] = []
    partition = [bind(binder, each, scope) for each in node.args.get("partition_by") or ()]
    if any(value.type.is_complex for value in partition):
        raise doris(COMPLEX)
    if partition:
        parts.append("PARTITION BY " + ", ".join(value.sql for value in partition))
    order = node.args.get("order")
    if order is not None:
        parts.append("ORDER BY " + ordering(binder, order, scope, bind))
    spec = node.args.get("spec")
    if spec is not None:
        parts.append(_frame(binder, spec, scope, bind))
    found = call(binder, inner, scope, bind, f" OVER ({' '.join(parts)})")
    return Bound(found.sql, found.type, has_aggregate=False)


def _frame(binder: Binder, spec: exp.Expression, scope: Scope, bind: Bind) -> str:
    def edge(name: str) -> str:
        bound = spec.args.get(name)
        side = str(spec.args.get(f"{name}_side") or "").upper()
        if isinstance(bound, exp.Expression):
            text = bind(binder, bound, scope).sql
        else:
            text = str(bound or "CURRENT ROW").upper()
        if text not in ("UNBOUNDED", "CURRENT ROW") and not text.startswith(("\x02", "(")):
            raise not_supported("this frame of a window")
        return f"{text} {side}" if side in ("PRECEDING", "FOLLOWING") else text

    if spec.args.get("exclude"):
        raise not_supported("EXCLUDE in a window")
    kind = str(spec.args.get("kind") or "ROWS").upper()
    if kind not in ("ROWS", "RANGE"):
        raise not_supported(f"{kind} frame of a window")
    return f"{kind} BETWEEN {edge('start')} AND {edge('end')}"


_LAMBDAS = {
    "array_map": "list_transform",
    "array_filter": "list_filter",
    "array_exists": "list_transform",
    "array_count": "list_filter",
    "array_match_any": "any",
    "array_match_all": "all",
}


def _with_lambda(
    binder: Binder, name: str, nodes: list[exp.Expression], scope: Scope, bind: Bind
) -> Bound:
    if len(nodes) != 2 or not isinstance(nodes[0], exp.Lambda):
        raise not_supported(f"{name} over several arrays")
    head, values = nodes[0], bind(binder, nodes[1], scope)
    if values.type.kind is not SqlType.ARRAY or len(head.expressions) != 1:
        raise wrong_arity(name, len(nodes))
    variable = binder.fresh("x")
    inner = Scope(parent=scope)
    inner.variables[head.expressions[0].name.lower()] = Bound(variable, values.type.items[0])
    body = bind(binder, head.this, inner)
    if name == "array_map":
        sql = f"list_transform({values.sql}, lambda {variable}: {body.sql})"
        return made((values, body), sql, kinds.array(body.type))
    test = body.sql if body.type.kind is SqlType.BOOLEAN else f"({body.sql} <> 0)"
    chosen = f"list_filter({values.sql}, lambda {variable}: {test})"
    kind: Type = values.type
    if name == "array_count":
        chosen, kind = f"CAST(len({chosen}) AS BIGINT)", BIGINT
    elif name == "array_exists":
        chosen = f"list_transform({values.sql}, lambda {variable}: {test})"
        kind = kinds.array(kinds.BOOLEAN)
    elif name == "array_match_any":
        chosen, kind = f"(len({chosen}) > 0)", kinds.BOOLEAN
    elif name == "array_match_all":
        chosen, kind = f"(len({chosen}) = len({values.sql}))", kinds.BOOLEAN
    return made((values, body), chosen, kind)


SPECIAL_NAMES = ("count", *sorted(_MOVES), *_LAMBDAS)
"""Functions with a form of their own, beside the allow-list's."""
