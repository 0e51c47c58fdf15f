"""The stores of a process: the only place that picks adapters; the system's clock and ids."""

import os
import time
from dataclasses import dataclass

from anabranch.access import Access
from anabranch.directory import Directory
from anabranch.lake import Lake
from anabranch.settings import Settings
from anabranch.storage.blocks.local import LocalBlocks
from anabranch.storage.kv.sqlite import SqliteKV
from anabranch.storage.kv.writer import GroupWriter
from anabranch.warehouse.merging.on_demand import TableMerges, merge_client

_IDS_AHEAD = 256


class SystemClock:
    """The machine's clock."""

    def now_ns(self) -> int:
        """Return nanoseconds since 1970-01-01 UTC."""
        return time.time_ns()


class SystemIds:
    """Random ids of the operating system, asked for many at a time.

    Each call of the system lets go of the interpreter, which a busy writer thread then has.
    """

    def __init__(self) -> None:
        self._ready: list[str] = []

    def hex32(self) -> str:
        """Return 128 random bits as 32 lower-case hex digits; safe to call from many threads."""
        try:
            return self._ready.pop()
        except IndexError:
            digits = os.urandom(16 * _IDS_AHEAD).hex()
            found = [digits[at : at + 32] for at in range(0, len(digits), 32)]
            self._ready.extend(found[1:])
            return found[0]


@dataclass(frozen=True, slots=True)
class Stores:
    """The opened stores of one process, and what is built on them without a surface."""

    kv: SqliteKV
    blocks: LocalBlocks
    writer: GroupWriter
    lake: Lake
    access: Access
    merges: TableMerges

    def close(self) -> None:
        """Write what is queued and close everything."""
        self.lake.close()
        self.writer.close()
        self.blocks.close()
        self.kv.close()


def open_stores(settings: Settings) -> Stores:
    """Open the data directory, which the caller's process group holds the lock of.

    Raises Unavailable when a store can't be opened, Corrupted or NotSupported when it is not ours.
    """
    directory = Directory(settings.data)
    clock, ids = SystemClock(), SystemIds()
    kv = SqliteKV(directory.kv)
    blocks = LocalBlocks(directory.blocks, kv, clock, ids)
    writer = GroupWriter(kv, blocks.flush, ids=ids)
    merges = TableMerges()
    lake = Lake(
        kv,
        blocks,
        writer,
        clock=clock,
        ids=ids,
        import_from=settings.import_from,
        own_directory=directory.path,
        merge_driver=merges,
    )
    # Only the SQL process has an engine; the others ask it about rows.
    merges.join(lake, lambda: merge_client(directory.merges))
    access = Access(kv, writer, clock, ids, directory.load_key())
    return Stores(kv, blocks, writer, lake, access, merges)
