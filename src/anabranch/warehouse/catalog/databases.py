"""Databases of a catalog at a ref: prefixes that hold `_database.json`."""

from __future__ import annotations

import builtins
import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

from anabranch.kernel import limits
from anabranch.kernel.entries import Entry
from anabranch.kernel.errors import Corrupted, Kind, LimitExceeded
from anabranch.kernel.ids import BranchId, Path
from anabranch.lake import Lake
from anabranch.lake.bodies import Body
from anabranch.lake.changes import BranchChange, Put
from anabranch.lake.values import (
    BranchState,
    CommonPrefix,
    Repository,
    Resolved,
    Target,
    full_address,
)
from anabranch.storage.kv.base import (
    Condition,
    Scan,
    Write,
    delete,
    is_as_seen,
    is_version,
    key_after_prefix,
    put,
)
from anabranch.warehouse import keyspace
from anabranch.warehouse.errors import (
    SqlError,
    database_exists,
    lake_errors,
    no_database_to_drop,
    unknown_database,
)
from anabranch.warehouse.places import DATABASE_FILE, DatabasePlace, Place
from anabranch.warehouse.schema import canonical_json, parse_database_name

FORMAT = 1
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Database:
    """A database: its random id, which a database of the same name made later has not."""

    id: str
    comment: str = ""
    properties: tuple[tuple[str, str], ...] = ()


class Databases:
    """Create, find, rename and drop databases. All raise SqlError."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._lock = Lock()
        self._decoded: OrderedDict[tuple[str, str], Database] = OrderedDict()

    def list(self, place: Place) -> builtins.list[str]:
        """Return the names of all databases of a catalog, in byte order."""
        with lake_errors():
            resolved = self._lake.resolve.resolve(place.repository, place.ref)
            names = [name for name in names_under(self._lake, resolved, "") if _is_name(name)]
            found = self._lake.subtrees.find(
                resolved, [f"{name}/{DATABASE_FILE}" for name in names]
            )
            return [name for name, entry in zip(names, found, strict=True) if entry is not None]

    def find(self, place: DatabasePlace) -> Database | None:
        """Return a database, None when there is none; raise for an unknown catalog or ref."""
        with lake_errors():
            resolved = self._lake.resolve.resolve(place.place.repository, place.place.ref)
            (entry,) = self._lake.subtrees.find(resolved, [place.file_path])
            return None if entry is None else self.decode(resolved.repository, entry, place)

    def get(self, place: DatabasePlace) -> Database:
        """Return a database; raise 1049."""
        found = self.find(place)
        if found is None:
            raise unknown_database(place.database)
        return found

    def decode(self, repository: Repository, entry: Entry, place: DatabasePlace) -> Database:
        """Return what a database's file says, kept by its address and checksum; raise Corrupted."""
        key = (full_address(repository, entry), entry.checksum)
        with self._lock:
            known = self._decoded.get(key)
            if known is not None:
                self._decoded.move_to_end(key)
                return known
        found = decode_database(read_small(self._lake, repository, entry), place.file_path)
        with self._lock:
            self._decoded[key] = found
            while len(self._decoded) > limits.SCHEMAS_CACHED_MAX:
                self._decoded.popitem(last=False)
        return found

    def create(
        self,
        place: DatabasePlace,
        *,
        properties: Sequence[tuple[str, str]] = (),
        comment: str = "",
    ) -> Database:
        """Make a database; raise 1007 when there is one, 1102 for a wrong name."""
        parse_database_name(place.database)
        with lake_errors():
            target = writable(self._lake, place.place)
            made = Database(self._lake.ids.hex32(), comment, tuple(properties))
            body = small_body(self._lake, target.repository, encode_database(made))

            def change(state: BranchState) -> BranchChange[Database]:
                (seen,), _ = self._lake.changes.look(state, [place.file_path])
                if seen.entry is not None:
                    raise database_exists(place.database)
                puts = [Put(Path(place.file_path), body, (), JSON)]
                return BranchChange(made, puts=puts, conditions=[seen.condition])

            return self._lake.writer.submit(self._lake.changes.making_apply(target, change))

    def drop(self, place: DatabasePlace, *, is_forced: bool = False) -> None:
        """Drop a database with all its tables; raise 1008.

        As in Doris, `is_forced` only says that nothing is kept for RECOVER; here commits keep it.
        """
        del is_forced
        with lake_errors():
            target = writable(self._lake, place.place)

            def change(state: BranchState) -> BranchChange[None]:
                (seen,), _ = self._lake.changes.look(state, [place.file_path])
                if seen.entry is None:
                    raise no_database_to_drop(place.database)
                held = Held(self._lake, state, place.database)
                conditions = [seen.condition, *held.conditions]
                return BranchChange(None, conditions=conditions, writes=held.forgetting)

            self._lake.changes.drop_prefix(target, [place.prefix], change)

    def rename(self, place: DatabasePlace, new_name: str) -> None:
        """Give a database another name, its tables with it; raise 1049, 1007 or 1102."""
        parse_database_name(new_name)
        new = DatabasePlace(place.place, new_name)
        with lake_errors():
            target = writable(self._lake, place.place)

            def change(state: BranchState) -> BranchChange[None]:
                (seen, other), _ = self._lake.changes.look(state, [place.file_path, new.file_path])
                if seen.entry is None:
                    raise unknown_database(place.database)
                if other.entry is not None:
                    raise database_exists(new_name)
                held = [Held(self._lake, state, name) for name in (place.database, new_name)]
                moved = Moved(self._lake, state, {place.prefix: new.prefix})
                return BranchChange(
                    None,
                    entries=moved.entries,
                    deletes=moved.deletes,
                    conditions=[
                        other.condition,
                        *(one for each in held for one in each.conditions),
                        *moved.conditions,
                    ],
                    writes=[one for each in held for one in each.forgetting],
                )

            self._lake.changes.apply(target, change)


