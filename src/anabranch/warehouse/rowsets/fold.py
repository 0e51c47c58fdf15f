"""Folds: files that stand for a run of rowsets of one partition (docs/formats/fold.md).

A fold is derived: it can be lost at any time and made again. What it says of itself here is enough
to judge which sets of rowsets it may be read in, and how.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from anabranch.lake.values import Repository
from anabranch.warehouse.rowsets.rowset import Header, Rowset, RowsetKind, RowsetName

FORMAT = 1
METADATA_NAME = "anabranch-fold"
"""Name of the hash in the Parquet file."""

_NAME_LENGTH = len(f"{0:020d}-{0:032x}.parquet")


@dataclass(frozen=True, slots=True)
class FoldShape:
    """Which columns the rows of a fold speak of; ids ascend.

    `written` is written by every row; of `maybe_written` each row tells by a flag. `known` are
    columns that a rowset of it knew; of `maybe_unknown` each row tells whether one did not.
    """

    written: tuple[int, ...]
    known: tuple[int, ...]
    maybe_written: tuple[int, ...] = ()
    maybe_unknown: tuple[int, ...] = ()

    @property
    def is_flagged(self) -> bool:
        """Tell whether rows differ in what they say."""
        return bool(self.maybe_written or self.maybe_unknown)


@dataclass(frozen=True, slots=True)
class Fold:
    """A fold as the index knows it.

    `identity` is that of the schema it was made for, `first` the end of the first member's path,
    `members` how many rowsets follow each other from there. `deletes` are the addresses of the
    DELETE rowsets that were applied; `used_us` is when it was read last, to a day.
    """

    hash: str
    table_id: str
    partition: str
    identity: str
    first: str
    members: int
    deletes: tuple[str, ...]
    shape: FoldShape
    rows: int
    size_bytes: int
    level: int
    address: str
    used_us: int

    @property
    def header(self) -> Header:
        """Return what planning asks of a rowset."""
        shape = self.shape
        return Header(self.table_id, RowsetKind.ROWS, shape.known, shape.written, self.rows)


@dataclass(frozen=True, slots=True)
class StandIn:
    """A fold read instead of its members; `name` is the first one's, and orders it."""

    fold: Fold
    name: RowsetName
    file: Path


def end_of(rowset: Rowset) -> str:
    """Return the end of a rowset's path, which names it within its partition."""
    return rowset.path[-_NAME_LENGTH:]


def hash_of(identity: str, members: Sequence[Rowset], deletes: Collection[str]) -> str:
    """Return what a fold is called: of whom it stands for, DELETEs applied, and the schema."""
    whole = [f"{FORMAT}\n{identity}\n"]
    whole += [f"{one.path[-_NAME_LENGTH:]} {one.physical_address}\n" for one in members]
    whole.append("\n")
    whole += [f"{one}\n" for one in sorted(deletes)]
    return hashlib.blake2b("".join(whole).encode(), digest_size=16).hexdigest()


def address_of(repository: Repository, table_id: str, partition: str, name: str) -> str:
    """Return where a fold's bytes are."""
    return f"{repository.namespace}/_folds/{table_id}/{partition}/{name}"
