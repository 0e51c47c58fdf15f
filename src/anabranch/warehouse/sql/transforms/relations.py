"""FROM: tables, derived tables, joins, lateral views."""

from __future__ import annotations

from sqlglot import exp

from anabranch.warehouse.errors import SqlError, doris, no_database, not_supported
from anabranch.warehouse.sql.functions import kinds
from anabranch.warehouse.sql.functions.casts import cast, text
from anabranch.warehouse.sql.functions.kinds import Bound, Type
from anabranch.warehouse.sql.transforms.binder import Binder
from anabranch.warehouse.sql.transforms.catalog import At, TableName
from anabranch.warehouse.sql.transforms.dialect import TRAVEL
from anabranch.warehouse.sql.transforms.expressions import bind
from anabranch.warehouse.sql.transforms.literals import decode, replace_encoded
from anabranch.warehouse.sql.transforms.operators import compare, condition
from anabranch.warehouse.sql.transforms.rendering import Output, place, quoted
from anabranch.warehouse.sql.transforms.scopes import CommonTable, Relation, Scope, ScopeColumn
from anabranch.warehouse.types import SqlType


def bind_from(binder: Binder, node: exp.Expression, scope: Scope) -> str:
    """Return FROM's text and put what it offers into the scope; '' without a FROM."""
    origin = node.args.get("from_")
    if origin is None or _is_dual(origin.this):
        return ""
    sql = _relation(binder, origin.this, scope)
    for inner in origin.this.args.get("joins") or ():
        sql = _join(binder, sql, inner, scope)
    for join in node.args.get("joins") or ():
        sql = _join(binder, sql, join, scope)
    for lateral in node.args.get("laterals") or ():
        sql = _lateral_view(binder, sql, lateral, scope)
    return sql


def _is_dual(node: exp.Expression) -> bool:
    return isinstance(node, exp.Table) and node.name.lower() == "dual" and not node.args.get("db")


def _relation(binder: Binder, node: exp.Expression, scope: Scope) -> str:
    """Return one relation's text and add it to the scope."""
    if isinstance(node, exp.Subquery):
        return _derived(binder, node, scope)
    if isinstance(node, exp.Values):
        return _derived(binder, node, scope)
    if isinstance(node, exp.Table):
        if isinstance(node.this, exp.Anonymous):
            return _table_function(binder, node, scope)
        return _table(binder, node, scope)
    raise not_supported(f"{type(node).__name__} in FROM")


def _derived(binder: Binder, node: exp.Expression, scope: Scope) -> str:
    if isinstance(node, exp.Subquery) and isinstance(node.this, (exp.Table, exp.Subquery)):  # noqa: SIM102 - reads better apart
        if (not node.alias and node.args.get("joins")) or isinstance(node.this, exp.Table):
            sql = _relation(binder, node.this, scope)
            for join in (*(node.this.args.get("joins") or ()), *(node.args.get("joins") or ())):
                sql = _join(binder, sql, join, scope)
            return f"({sql})"
    if not node.alias and isinstance(node, exp.Subquery):
        raise SqlError(1248, "42000", "Every derived table must have its own alias")
    query = binder.query(binder, node, Scope(parent=scope.parent, ctes=scope.ctes))
    alias = binder.fresh("r")
    names = _alias_columns(node, len(query.outputs))
    columns = tuple(
        ScopeColumn(
            names[number] if names else replace_encoded(output.name, binder.literals),
            f"{alias}.c{number + 1}",
            output.type,
        )
        for number, output in enumerate(query.outputs)
    )
    for output in query.outputs:
        if not names:
            pin_name(binder, output)
    _add(scope, Relation(node.alias, columns))
    return f"({query.sql}) AS {alias}"


def pin_name(binder: Binder, output: Output) -> None:
    """Pin the literals that a column's name shows: other parts of the query may use the name."""
    if "99" not in output.name:
        return
    for slot, literal in enumerate(binder.literals):
        marked = replace_encoded(output.name, binder.literals[: slot + 1])
        if marked != replace_encoded(output.name, binder.literals[:slot]):
            binder.pinned[slot] = literal.value


def _alias_columns(node: exp.Expression, count: int) -> list[str]:
    alias = node.args.get("alias")
    columns = [each.name for each in alias.args.get("columns") or ()] if alias else []
    if columns and len(columns) != count:
        text_ = "In definition of view, derived table or common table expression, "
        raise SqlError(
            1353, "HY000", text_ + "SELECT list and column names list have different column counts"
        )
    return columns


def _add(scope: Scope, relation: Relation) -> None:
    for other in scope.relations:
        if other.name == relation.name and other.database == relation.database and other.name:
            raise SqlError(1066, "42000", f"Not unique table/alias: '{relation.name}'")
    scope.relations.append(relation)


