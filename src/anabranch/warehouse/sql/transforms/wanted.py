"""What WHERE says that columns must equal: whoever makes a table's rows may leave others out.

Only `column = value`, `column IN (values)` and AND of such: rows that are left out would have been
dropped by WHERE, whatever joins they go through.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from anabranch.warehouse.sql.transforms.binder import Binder
from anabranch.warehouse.sql.transforms.literals import decode
from anabranch.warehouse.sql.transforms.rendering import DATABASE, Wanted
from anabranch.warehouse.sql.transforms.scopes import Scope

_DATABASE_CALLS = frozenset(("database", "schema"))


def note_wanted(binder: Binder, node: exp.Expression, scope: Scope) -> None:
    """Tell the binder what a condition of WHERE wants of the tables of its own FROM."""
    for column, values in _equalities(node):
        table, database = column.args.get("table"), column.args.get("db")
        found = scope.find(
            column.name, table.name if table else "", database.name if database else ""
        )
        if found is None or found.column is None:
            continue
        number = binder.aliases.get(found.sql.split(".", 1)[0])
        marks = [mark for value in values if (mark := _mark(binder, value)) is not None]
        if number is not None and len(marks) == len(values):
            binder.wanted[number].append(Wanted(found.column[2], tuple(marks)))


def _equalities(node: exp.Expression) -> Iterator[tuple[exp.Expression, list[exp.Expression]]]:
    pending = [node]
    while pending:
        each = pending.pop()
        if isinstance(each, exp.Paren):
            pending.append(each.this)
        elif isinstance(each, exp.And):
            pending += [each.this, each.expression]
        elif isinstance(each, exp.EQ):
            for one, other in ((each.this, each.expression), (each.expression, each.this)):
                if isinstance(one, exp.Column):
                    yield one, [other]
        elif isinstance(each, exp.In) and isinstance(each.this, exp.Column) and each.expressions:
            yield each.this, list(each.expressions)


def _mark(binder: Binder, node: exp.Expression) -> int | str | None:
    """Return the slot of a text, or the mark of DATABASE(); None for anything else."""
    if isinstance(node, exp.Literal):
        slot = decode(str(node.this))
        return slot if slot is not None and binder.literals[slot].is_text else None
    is_call = isinstance(node, exp.Anonymous) and not node.expressions
    return DATABASE if is_call and str(node.name).lower() in _DATABASE_CALLS else None
