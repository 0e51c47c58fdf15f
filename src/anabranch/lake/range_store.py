"""Ranges and metaranges by id: read through bounded caches, written by a few threads."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

import pyarrow as pa

from anabranch.kernel import codec, limits
from anabranch.kernel.ids import MetarangeId, Namespace, RangeId
from anabranch.kernel.ranges import EMPTY_METARANGE, Metarange
from anabranch.lake.heap import Turnover
from anabranch.lake.range_files import RangeFiles
from anabranch.native.ranges import Entries
from anabranch.storage.kv.base import Write

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
T = TypeVar("T")

Ids = tuple[tuple[RangeId, ...], tuple[RangeId, ...]]
"""Ranges of two sides."""

_RANGE_COST_BYTES = 512  # objects around the rows of a cached range
_RECORD_COST_BYTES = 320  # a range's record as Python values


class BoundedCache(Generic[K, V]):
    """Values of known size; the ones used longest ago leave when there are too many bytes."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._items: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._lock = Lock()
        self.size_bytes = 0

    def find(self, key: K) -> V | None:
        """Return a value that is kept, and keep it longer."""
        with self._lock:
            item = self._items.get(key)
            if item is None:
                return None
            self._items.move_to_end(key)
            return item[0]

    def put(self, key: K, value: V, size_bytes: int) -> None:
        """Keep a value; one that is larger than the whole cache is not kept."""
        with self._lock:
            before = self._items.pop(key, None)
            if before is not None:
                self.size_bytes -= before[1]
            if size_bytes > self._bytes_max:
                return
            self._items[key] = (value, size_bytes)
            self.size_bytes += size_bytes
            while self.size_bytes > self._bytes_max:
                _, (_, gone_bytes) = self._items.popitem(last=False)
                self.size_bytes -= gone_bytes


@dataclass(frozen=True, slots=True)
class Submitted:
    """A range on its way to its file: its id is known before its bytes are durable."""

    named: Future[RangeId]
    written: Future[tuple[Write, ...]]


