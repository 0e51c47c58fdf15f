"""Expressions: every form of the tree that is allowed, each with its translation; no other."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from anabranch.warehouse.errors import SqlError, doris, not_supported
from anabranch.warehouse.sql.functions import kinds
from anabranch.warehouse.sql.functions.arrays import array_of, item
from anabranch.warehouse.sql.functions.casts import cast, numeric, text
from anabranch.warehouse.sql.functions.kinds import BIGINT, BOOLEAN, Bound, Type
from anabranch.warehouse.sql.functions.registry import common_of, made
from anabranch.warehouse.sql.transforms import calls
from anabranch.warehouse.sql.transforms.binder import Binder
from anabranch.warehouse.sql.transforms.literals import LARGEINT_EDGE, decode
from anabranch.warehouse.sql.transforms.operators import (
    arithmetic,
    compare,
    condition,
    contained,
)
from anabranch.warehouse.sql.transforms.rendering import place
from anabranch.warehouse.sql.transforms.scopes import Scope
from anabranch.warehouse.types import SqlType, make_type


def bind(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
    """Return an expression in DuckDB's SQL; raise SqlError for anything that is not listed here."""
    form = _FORMS.get(type(node))
    if form is None:
        raise not_supported(type(node).__name__)
    known = _KNOWN_PARTS.get(type(node), _PARTS)
    for part, value in node.args.items():
        if value and part not in known:  # a part that nobody reads would be silently wrong
            raise not_supported(f"{type(node).__name__} {part}")
    binder.enter()
    try:
        return form(binder, node, scope)
    finally:
        binder.leave()


def _bind_all(binder: Binder, nodes: list[exp.Expression], scope: Scope) -> list[Bound]:
    return [bind(binder, node, scope) for node in nodes]