class Held:
    """What keeps all tables of a database as they are: none is added, and none gets rows.

    To be asked before the paths are listed. `forgetting` deletes the keys of the sequences.
    """

    def __init__(self, lake: Lake, state: BranchState, database: str) -> None:
        incarnation, branch = state.repository.incarnation, state.branch
        tables = keyspace.tables(incarnation, branch, database)
        prefix = keyspace.sequences(incarnation, branch, f"{database}/")
        start = prefix
        seen: dict[bytes, int] = {}
        row = lake.kv.read([tables]).values[0]
        self.conditions: list[Condition] = [is_as_seen(tables, row)]
        while True:
            scan = Scan(start, key_after_prefix(prefix), limits.SCAN_ROWS_MAX)
            rows = lake.kv.read((), [scan]).scans[0]
            seen |= {one.key: one.version for one in rows}
            if len(rows) < limits.SCAN_ROWS_MAX:
                break
            start = rows[-1].key + b"\x00"
        resolved = resolved_of(state)
        for name in names_under(lake, resolved, f"{database}/"):
            key = keyspace.sequence(incarnation, branch, f"{database}/{name}/")
            self.conditions.append(is_version(key, seen.pop(key, 0)))
        self.conditions += [is_version(key, version) for key, version in seen.items()]
        self.forgetting: list[Write] = [delete(one.key) for one in self.conditions[1:]]
        self.forgetting.append(put(tables, b""))


class Moved:
    """All that lies under prefixes, by its paths under others; the bytes stay where they are.

    `conditions` are that what moves is still there.
    """

    def __init__(self, lake: Lake, state: BranchState, prefixes: Mapping[str, str]) -> None:
        self.entries: list[tuple[Path, Entry]] = []
        old: list[str] = []
        for prefix, new in prefixes.items():
            for path, entry in lake.changes.under(state, prefix).items():
                old.append(path)
                self.entries.append((Path(new + path[len(prefix) :]), entry))
        taken = {path for path, _ in self.entries}
        self.deletes = [Path(path) for path in old if path not in taken]
        seen, _ = lake.changes.look(state, old)
        self.conditions = [one.condition for one in seen]


def encode_database(database: Database) -> bytes:
    """Return the bytes of `_database.json`."""
    return canonical_json(
        {
            "format": FORMAT,
            "id": database.id,
            "comment": database.comment,
            "properties": dict(database.properties),
        }
    ).encode()


def decode_database(data: bytes, path: str) -> Database:
    """Return the database of its file; raise Corrupted."""
    try:
        members = json.loads(data)
        if members["format"] != FORMAT:
            raise Corrupted(Kind.DATA_FORMAT, f"a database of an unknown format: {path}")
        properties = tuple((str(name), str(value)) for name, value in members["properties"].items())
        return Database(str(members["id"]), str(members["comment"]), properties)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Corrupted(Kind.DATA_FORMAT, f"not a database's file: {path}") from error


def writable(lake: Lake, place: Place) -> Target:
    """Return the branch of a place; raise NotFound, and Forbidden where nothing can be written."""
    return lake.objects.writable(place.repository, BranchId(place.ref))


def resolved_of(state: BranchState) -> Resolved:
    """Return a branch as a ref that was resolved to it."""
    record = state.record
    return Resolved(state.repository, record.head, record.metarange, state.branch)


def names_under(lake: Lake, resolved: Resolved, prefix: str) -> Iterator[str]:
    """Yield the names that have something below them, right under a prefix, in byte order."""
    after = ""
    count = 0
    while True:
        page = lake.listing.page(
            resolved, prefix=prefix, after=after, amount=limits.PAGE_MAX, delimiter="/"
        )
        for item in page.items:
            if isinstance(item, CommonPrefix):
                yield item.path[len(prefix) : -1]
                count += 1
        if count > limits.DATABASES_MAX:
            raise LimitExceeded(
                Kind.TOO_MANY, f"more than {limits.DATABASES_MAX} names under {prefix!r}"
            )
        if page.next_after is None:
            return
        after = page.next_after


def small_body(lake: Lake, repository: Repository, data: bytes) -> Body:
    """Return a finished body of bytes that are in memory."""
    body = lake.bodies.open(repository)
    body.write(data)
    body.finish()
    return body


def read_small(lake: Lake, repository: Repository, entry: Entry) -> bytes:
    """Return all bytes of one of the warehouse's own files; raise LimitExceeded past its size."""
    if entry.size_bytes > limits.SCHEMA_BYTES_MAX:
        raise LimitExceeded(Kind.TOO_LARGE, f"a schema of {entry.size_bytes} bytes")
    block = lake.blocks.get(full_address(repository, entry))
    return lake.blocks.read(block, 0, block.size_bytes) if block.size_bytes else b""


def _is_name(name: str) -> bool:
    try:
        parse_database_name(name)
    except SqlError:
        return False
    return True
