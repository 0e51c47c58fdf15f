"""A lake of tests: memory stores and a fake clock unless others are given, with short spellings."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from anabranch.kernel.commits import Commit
from anabranch.kernel.entries import Metadata
from anabranch.kernel.errors import Kind, Unavailable
from anabranch.kernel.ids import (
    BranchId,
    Namespace,
    Path,
    Ref,
    RepositoryId,
)
from anabranch.kernel.preconditions import Precondition
from anabranch.lake import Lake
from anabranch.lake.comparing import Strategy
from anabranch.lake.values import MergeResult, Repository, Stat
from anabranch.storage.blocks.base import BlockStore
from anabranch.storage.blocks.memory import MemoryBlocks
from anabranch.storage.kv.base import KVStore
from anabranch.storage.kv.memory import MemoryKV
from anabranch.storage.kv.writer import GroupWriter
from anabranch.warehouse.merging.on_demand import TableMerges
from anabranch.warehouse.merging.questions import RowAnswer, RowQuestion
from tests.support.fakes import FakeClock, FakeIds

REPOSITORY = RepositoryId("animals")
MAIN = BranchId("main")


class NoRowJudge:
    """Stands for a judge of rows that is not there: a `RowJudge`."""

    def judge(self, question: RowQuestion) -> RowAnswer:
        """Refuse."""
        raise Unavailable(
            Kind.BUSY, f"rows of {question.table} must be judged, and no SQL process runs"
        )


@dataclass(frozen=True, slots=True)
class TestLake:
    """A lake with one repository, `animals`, and what a test wants to say about it."""

    __test__ = False

    lake: Lake
    clock: FakeClock
    kv: KVStore
    blocks: BlockStore
    merges: TableMerges
    repository_id: RepositoryId = REPOSITORY

    @property
    def repository(self) -> Repository:
        """Return the repository."""
        return self.lake.repositories.get(self.repository_id)

    def put(
        self,
        path: str,
        data: bytes = b"x",
        *,
        branch: str = MAIN,
        metadata: Metadata = (),
        precondition: Precondition | None = None,
    ) -> Stat:
        """Put an object and return it."""
        target = self.lake.objects.writable(self.repository_id, BranchId(branch))
        body = self.lake.bodies.open(target.repository)
        body.write(data)
        make = self.lake.objects.making_put(
            target,
            Path(path),
            body,
            content_type="text/plain",
            metadata=metadata,
            precondition=precondition,
        )
        return self.lake.writer.submit(make)

    def delete(self, *paths: str, branch: str = MAIN) -> None:
        """Delete paths."""
        target = self.lake.objects.writable(self.repository_id, BranchId(branch))
        many = self.lake.objects.making_delete_many(target, [Path(path) for path in paths])
        self.lake.writer.submit(many)

    def find(self, path: str, *, ref: str = MAIN) -> bytes | None:
        """Return the bytes at a path, None when there is no object."""
        resolved = self.lake.resolve.resolve(self.repository_id, Ref(ref))
        found = self.lake.objects.find(resolved, Path(path))
        if found is None:
            return None
        block = self.lake.objects.block(found)
        return self.lake.blocks.read(block, 0, block.size_bytes) if block.size_bytes else b""

    def paths(self, *, ref: str = MAIN, prefix: str = "") -> list[str]:
        """Return all paths at a ref."""
        resolved = self.lake.resolve.resolve(self.repository_id, Ref(ref))
        found: list[str] = []
        after = ""
        while True:
            page = self.lake.listing.page(resolved, prefix=prefix, after=after, amount=1_000)
            found += [item.path for item in page.items]
            if page.next_after is None:
                return found
            after = page.next_after

    def commit(
        self, message: str = "a commit", *, branch: str = MAIN, allow_empty: bool = False
    ) -> Commit:
        """Commit what is staged on a branch."""
        return self.lake.commits.create(
            self.repository_id,
            BranchId(branch),
            message=message,
            committer="tests",
            allow_empty=allow_empty,
        )

    def branch(self, name: str, source: str = MAIN) -> BranchId:
        """Make a branch."""
        return self.lake.branches.create(self.repository_id, BranchId(name), Ref(source)).id

    def merge(
        self, source: str, dest: str = MAIN, *, strategy: Strategy | None = None
    ) -> MergeResult:
        """Merge a ref into a branch."""
        return self.lake.merges.merge(
            self.repository_id, Ref(source), BranchId(dest), committer="tests", strategy=strategy
        )


@contextmanager
def open_lake(
    kv: KVStore | None = None,
    *,
    blocks: BlockStore | None = None,
    wrap: Callable[[KVStore], KVStore] = lambda kv: kv,
    clock: FakeClock | None = None,
    ids: FakeIds | None = None,
    import_from: Sequence[str] = (),
    creates: bool = True,
) -> Iterator[TestLake]:
    """Open a lake over `kv` as `wrap` shows it; it has the repository unless told otherwise."""
    clock = FakeClock(step_ns=1_000) if clock is None else clock
    ids = FakeIds() if ids is None else ids
    inner = MemoryKV(clock) if kv is None else kv
    seen = wrap(inner)
    store = MemoryBlocks(seen, clock, ids) if blocks is None else blocks
    writer = GroupWriter(seen, store.flush, ids=ids, pause=lambda _seconds: None)
    merges = TableMerges()
    lake = Lake(
        seen, store, writer, clock=clock, ids=ids, import_from=import_from, merge_driver=merges
    )
    merges.join(lake, NoRowJudge)
    try:
        if creates:
            lake.repositories.create(REPOSITORY, Namespace("s3://data/animals"), committer="tests")
        yield TestLake(lake, clock, seen, store, merges)
    finally:
        lake.close()
        writer.close()
        if blocks is None:
            store.close()


@contextmanager
def open_beside(
    other: TestLake,
    *,
    wrap: Callable[[KVStore], KVStore] = lambda kv: kv,
    import_from: Sequence[str] = (),
) -> Iterator[TestLake]:
    """Open a second lake over the stores of one, as another process of the server does."""
    with open_lake(
        other.kv,
        blocks=other.blocks,
        wrap=wrap,
        clock=other.clock,
        ids=FakeIds(f"beside {other.lake.ids.hex32()}"),
        import_from=import_from,
        creates=False,
    ) as opened:
        yield opened
