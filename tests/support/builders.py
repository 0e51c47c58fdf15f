"""Whole parts for tests, made of memory stores, a fake clock and ids that repeat in each run."""

from collections.abc import Iterator
from contextlib import contextmanager

from anabranch.kernel.entries import parse_metadata
from anabranch.kernel.ids import BranchId, Namespace, Path, Ref, RepositoryId
from anabranch.lake import Lake
from anabranch.lake.drivers import MergeDriver
from anabranch.lake.values import Repository, Stat
from anabranch.storage.blocks.memory import MemoryBlocks
from anabranch.storage.kv.base import KVStore
from anabranch.storage.kv.memory import MemoryKV
from anabranch.storage.kv.writer import GroupWriter
from tests.support.fakes import FakeClock, FakeIds

REPO = RepositoryId("example")
MAIN = BranchId("main")


class LakeKit:
    """A lake and short words for what tests do with it."""

    def __init__(self, kv: KVStore | None = None, merge_driver: MergeDriver | None = None) -> None:
        self.clock = FakeClock(step_ns=1_000_000)
        self.ids = FakeIds()
        self.kv = kv or MemoryKV(self.clock)
        self.blocks = MemoryBlocks(self.kv, self.clock, self.ids)
        self.writer = GroupWriter(self.kv, self.blocks.flush)
        self.lake = Lake(
            self.kv,
            self.blocks,
            self.writer,
            clock=self.clock,
            ids=self.ids,
            merge_driver=merge_driver,
        )

    def repository(self, name: str = "example") -> Repository:
        """Make a repository."""
        return self.lake.repositories.create(
            RepositoryId(name), Namespace(f"s3://{name}"), committer="tester"
        )

    def put(
        self,
        path: str,
        data: bytes = b"",
        branch: str = "main",
        repository: str = "example",
        **metadata: str,
    ) -> Stat:
        """Put an object."""
        target = self.lake.objects.writable(RepositoryId(repository), BranchId(branch))
        body = self.lake.bodies.open(target.repository)
        body.write(data)
        body.finish()
        return self.writer.submit(
            self.lake.objects.making_put(
                target,
                Path(path),
                body,
                content_type="application/octet-stream",
                metadata=parse_metadata(metadata),
            )
        )

    def delete(self, path: str, branch: str = "main") -> None:
        """Delete a path."""
        target = self.lake.objects.writable(REPO, BranchId(branch))
        self.writer.submit(self.lake.objects.making_delete(target, Path(path)))

    def commit(self, branch: str = "main", message: str = "m", **metadata: str) -> str:
        """Commit what is staged; return the id."""
        return self.lake.commits.create(
            REPO,
            BranchId(branch),
            message=message,
            committer="tester",
            metadata=parse_metadata(metadata),
        ).id

    def branch(self, name: str, source: str = "main") -> None:
        """Make a branch."""
        self.lake.branches.create(REPO, BranchId(name), Ref(source))

    def merge(self, source: str, dest: str = "main", **options: object) -> str:
        """Merge; return the id of the commit."""
        return self.lake.merges.merge(
            REPO,
            Ref(source),
            BranchId(dest),
            committer="tester",
            **options,  # type: ignore[arg-type]  # options of merge, as the test names them
        ).commit_id

    def paths(self, ref: str = "main", **options: str) -> list[str]:
        """Return the paths and common prefixes that a listing of a ref shows, page by page."""
        resolved = self.lake.resolve.resolve(REPO, Ref(ref))
        found: list[str] = []
        after = ""
        while True:
            page = self.lake.listing.page(resolved, after=after, amount=3, **options)
            found += [item.path for item in page.items]
            if page.next_after is None:
                return found
            after = page.next_after

    def read(self, path: str, ref: str = "main") -> bytes | None:
        """Return an object's bytes, None when there is none."""
        resolved = self.lake.resolve.resolve(REPO, Ref(ref))
        found = self.lake.objects.find(resolved, Path(path))
        if found is None:
            return None
        block = self.lake.objects.block(found)
        return self.blocks.read(block, 0, block.size_bytes)

    def uncommitted(self, branch: str = "main", **options: str) -> list[tuple[str, str]]:
        """Return (kind, path) of what is uncommitted."""
        page = self.lake.diffs.uncommitted(REPO, BranchId(branch), amount=1_000, **options)
        return [(str(one.kind), one.path) for one in page.items]

    def diff(self, left: str, right: str, **options: object) -> list[tuple[str, str]]:
        """Return (kind, path) of what differs between two refs."""
        page = self.lake.diffs.refs(
            REPO,
            Ref(left),
            Ref(right),
            amount=1_000,
            **options,  # type: ignore[arg-type]  # options of refs, as the test names them
        )
        return [(str(one.kind), one.path) for one in page.items]

    def close(self) -> None:
        """End the kit's threads."""
        self.writer.close()
        self.lake.close()


@contextmanager
def lake_kit(
    kv: KVStore | None = None, merge_driver: MergeDriver | None = None
) -> Iterator[LakeKit]:
    """Give a kit with the repository `example`."""
    kit = LakeKit(kv, merge_driver)
    try:
        kit.repository()
        yield kit
    finally:
        kit.close()