def _table(binder: Binder, node: exp.Table, scope: Scope) -> str:
    for part in ("partition", "sample", "pivots", "hints", "only", "when", "changes"):
        if node.args.get(part):
            raise not_supported(f"{part.upper()} of a table")
    if node.alias_column_names:
        # As in MySQL: only derived tables name their columns. TABLET(1) reads as such a list.
        raise not_supported("a list of columns behind a table")
    if node.args.get("db") is None:
        found = scope.common_table(node.name)
        if found is not None:
            return _common_table(binder, node, found, scope)
    slot = decode(node.name)
    if slot is not None and slot < len(binder.literals):
        shown = "'" + binder.literals[slot].value[:100] + "'"
        raise SqlError(1064, "42000", f"errCode = 2, detailMessage = a text is no table: {shown}")
    name = table_name(binder, node)
    described = binder.catalog.describe(name)
    number = len(binder.tables)
    binder.tables.append(name)
    binder.versions.append(described.version)
    binder.used.append(set())
    binder.wanted.append([])
    alias = binder.fresh("r")
    binder.aliases[alias] = number
    shown = node.alias or name.table
    columns = tuple(
        ScopeColumn(
            column.name, f"{alias}.{quoted(column.name)}", column.type, shown, name.database, True
        )
        for column in described.columns
    )
    _add(scope, Relation(shown, columns, "" if node.alias else name.database))
    return f"{place('table', number)} AS {alias}"


def table_name(binder: Binder, node: exp.Table) -> TableName:
    """Return the table that a node names, and the ref or time it is read at."""
    table, at = node.name, None
    if TRAVEL in table:
        table, kind, value = table.split(TRAVEL)
        slot = decode(value)
        at = At(kind, binder.pin(slot) if slot is not None else value)
    database = node.args.get("db")
    catalog = node.args.get("catalog")
    chosen = database.name if database else binder.context.database
    if not chosen:
        raise no_database()
    chosen = chosen.removeprefix("default_cluster:")
    return TableName(catalog.name if catalog else "", chosen, table, at)


def _common_table(binder: Binder, node: exp.Table, found: CommonTable, scope: Scope) -> str:
    alias = binder.fresh("r")
    columns = tuple(
        ScopeColumn(name, f"{alias}.c{number + 1}", kind)
        for number, (name, kind) in enumerate(found.columns)
    )
    _add(scope, Relation(node.alias or node.name, columns))
    return f"{found.alias} AS {alias}"


def _table_function(binder: Binder, node: exp.Table, scope: Scope) -> str:
    name = str(node.this.name).lower()
    if name != "numbers":
        raise doris(f"Can not find function '{name}'")
    given: dict[str, int] = {}
    for each in node.this.expressions:
        slots = [decode(str(side.name)) for side in (each.this, each.args.get("expression"))]
        if not isinstance(each, exp.EQ) or None in slots:
            raise doris('Property of numbers tvf must be "key" = "value"')
        key, value = (binder.pin(slot) for slot in slots if slot is not None)
        if key.lower() not in ("number", "const_value") or not value.isdigit():
            raise doris(f"Can not parse `{key}` of numbers tvf")
        given[key.lower()] = int(value)
    if "number" not in given:
        raise doris("can not build FunctionGenTable by numbers: number not set")
    alias = binder.fresh("r")
    column = str(given["const_value"]) if "const_value" in given else "range"
    _add(scope, Relation(node.alias or name, (ScopeColumn("number", f"{alias}.c1", kinds.BIGINT),)))
    return f"(SELECT CAST({column} AS BIGINT) AS c1 FROM range({given['number']})) AS {alias}"  # noqa: S608 - its parts are our own


def _join(binder: Binder, left: str, node: exp.Expression, scope: Scope) -> str:
    side = str(node.args.get("side") or "").upper()
    kind = str(node.args.get("kind") or "").upper()
    is_natural = str(node.args.get("method") or "").upper() == "NATURAL"
    if kind in ("SEMI", "ANTI"):
        return _semi_join(binder, left, node, scope, side, kind)
    before = list(scope.relations)
    if isinstance(node.this, exp.Lateral):
        return _lateral_view(binder, left, node.this, scope)
    right = _relation(binder, node.this, scope)
    added = scope.relations[len(before) :]
    shared = [each.name for each in node.args.get("using") or ()]
    if is_natural:
        shared = _shared_names(before, added)
    if shared:
        on = _merged(binder, scope, before, added, shared, side)
        return f"{left} {side} JOIN {right} ON {on}"
    condition_node = node.args.get("on")
    if condition_node is None:
        if side:
            raise doris(f"{side} JOIN needs ON or USING")
        return f"{left} CROSS JOIN {right}"
    on = condition(bind(binder, condition_node, scope)).sql
    return f"{left} {side} JOIN {right} ON {on}"


