"""The use cases of the lake: `Lake` holds its nouns and has no logic.

One module and one class per noun. All methods are blocking; those called `making_x` return a step
for the process's writer, which an event loop may await.
"""

from collections.abc import Sequence
from pathlib import Path as FilePath

from anabranch.kernel.clock import Clock, IdSource
from anabranch.lake.addresses import Addresses
from anabranch.lake.bodies import Bodies
from anabranch.lake.branches import Branches
from anabranch.lake.changes import Changes
from anabranch.lake.commits import Commits
from anabranch.lake.committed import Committed
from anabranch.lake.diffs import Diffs
from anabranch.lake.drivers import MergeDriver
from anabranch.lake.dumps import Dumps
from anabranch.lake.import_sources import ImportSources
from anabranch.lake.imports import Imports
from anabranch.lake.listing import Listing
from anabranch.lake.local_files import LocalFiles, WithFiles
from anabranch.lake.merges import Merges
from anabranch.lake.objects import Objects
from anabranch.lake.range_files import BlockRangeFiles
from anabranch.lake.range_store import RangeStore
from anabranch.lake.refs_files import RefsFiles
from anabranch.lake.refs_tasks import RefsTasks
from anabranch.lake.repositories import Repositories
from anabranch.lake.resolve import Resolver
from anabranch.lake.restores import Restores
from anabranch.lake.staging import Staging
from anabranch.lake.states import States
from anabranch.lake.subtrees import Subtrees
from anabranch.lake.symlinks import Symlinks
from anabranch.lake.tags import Tags
from anabranch.lake.uploads import Uploads
from anabranch.storage.blocks.base import BlockStore
from anabranch.storage.kv.base import KVStore, Writer


class Lake:
    """The lake of one process: its nouns over one KV store, one block store and one writer."""

    def __init__(
        self,
        kv: KVStore,
        blocks: BlockStore,
        writer: Writer,
        *,
        clock: Clock,
        ids: IdSource,
        import_from: Sequence[str] = (),
        own_directory: FilePath | None = None,
        merge_driver: MergeDriver | None = None,
    ) -> None:
        files = LocalFiles(import_from, own=own_directory)
        blocks = WithFiles(blocks, files)
        self.kv = kv
        self.blocks = blocks
        self.writer = writer
        self.clock = clock
        self.ids = ids
        states = self.states = States(kv)
        self.committed = Committed(RangeStore(BlockRangeFiles(blocks)))
        self.resolve = Resolver(kv, states)
        self.staging = Staging(kv, writer, states, ids)
        self.bodies = Bodies(blocks, ids)
        self.repositories = Repositories(kv, writer, blocks, states, clock, ids)
        self.branches = Branches(kv, writer, states, self.resolve, self.staging, self.committed)
        self.tags = Tags(kv, writer, states, self.resolve)
        self.commits = Commits(kv, states, self.resolve, self.staging, self.committed)
        self.diffs = Diffs(states, self.resolve, self.committed, self.commits)
        self.merges = Merges(
            kv, states, self.resolve, self.staging, self.committed, self.commits, merge_driver
        )
        self.objects = Objects(states, self.resolve, self.committed, blocks, self.bodies, clock)
        self.listing = Listing(states, self.resolve, self.committed, clock)
        self.changes = Changes(kv, writer, states, self.staging, self.committed, clock)
        self.subtrees = Subtrees(kv, states, self.resolve, self.staging, self.committed)
        self.addresses = Addresses(kv, writer, blocks, self.bodies, self.objects, clock)
        self.uploads = Uploads(
            kv, writer, blocks, self.bodies, states, self.objects, self.addresses, clock, ids
        )
        self.imports = Imports(
            kv,
            writer,
            states,
            self.resolve,
            self.staging,
            self.committed,
            self.merges,
            ImportSources(kv, blocks, files),
            clock,
            ids,
        )
        self.symlinks = Symlinks(writer, blocks, self.resolve, self.listing, clock)
        refs = RefsFiles(blocks, writer)
        self.dumps = Dumps(kv, states, refs)
        self.restores = self._restores(refs)
        self.refs_tasks = RefsTasks(kv, writer, states, self.dumps, self.restores, clock, ids)

    def _restores(self, refs: RefsFiles) -> Restores:
        return Restores(
            self.kv,
            self.writer,
            self.blocks,
            self.states,
            self.resolve,
            self.staging,
            self.committed,
            refs,
        )

    def close(self) -> None:
        """End the lake's own threads; the stores are the caller's to close afterwards."""
        self.imports.close()
        self.refs_tasks.close()
        self.committed.close()
