"""The allow-list: every function that SQL may call, by name."""

from anabranch.warehouse.sql.functions import casts
from anabranch.warehouse.sql.functions.aggregates import AGGREGATES, WINDOWS
from anabranch.warehouse.sql.functions.arrays import ARRAYS
from anabranch.warehouse.sql.functions.bitmaps import BITMAPS
from anabranch.warehouse.sql.functions.conditionals import CONDITIONALS, SESSION
from anabranch.warehouse.sql.functions.dates import DATES
from anabranch.warehouse.sql.functions.documents import DOCUMENTS
from anabranch.warehouse.sql.functions.numbers import NUMBERS
from anabranch.warehouse.sql.functions.registry import Function, unknown_function
from anabranch.warehouse.sql.functions.sketches import SKETCHES
from anabranch.warehouse.sql.functions.strings import STRINGS

FAMILIES = (
    STRINGS,
    NUMBERS,
    CONDITIONALS,
    DATES,
    AGGREGATES,
    WINDOWS,
    DOCUMENTS,
    ARRAYS,
    SKETCHES,
    BITMAPS,
    SESSION,
)


def _collect() -> dict[str, Function]:
    found: dict[str, Function] = {}
    for family in FAMILIES:
        for function in family.functions:
            assert function.name not in found, function.name
            found[function.name] = function
    return found


FUNCTIONS = _collect()

# What every DuckDB instance defines before it is locked; names end in what they compute.
MACROS = (*casts.MACROS, *(macro for family in FAMILIES for macro in family.macros))


def find_function(name: str) -> Function:
    """Return a function by its name, in any case; raise SqlError if it is not listed."""
    found = FUNCTIONS.get(name.lower())
    if found is None:
        raise unknown_function(name)
    return found


def macro_statements() -> list[str]:
    """Return CREATE MACRO statements; several arities of one name are one macro."""
    bodies: dict[str, list[str]] = {}
    for macro in MACROS:
        head, body = macro.split(" AS ", 1)
        name, parameters = head.split("(", 1)
        bodies.setdefault(name, []).append(f"({parameters} AS {body}")
    return [f"CREATE MACRO {name}{', '.join(parts)}" for name, parts in bodies.items()]