def _literal(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
    written = str(node.this)
    if written.startswith("-"):  # INTERVAL -1 DAY comes as the text '-1'
        return _negated(binder, exp.Neg(this=exp.Literal.number(written[1:])), scope)
    slot = decode(written)
    if slot is None or slot >= len(binder.literals):
        raise not_supported(f"literal {node.this}")
    return binder.literal(slot)


def _column(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
    if isinstance(node.this, exp.Star):
        raise doris("* is not allowed here")
    table = node.args.get("table")
    database = node.args.get("db")
    name = node.name
    if table is None and name.lower() in _BARE_CALLS and scope.find(name, "", "") is None:
        return calls.call(binder, exp.Anonymous(this=name, expressions=[]), scope, bind)
    found = scope.resolve(
        name, table.name if table else "", database.name if database else "", "field list"
    )
    if found.column is not None:
        _note_use(binder, found)
    return found


_BARE_CALLS = {
    "current_timestamp",
    "current_date",
    "current_time",
    "current_user",
    "localtime",
    "localtimestamp",
    "current_catalog",
}


def _note_use(binder: Binder, found: Bound) -> None:
    alias = found.sql.split(".", 1)[0]
    number = binder.aliases.get(alias)
    if number is not None and found.column is not None:
        binder.used[number].add(found.column[2])


def _identifier(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
    return scope.resolve(node.name, "", "", "field list")


def _null(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
    return Bound("NULL", kinds.NULL)


def _boolean(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
    return Bound("true" if node.this else "false", BOOLEAN)


def _paren(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
    return bind(binder, node.this, scope)


def _arithmetic(sign: str) -> Callable[[Binder, exp.Expression, Scope], Bound]:
    def form(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
        left, right = node.this, node.args["expression"]
        if sign in "+-" and isinstance(right, exp.Interval):
            way = 1 if sign == "+" else -1
            time = bind(binder, left, scope)
            return calls.moved_by(binder, time, right, way, scope, bind)
        if sign == "+" and isinstance(left, exp.Interval):
            return calls.moved_by(binder, bind(binder, right, scope), left, 1, scope, bind)
        return arithmetic(sign, bind(binder, left, scope), bind(binder, right, scope))

    return form


def _comparison(sign: str) -> Callable[[Binder, exp.Expression, Scope], Bound]:
    def form(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
        left, right = node.this, node.args["expression"]
        if isinstance(right, (exp.Any, exp.All)):
            raise not_supported("ANY and ALL")
        return compare(binder, sign, bind(binder, left, scope), bind(binder, right, scope))

    return form


def _bits(template: str) -> Callable[[Binder, exp.Expression, Scope], Bound]:
    def form(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
        values = [
            cast(numeric(bind(binder, each, scope)), BIGINT)
            for each in (node.this, node.args.get("expression"))
            if each is not None
        ]
        texts = [f"CAST({value.sql} AS BIGINT)" for value in values]
        return made(values, template.format(*texts), BIGINT)

    return form


def _connected(word: str) -> Callable[[Binder, exp.Expression, Scope], Bound]:
    def form(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
        # A long chain is a deep tree leaning to the left: it is taken apart without recursion.
        parts: list[exp.Expression] = []
        while type(node) in _CONNECTIVES and _CONNECTIVES[type(node)] == word:
            parts.append(node.args["expression"])
            node = node.this
        parts.append(node)
        values = [condition(bind(binder, part, scope)) for part in reversed(parts)]
        sql = f" {word} ".join(value.sql for value in values)
        return made(values, f"({sql})", BOOLEAN)

    return form


_CONNECTIVES: dict[type[exp.Expression], str] = {exp.And: "AND", exp.Or: "OR"}


def _exclusive(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
    one, two = (condition(bind(binder, part, scope)) for part in (node.this, node.expression))
    return made((one, two), f"({one.sql} <> {two.sql})", BOOLEAN)


def _not(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
    value = condition(bind(binder, node.this, scope))
    return made((value,), f"(NOT {value.sql})", BOOLEAN)


def _negated(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
    value = numeric(bind(binder, node.this, scope))
    if value.slot is not None and binder.literals[value.slot].shape == LARGEINT_EDGE:
        return Bound(f"CAST('{-(2**127)}' AS HUGEINT)", kinds.LARGEINT)
    return Bound(f"(-{value.sql})", value.type, slot=value.slot, has_aggregate=value.has_aggregate)


def _is(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
    value = bind(binder, node.this, scope)
    right = node.args["expression"]
    if isinstance(right, exp.Null):
        word = "IS NOT NULL" if node.args.get("negate") else "IS NULL"
        return made((value,), f"({value.sql} {word})", BOOLEAN)
    if isinstance(right, exp.Boolean):
        wanted = "true" if right.this else "false"
        word = "IS DISTINCT FROM" if node.args.get("negate") else "IS NOT DISTINCT FROM"
        sql = f"({condition(value).sql} {word} {wanted})"
        return made((value,), sql, BOOLEAN)
    raise not_supported("this form of IS")


def _between(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
    value, low, high = _bind_all(binder, [node.this, node.args["low"], node.args["high"]], scope)
    one, two = compare(binder, ">=", value, low), compare(binder, "<=", value, high)
    return made((value, low, high), f"({one.sql} AND {two.sql})", BOOLEAN)


def _in(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
    value = bind(binder, node.this, scope)
    query = node.args.get("query")
    if query is None:
        return contained(binder, value, _bind_all(binder, node.expressions, scope))
    inner = binder.query(binder, query.this if isinstance(query, exp.Subquery) else query, scope)
    if len(inner.outputs) != 1:
        raise SqlError(1241, "21000", "Operand should contain 1 column(s)")
    kind = inner.outputs[0].type
    found = compare(binder, "=", value, Bound("\x05", kind)).sql
    left, right = found[1:-1].split(" = ", 1)
    sql = f"({left} IN (SELECT {right.replace(chr(5), 'c1')} FROM ({inner.sql})))"  # noqa: S608 - its parts are our own
    return made((value,), sql, BOOLEAN)


def _exists(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
    query = node.this
    inner = binder.query(binder, query.this if isinstance(query, exp.Subquery) else query, scope)
    return Bound(f"(EXISTS ({inner.sql}))", BOOLEAN)


def _subquery(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
    inner = binder.query(binder, node, scope)
    if len(inner.outputs) != 1:
        raise SqlError(1241, "21000", "Operand should contain 1 column(s)")
    return Bound(f"({inner.sql})", inner.outputs[0].type)


def _like(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
    value, pattern = _bind_all(binder, [node.this, node.args["expression"]], scope)
    word = "NOT LIKE" if node.args.get("negate") else "LIKE"
    left = text(value).sql
    if pattern.slot is not None:
        right = place("like", pattern.slot)
        return made((value,), f"({left} {word} {right})", BOOLEAN)
    right = text(pattern).sql
    return made((value, pattern), f"({left} {word} {right} ESCAPE '\\')", BOOLEAN)


def _escaped(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
    inner = node.this
    if not isinstance(inner, exp.Like):
        raise not_supported("ESCAPE")
    value, pattern, mark = _bind_all(
        binder, [inner.this, inner.args["expression"], node.args["expression"]], scope
    )
    word = "NOT LIKE" if inner.args.get("negate") else "LIKE"
    sql = f"({text(value).sql} {word} {text(pattern).sql} ESCAPE {mark.sql})"
    return made((value, pattern), sql, BOOLEAN)


def _regular(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
    value, pattern = _bind_all(binder, [node.this, node.args["expression"]], scope)
    sql = f"regexp_matches({text(value).sql}, {text(pattern).sql})"
    return made((value, pattern), sql, BOOLEAN)


def _case(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
    subject = bind(binder, node.this, scope) if node.this is not None else None
    tests: list[Bound] = []
    for branch in node.args["ifs"]:
        test = bind(binder, branch.this, scope)
        tests.append(compare(binder, "=", subject, test) if subject else condition(test))
    values = [bind(binder, branch.args["true"], scope) for branch in node.args["ifs"]]
    default = node.args.get("default")
    if default is not None:
        values.append(bind(binder, default, scope))
    kind = common_of(values)
    texts = [cast(value, kind).sql for value in values]
    parts = [f"WHEN {test.sql} THEN {then}" for test, then in zip(tests, texts, strict=False)]
    if default is not None:
        parts.append(f"ELSE {texts[-1]}")
    return made([*tests, *values], f"CASE {' '.join(parts)} END", kind)


def _cast(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
    value = bind(binder, node.this, scope)
    to = data_type(binder, node.args["to"])
    if to.kind is SqlType.ARRAY and value.type.kind is SqlType.ARRAY:
        element = cast(Bound("x", value.type.items[0]), to.items[0]).sql
        return made((value,), f"list_transform({value.sql}, lambda x: {element})", to)
    if to.kind in kinds.OPAQUE and value.type.kind is not to.kind:
        shown = f"{value.type.text} to target type={to.kind}"
        raise doris(f"can not cast from origin type {shown}")
    if value.type.kind in kinds.OPAQUE and value.type.kind is not to.kind:
        shown = f"{value.type.kind} to target type={to.text}"
        raise doris(f"can not cast from origin type {shown}")
    if to.kind is SqlType.JSON and value.type.kind is not SqlType.JSON:
        return made((value,), f"doris_json({text(value).sql})", to)
    return cast(value, to)


_NAMES = {
    "TEXT": "STRING",
    "INT128": "LARGEINT",
    "INTEGER": "INT",
    "SIGNED": "BIGINT",
    "UNSIGNED": "BIGINT",
    "UBIGINT": "BIGINT",
    "DATETIME2": "DATETIME",
    "TIMESTAMP": "DATETIME",
    "TIMESTAMPTZ": "DATETIME",
    "TIMESTAMPNTZ": "DATETIME",
    "BINARY": "STRING",
    "VARBINARY": "STRING",
    "HLLSKETCH": "HLL",
    "MEDIUMTEXT": "STRING",
    "NVARCHAR": "VARCHAR",
    "NCHAR": "CHAR",
    "UINT": "INT",
}


def data_type(binder: Binder, node: exp.Expression) -> Type:
    """Return the type that CAST names."""
    if not isinstance(node, exp.DataType):
        raise not_supported("this type")
    name = node.this.name if isinstance(node.this, exp.DType) else str(node.this)
    if name == "USERDEFINED":
        kind = node.args.get("kind")
        name = str(kind.name if isinstance(kind, exp.Expression) else kind or "")
    if name == "ARRAY" and node.expressions:
        return kinds.array(data_type(binder, node.expressions[0]))
    sizes: list[int] = []
    for each in node.expressions:
        slot = decode(each.name)
        if slot is None:
            raise not_supported(f"type {name}")
        sizes.append(int(binder.pin(slot)))
    name = _NAMES.get(name.upper(), name)
    if name in ("CHAR", "VARCHAR") and not sizes:
        return kinds.VARCHAR
    return make_type(name, tuple(sizes))


def _call(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
    assert isinstance(node, exp.Anonymous)
    return calls.call(binder, node, scope, bind)


def _window(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
    assert isinstance(node, exp.Window)
    return calls.window(binder, node, scope, bind)


def _array(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
    return array_of(tuple(_bind_all(binder, node.expressions, scope)))


def _bracket(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
    if len(node.expressions) != 1:
        raise not_supported("this form of []")
    return item(bind(binder, node.this, scope), bind(binder, node.expressions[0], scope))


def _json_arrow(is_text: bool) -> Callable[[Binder, exp.Expression, Scope], Bound]:
    name = "json_extract_string" if is_text else "json_extract"

    def form(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
        arguments = [node.this, node.args["expression"]]
        call = exp.Anonymous(this=name, expressions=arguments)
        return calls.call(binder, call, scope, bind)

    return form


def _concat(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
    values = [text(value) for value in _bind_all(binder, [node.this, node.expression], scope)]
    sql = " || ".join(value.sql for value in values)
    return made(values, f"({sql})", kinds.VARCHAR)


def _system_variable(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
    is_global = str(node.args.get("kind") or "").upper() == "GLOBAL"
    return variable(binder, f"@@{'global.' if is_global else ''}{node.name}")


def variable(binder: Binder, name: str) -> Bound:
    """Return a variable: `@@name` of the system, `@name` of the user; 1193 if unknown."""
    context = binder.context
    if name.startswith("@@"):
        key = name[2:].lower()
        is_global = key.startswith("global.")
        variables = context.global_variables if is_global else context.variables
        plain = key.removeprefix("global.")
        if plain not in variables:
            raise SqlError(1193, "HY000", f"Unknown system variable '{plain}'")
        value, name = variables[plain], f"@@{key}"
    else:
        value = context.user_variables.get(name[1:])
    binder.is_bound_to_session = True
    kind = {bool: kinds.BOOLEAN, int: BIGINT, float: kinds.DOUBLE, type(None): kinds.NULL}
    return Bound(place("session", name), kind.get(type(value), kinds.VARCHAR))


def _user_variable(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
    return variable(binder, f"@{node.name}")


def _collate(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
    return bind(binder, node.this, scope)


def _time_constant(binder: Binder, node: exp.Expression, scope: Scope) -> Bound:
    names: dict[type[exp.Expression], str]
    names = {exp.CurrentDate: "curdate", exp.CurrentTime: "curtime"}
    name = names.get(type(node), "now")
    call = exp.Anonymous(this=name, expressions=[node.this] if node.this else [])
    return calls.call(binder, call, scope, bind)


_PARTS = frozenset(("this", "expression", "expressions"))
_KNOWN_PARTS: dict[type[exp.Expression], frozenset[str]] = {
    exp.Literal: frozenset(("this", "is_string")),
    exp.Identifier: frozenset(("this", "quoted")),
    exp.Column: frozenset(("this", "table", "db", "catalog")),
    exp.Like: _PARTS | {"negate"},
    exp.Is: _PARTS | {"negate"},
    exp.In: _PARTS | {"query"},
    exp.Between: frozenset(("this", "low", "high")),
    exp.Case: frozenset(("this", "ifs", "default")),
    exp.Cast: frozenset(("this", "to")),
    exp.Div: _PARTS | {"typed", "safe"},
    exp.Anonymous: _PARTS | {"distinct", "order"},
    exp.Window: frozenset(("this", "partition_by", "order", "spec", "over", "alias")),
    exp.Bracket: _PARTS | {"offset", "safe", "returns_list_for_maps"},
    exp.SessionParameter: _PARTS | {"kind"},
    exp.DPipe: _PARTS | {"safe"},
    exp.Select: frozenset(exp.Select.arg_types),  # the query's own binding looks at them
    exp.Subquery: frozenset(exp.Subquery.arg_types),
}
_FORMS: dict[type[exp.Expression], Callable[[Binder, exp.Expression, Scope], Bound]] = {
    exp.Literal: _literal,
    exp.Column: _column,
    exp.Identifier: _identifier,
    exp.Null: _null,
    exp.Boolean: _boolean,
    exp.Paren: _paren,
    exp.Add: _arithmetic("+"),
    exp.Sub: _arithmetic("-"),
    exp.Mul: _arithmetic("*"),
    exp.Div: _arithmetic("/"),
    exp.Mod: _arithmetic("%"),
    exp.IntDiv: _arithmetic("div"),
    exp.EQ: _comparison("="),
    exp.NEQ: _comparison("<>"),
    exp.LT: _comparison("<"),
    exp.LTE: _comparison("<="),
    exp.GT: _comparison(">"),
    exp.GTE: _comparison(">="),
    exp.NullSafeEQ: _comparison("<=>"),
    exp.BitwiseAnd: _bits("({} & {})"),
    exp.BitwiseOr: _bits("({} | {})"),
    exp.BitwiseXor: _bits("xor({}, {})"),
    exp.BitwiseNot: _bits("(~{})"),
    exp.BitwiseLeftShift: _bits("({} << {})"),
    exp.BitwiseRightShift: _bits("({} >> {})"),
    exp.And: _connected("AND"),
    exp.Or: _connected("OR"),
    exp.Xor: _exclusive,
    exp.Not: _not,
    exp.Neg: _negated,
    exp.Is: _is,
    exp.Between: _between,
    exp.In: _in,
    exp.Exists: _exists,
    exp.Subquery: _subquery,
    exp.Select: _subquery,
    exp.Like: _like,
    exp.Escape: _escaped,
    exp.RegexpLike: _regular,
    exp.Case: _case,
    exp.Cast: _cast,
    exp.Anonymous: _call,
    exp.Window: _window,
    exp.Array: _array,
    exp.Bracket: _bracket,
    exp.JSONExtract: _json_arrow(False),
    exp.JSONExtractScalar: _json_arrow(True),
    exp.DPipe: _concat,
    exp.SessionParameter: _system_variable,
    exp.Parameter: _user_variable,
    exp.Collate: _collate,
    exp.CurrentDate: _time_constant,
    exp.CurrentTime: _time_constant,
    exp.CurrentTimestamp: _time_constant,
}