class RangeStore:
    """Ranges and metaranges by id. Any thread may call; `close` ends its own threads.

    A cached range is served by its id alone: equal ids are equal rows, in whatever namespace.
    `differences` keeps the rows that ranges of two sides do not share: ids decide them.
    """

    def __init__(
        self,
        files: RangeFiles,
        *,
        range_bytes_max: int = limits.RANGE_CACHE_BYTES_MAX,
        metarange_bytes_max: int = limits.METARANGE_CACHE_BYTES_MAX,
        threads: int = limits.RANGE_THREADS,
    ) -> None:
        self._files = files
        self._ranges: BoundedCache[RangeId, Entries] = BoundedCache(range_bytes_max)
        self._metaranges: BoundedCache[MetarangeId, Metarange] = BoundedCache(metarange_bytes_max)
        self.differences: BoundedCache[Ids, tuple[Entries, Entries]] = BoundedCache(
            limits.DIFFERENCES_CACHE_BYTES_MAX
        )
        self._turnover = Turnover()
        # Readers must not wait behind files being synced.
        self._readers = ThreadPoolExecutor(threads, thread_name_prefix="ranges-read")
        self._writers = ThreadPoolExecutor(threads, thread_name_prefix="ranges-write")

    def close(self) -> None:
        """End the threads once what they do is done."""
        self._readers.shutdown()
        self._writers.shutdown()

    def metarange(self, namespace: Namespace, metarange_id: MetarangeId) -> Metarange:
        """Return a metarange; raise Corrupted when it is lost or damaged."""
        if not metarange_id:
            return EMPTY_METARANGE
        found = self._metaranges.find(metarange_id)
        if found is None:
            data = self._files.read(namespace, metarange_id)
            found = codec.decode_metarange(metarange_id, data)
            self._keep_metarange(found)
        return found

    def range(self, namespace: Namespace, range_id: RangeId) -> Entries:
        """Return a range's rows; raise Corrupted when it is lost or damaged."""
        found = self._ranges.find(range_id)
        if found is None:
            found = codec.decode_range(range_id, self._files.read(namespace, range_id))
            self._keep_range(range_id, found)
        return found

    def ranges(self, namespace: Namespace, range_ids: Sequence[RangeId]) -> list[Entries]:
        """Return the rows of several ranges, decoded side by side."""
        found = [self._ranges.find(range_id) for range_id in range_ids]
        missing = [index for index, rows in enumerate(found) if rows is None]
        if len(missing) == 1:
            found[missing[0]] = self.range(namespace, range_ids[missing[0]])
        elif missing:
            futures = [
                self._readers.submit(self.range, namespace, range_ids[index]) for index in missing
            ]
            for index, rows in zip(missing, _results(futures), strict=True):
                found[index] = rows
        return [rows for rows in found if rows is not None]

    def ahead(
        self, namespace: Namespace, metarange: Metarange, indexes: Sequence[int]
    ) -> Iterator[tuple[int, Entries]]:
        """Yield (index, rows) of some ranges in order, decoding ever more of them ahead."""
        window = 1
        start = 0
        while start < len(indexes):
            part = indexes[start : start + window]
            yield from zip(
                part,
                self.ranges(namespace, [metarange.ids[index] for index in part]),
                strict=True,
            )
            start += window
            window = min(2 * window, limits.RANGES_AHEAD_MAX)

    def known_difference(self, left: RangeId, right: RangeId) -> tuple[Entries, Entries] | None:
        """Return the rows that two ranges do not share, if they are kept."""
        return self.differences.find(((left,), (right,)))

    def keep_difference(self, left: RangeId, right: RangeId, rows: tuple[Entries, Entries]) -> None:
        """Keep the rows that two ranges do not share; they hold no others in memory."""
        size_bytes = rows[0].memory_bytes + rows[1].memory_bytes + _RANGE_COST_BYTES
        self.differences.put(((left,), (right,)), rows, size_bytes)

    def submit_range(
        self, namespace: Namespace, rows: Entries, is_reusable: Callable[[RangeId], bool]
    ) -> Submitted:
        """Name, encode and write a range in another thread, unless its file may be reused."""
        named: Future[RangeId] = Future()

        def write() -> tuple[Write, ...]:
            try:
                range_id = codec.range_id(rows)
            except BaseException as error:
                named.set_exception(error)
                raise
            named.set_result(range_id)
            writes: tuple[Write, ...] = ()
            # The id needs the rows alone: merges and reverts often make ranges that exist.
            if not is_reusable(range_id):
                writes = self._files.write(namespace, range_id, codec.encode_range(rows))
            self._keep_range(range_id, rows)
            return writes

        return Submitted(named, self._writers.submit(write))

    def submit_metarange(
        self, namespace: Namespace, metarange: Metarange, columns: pa.RecordBatch
    ) -> Future[tuple[Write, ...]]:
        """Encode and write a metarange in another thread."""

        def write() -> tuple[Write, ...]:
            data = codec.encode_metarange(columns)
            writes = self._files.write(namespace, metarange.id, data)
            self._keep_metarange(metarange)
            return writes

        return self._writers.submit(write)

    def _keep_range(self, range_id: RangeId, rows: Entries) -> None:
        size_bytes = rows.memory_bytes + _RANGE_COST_BYTES
        self._ranges.put(range_id, rows, size_bytes)
        self._turnover.add(size_bytes)

    def _keep_metarange(self, metarange: Metarange) -> None:
        texts_bytes = sum(map(len, metarange.firsts)) + sum(map(len, metarange.lasts))
        size_bytes = texts_bytes + _RECORD_COST_BYTES * len(metarange)
        self._metaranges.put(metarange.id, metarange, size_bytes)


def _results(futures: Sequence[Future[T]]) -> list[T]:
    """Return all results; an error leaves no future running behind it."""
    try:
        return [future.result() for future in futures]
    except BaseException:
        for future in futures:
            future.cancel()
        raise