def _semi_join(
    binder: Binder, left: str, node: exp.Expression, scope: Scope, side: str, kind: str
) -> str:
    before = list(scope.relations)
    right = _relation(binder, node.this, scope)
    added = scope.relations[len(before) :]
    on = node.args.get("on")
    text_ = condition(bind(binder, on, scope)).sql if on is not None else "true"
    scope.relations[:] = added if side == "RIGHT" else before
    if side == "RIGHT":
        return f"{right} {kind} JOIN ({left}) ON {text_}"
    return f"{left} {kind} JOIN {right} ON {text_}"


def _shared_names(before: list[Relation], added: list[Relation]) -> list[str]:
    lower = {column.name.lower() for relation in added for column in relation.columns}
    return [
        column.name
        for relation in before
        for column in relation.columns
        if column.name.lower() in lower
    ]


def _merged(
    binder: Binder,
    scope: Scope,
    before: list[Relation],
    added: list[Relation],
    names: list[str],
    side: str,
) -> str:
    tests: list[str] = []
    for name in names:
        left_scope = Scope(relations=before, merged=dict(scope.merged))
        left = left_scope.resolve(name, "", "", "from clause")
        right = Scope(relations=added).resolve(name, "", "", "from clause")
        for each in (left, right):
            alias = each.sql.split(".", 1)[0]
            if alias in binder.aliases and each.column is not None:
                binder.used[binder.aliases[alias]].add(each.column[2])
        tests.append(compare(binder, "=", left, right).sql)
        chosen = right if side == "RIGHT" else left
        sql = f"coalesce({left.sql}, {right.sql})" if side == "FULL" else chosen.sql
        scope.merged[name.lower()] = ScopeColumn(name, sql, chosen.type)
    return "(" + " AND ".join(tests) + ")"


def _lateral_view(binder: Binder, left: str, node: exp.Expression, scope: Scope) -> str:
    call = node.this
    if not isinstance(call, exp.Anonymous):
        raise not_supported("LATERAL with a query")
    name = str(call.name).lower()
    is_outer = name.endswith("_outer") or bool(node.args.get("outer"))
    base = name.removesuffix("_outer")
    arguments = [bind(binder, each, scope) for each in call.expressions]
    values, kind = _exploded(base, arguments)
    alias_node = node.args.get("alias")
    shown = alias_node.name if alias_node else ""
    names = [each.name for each in alias_node.args.get("columns") or ()] if alias_node else []
    alias = binder.fresh("r")
    if base == "posexplode":
        if len(names) != 2:
            raise doris("posexplode gives two columns")
        columns: tuple[ScopeColumn, ...]
        inner = f"SELECT unnest(range(len({values}))) AS c1, unnest({values}) AS c2"
        columns = (
            ScopeColumn(names[0], f"{alias}.c1", kinds.INT),
            ScopeColumn(names[1], f"{alias}.c2", kind),
        )
    else:
        inner = f"SELECT unnest({values}) AS c1"
        column = names[0] if names else "col"
        columns = (ScopeColumn(column, f"{alias}.c1", kind),)
    _add(scope, Relation(shown, columns))
    join = "LEFT" if is_outer else "INNER"
    return f"{left} {join} JOIN LATERAL ({inner}) AS {alias} ON true"


def _exploded(name: str, arguments: list[Bound]) -> tuple[str, Type]:
    """Return the array that a generator makes rows of, and its elements' type."""
    counts = {"explode_split": 2}
    if name not in _GENERATORS:
        raise doris(f"Can not found function '{name}'")
    if len(arguments) != counts.get(name, 1):
        raise doris(f"Can not found function '{name}' which has {len(arguments)} arity.")
    value = arguments[0]
    if name in ("explode", "posexplode"):
        if value.type.kind is not SqlType.ARRAY:
            raise doris(f"only support array type for {name} function, but got {value.type.text}")
        return value.sql, value.type.items[0]
    if name == "explode_split":
        return f"string_split({text(value).sql}, {text(arguments[1]).sql})", kinds.VARCHAR
    if name == "explode_numbers":
        number = cast(value, kinds.BIGINT).sql
        return f"doris_range(CAST(0 AS BIGINT), {number}, CAST(1 AS BIGINT))", kinds.INT
    kind = _GENERATORS[name]
    document = f"TRY_CAST(doris_json({text(value).sql}) AS JSON[])"
    if kind.kind is SqlType.JSON:
        return document, kind
    part = f"TRY_CAST(json_extract_string(j, '$') AS {kinds.duckdb_name(kind)})"
    return f"list_transform({document}, lambda j: {part})", kind


_GENERATORS: dict[str, Type] = {
    "explode": kinds.NULL,
    "posexplode": kinds.NULL,
    "explode_split": kinds.VARCHAR,
    "explode_numbers": kinds.INT,
    "explode_json_array_int": kinds.BIGINT,
    "explode_json_array_double": kinds.DOUBLE,
    "explode_json_array_string": kinds.VARCHAR,
    "explode_json_array_json": kinds.JSON,
}
GENERATOR_NAMES = tuple(_GENERATORS)
