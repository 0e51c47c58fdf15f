"""Picks the origin of a URL, and finds the files that a path with wildcards means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path as FilePath

from anabranch.kernel.errors import AnabranchError, InvalidInput, Kind
from anabranch.kernel.ids import parse_repository_id
from anabranch.lake import Lake
from anabranch.lake.import_sources import ImportSources
from anabranch.lake.local_files import LocalFiles
from anabranch.warehouse.origins.base import Options, Origin, OriginFile, Roots
from anabranch.warehouse.origins.blocks import BlockOrigin
from anabranch.warehouse.origins.files import FileOrigin
from anabranch.warehouse.origins.hdfs import HdfsOrigin
from anabranch.warehouse.origins.http import HttpOrigin
from anabranch.warehouse.origins.lake import LakeOrigin
from anabranch.warehouse.origins.patterns import has_wildcards, walk
from anabranch.warehouse.origins.s3 import S3Origin, endpoint_of

_S3 = frozenset({"s3", "s3a", "s3n"})


class Origins:
    """Everything a load may read: the lake, its raw store, and the configured import roots."""

    def __init__(
        self, lake: Lake, import_from: Sequence[str] = (), own_directory: FilePath | None = None
    ) -> None:
        self._lake = lake
        self._roots = Roots(import_from)
        files = LocalFiles(import_from, own=own_directory)
        self._files = FileOrigin(files)
        self._blocks = BlockOrigin(lake.blocks, ImportSources(lake.kv, lake.blocks, files))
        self._objects = LakeOrigin(lake.resolve, lake.objects, lake.listing, lake.blocks)
        self._http = HttpOrigin(self._roots)
        self._hdfs = HdfsOrigin(self._roots)

    def walk(self, base: str, pattern: str, options: Options) -> Iterator[OriginFile]:
        """Yield the files whose URL is `base`, taken literally, and then as a pattern says.

        Raises InvalidInput, Forbidden, NotFound (a repository or ref) and Unavailable.
        """
        if not base:
            # Scheme and host are no parts to match.
            scheme, mark, rest = pattern.partition("://")
            host, slash, path = rest.partition("/")
            if not (mark and slash) or has_wildcards(scheme + host):
                raise InvalidInput(
                    Kind.IMPORT_SOURCE, f"not a URL that loads can read: {pattern!r}"
                )
            base, pattern = f"{scheme}://{host}/", path
        origin = self._origin(base.partition("://")[0].lower(), base, options)
        yield from walk(origin, base, pattern)

    def _origin(self, scheme: str, url: str, options: Options) -> Origin:
        if scheme in ("file", "local"):
            return self._files
        if scheme == "lakefs":
            return self._objects
        if scheme in ("http", "https"):
            return self._http
        if scheme in ("webhdfs", "swebhdfs"):
            return self._hdfs
        if scheme in _S3:
            if endpoint_of(options):
                return S3Origin(self._roots, options)
            return self._objects if self._is_repository(url) else self._blocks
        if scheme in ("hdfs", "viewfs", "ofs", "cosn", "bos", "oss", "obs", "cos", "gs", "afs"):
            raise InvalidInput(
                Kind.IMPORT_SOURCE, f"no broker maps {url!r}: see the setting `broker`"
            )
        raise InvalidInput(Kind.IMPORT_SOURCE, f"not a URL that loads can read: {url!r}")

    def _is_repository(self, url: str) -> bool:
        try:
            name = parse_repository_id(url.partition("://")[2].partition("/")[0])
        except AnabranchError:
            return False
        return self._lake.repositories.find(name) is not None
