"""Tables of a database at a ref: prefixes that hold `_schema.json`."""

from __future__ import annotations

import builtins
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from anabranch.kernel import limits
from anabranch.kernel.entries import Entry
from anabranch.kernel.ids import Path
from anabranch.lake import Lake
from anabranch.lake.changes import BranchChange, Put
from anabranch.lake.values import BranchState, Repository, full_address
from anabranch.storage.kv.base import delete, is_as_seen, put
from anabranch.warehouse import keyspace
from anabranch.warehouse.catalog.databases import (
    JSON,
    Moved,
    names_under,
    read_small,
    small_body,
    writable,
)
from anabranch.warehouse.errors import (
    SqlError,
    lake_errors,
    no_such_table,
    table_exists,
    unknown_database,
    unknown_table,
)
from anabranch.warehouse.places import DatabasePlace, TablePlace
from anabranch.warehouse.schema import Table, decode_table, encode_table, parse_table_name


@dataclass(frozen=True, slots=True)
class Stored:
    """A table's schema; `identity` is the same exactly as long as the schema is."""

    schema: Table
    identity: str


class Tables:
    """Create, find, alter, rename and drop tables. All raise SqlError."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._lock = Lock()
        self._decoded: OrderedDict[tuple[str, str], Stored] = OrderedDict()

    def list(self, place: DatabasePlace) -> builtins.list[str]:
        """Return the names of a database's tables, in byte order; raise 1049."""
        with lake_errors():
            resolved = self._lake.resolve.resolve(place.place.repository, place.place.ref)
            names = [
                name for name in names_under(self._lake, resolved, place.prefix) if _is_name(name)
            ]
            paths = [place.table(name).schema_path for name in names]
            database, *found = self._lake.subtrees.find(resolved, [place.file_path, *paths])
            if database is None:
                raise unknown_database(place.database)
            return [name for name, entry in zip(names, found, strict=True) if entry is not None]

    def get(self, place: TablePlace) -> Stored:
        """Return a table's schema; raise 1146, or 1049 when its database does not exist."""
        with lake_errors():
            resolved = self._lake.resolve.resolve(place.place.repository, place.place.ref)
            database, entry = self._lake.subtrees.find(
                resolved, [place.within.file_path, place.schema_path]
            )
            if database is None:
                raise unknown_database(place.database)
            if entry is None:
                raise no_such_table(place.database, place.table)
            return self.decode(resolved.repository, entry)

    def decode(self, repository: Repository, entry: Entry) -> Stored:
        """Return the schema that an entry holds, kept by its address and checksum."""
        key = (full_address(repository, entry), entry.checksum)
        with self._lock:
            known = self._decoded.get(key)
            if known is not None:
                self._decoded.move_to_end(key)
                return known
        table = decode_table(read_small(self._lake, repository, entry))
        found = Stored(table, identity_of(entry))
        with self._lock:
            self._decoded[key] = found
            while len(self._decoded) > limits.SCHEMAS_CACHED_MAX:
                self._decoded.popitem(last=False)
        return found

    def create(self, place: TablePlace, table: Table) -> None:
        """Make a table; raise 1050 when there is one, 1049, 1103 for a wrong name."""
        parse_table_name(place.table)
        with lake_errors():
            target = writable(self._lake, place.place)
            body = small_body(self._lake, target.repository, encode_table(table))

            def change(state: BranchState) -> BranchChange[None]:
                (database, seen), _ = self._lake.changes.look(
                    state, [place.within.file_path, place.schema_path]
                )
                if database.entry is None:
                    raise unknown_database(place.database)
                if seen.entry is not None:
                    raise table_exists(place.table)
                return BranchChange(
                    None,
                    puts=[Put(Path(place.schema_path), body, (), JSON)],
                    conditions=[database.condition, seen.condition],
                    writes=[put(_tables_key(state, place), b"")],
                )

            self._lake.writer.submit(self._lake.changes.making_apply(target, change))

    def drop(self, place: TablePlace) -> None:
        """Drop a table and its rows; raise 1051, or 1049 when its database does not exist."""
        with lake_errors():
            target = writable(self._lake, place.place)

            def change(state: BranchState) -> BranchChange[None]:
                key = _sequence_key(state, place)
                (database, seen), (row,) = self._lake.changes.look(
                    state, [place.within.file_path, place.schema_path], [key]
                )
                if database.entry is None:
                    raise unknown_database(place.database)
                if seen.entry is None:
                    raise unknown_table(place.table)
                # A load published meanwhile would leave rows behind that nobody listed.
                conditions = [seen.condition, is_as_seen(key, row)]
                return BranchChange(None, conditions=conditions, writes=[delete(key)])

            self._lake.changes.drop_prefix(target, [place.prefix], change)

    def rename(self, place: TablePlace, new_name: str) -> None:
        """Give a table another name in its database; raise 1146, 1050, 1049 or 1103."""
        parse_table_name(new_name)
        new = place.within.table(new_name)
        with lake_errors():
            target = writable(self._lake, place.place)

            def change(state: BranchState) -> BranchChange[None]:
                keys = [_sequence_key(state, place), _sequence_key(state, new)]
                (database, seen, other), rows = self._lake.changes.look(
                    state, [place.within.file_path, place.schema_path, new.schema_path], keys
                )
                _require(place, database.entry, seen.entry)
                if other.entry is not None:
                    raise table_exists(new_name)
                moved = Moved(self._lake, state, {place.prefix: new.prefix})
                return BranchChange(
                    None,
                    entries=moved.entries,
                    deletes=moved.deletes,
                    conditions=[
                        other.condition,
                        database.condition,
                        *(is_as_seen(key, row) for key, row in zip(keys, rows, strict=True)),
                        *moved.conditions,
                    ],
                    # Absent, it is computed from what lies there then.
                    writes=[*map(delete, keys), put(_tables_key(state, place), b"")],
                )

            self._lake.changes.apply(target, change)

    def replace_with(self, place: TablePlace, other_name: str, *, swaps: bool = True) -> None:
        """Give a table the place of another: they change names, or the replaced one is dropped.

        Raises 1146 for either, 1049.
        """
        other = place.within.table(other_name)
        with lake_errors():
            target = writable(self._lake, place.place)

            def change(state: BranchState) -> BranchChange[None]:
                keys = [_sequence_key(state, place), _sequence_key(state, other)]
                (database, seen, theirs), rows = self._lake.changes.look(
                    state, [place.within.file_path, place.schema_path, other.schema_path], keys
                )
                _require(place, database.entry, seen.entry)
                _require(other, database.entry, theirs.entry)
                if place == other:
                    return BranchChange(None)
                ways = {other.prefix: place.prefix}
                if swaps:
                    ways[place.prefix] = other.prefix
                moved = Moved(self._lake, state, ways)
                taken = {path for path, _ in moved.entries}
                gone = set() if swaps else set(self._lake.changes.under(state, place.prefix))
                return BranchChange(
                    None,
                    entries=moved.entries,
                    deletes=sorted({*moved.deletes, *map(Path, gone - taken)}),
                    conditions=[
                        seen.condition,
                        *(is_as_seen(key, row) for key, row in zip(keys, rows, strict=True)),
                        *moved.conditions,
                    ],
                    writes=[*map(delete, keys), put(_tables_key(state, place), b"")],
                )

            self._lake.changes.apply(target, change)

    def change(self, place: TablePlace, alter: Callable[[Table], Table]) -> Table:
        """Alter a table; `alter` is called again when the schema moved. Returns the new schema.

        Rows of partitions that the new schema no longer has are dropped with it. Raises 1146,
        1049, and what `alter` raises.
        """
        with lake_errors():
            target = writable(self._lake, place.place)

            def change(state: BranchState) -> BranchChange[Table]:
                key = _sequence_key(state, place)
                (database, seen), (row,) = self._lake.changes.look(
                    state, [place.within.file_path, place.schema_path], [key]
                )
                entry = _require(place, database.entry, seen.entry)
                before = self.decode(state.repository, entry).schema
                after = alter(before)
                if after == before:
                    return BranchChange(after, conditions=[seen.condition])
                conditions = [seen.condition]
                deletes: builtins.list[Path] = []
                for partition in _partitions(before) - _partitions(after):
                    prefix = f"{place.rowsets_prefix}{partition}/"
                    deletes += map(Path, self._lake.changes.under(state, prefix))
                    conditions = [seen.condition, is_as_seen(key, row)]
                body = small_body(self._lake, state.repository, encode_table(after))
                puts = [Put(Path(place.schema_path), body, (), JSON)]
                return BranchChange(after, puts=puts, deletes=deletes, conditions=conditions)

            return self._lake.changes.apply(target, change)


def identity_of(entry: Entry) -> str:
    """Return what a schema's entry is known by: equal exactly for equal schemas."""
    return entry.identity.hex()


def _require(place: TablePlace, database: Entry | None, table: Entry | None) -> Entry:
    if database is None:
        raise unknown_database(place.database)
    if table is None:
        raise no_such_table(place.database, place.table)
    return table


def _partitions(table: Table) -> set[str]:
    return {one.id for one in table.partitioning.partitions} if table.partitioning else set()


def _sequence_key(state: BranchState, place: TablePlace) -> bytes:
    return keyspace.sequence(state.repository.incarnation, state.branch, place.prefix)


def _tables_key(state: BranchState, place: TablePlace) -> bytes:
    return keyspace.tables(state.repository.incarnation, state.branch, place.database)


def _is_name(name: str) -> bool:
    try:
        parse_table_name(name)
    except SqlError:
        return False
    return True
