"""Pages of open multipart uploads, by S3 key and upload id."""

from collections.abc import Sequence

from anabranch.kernel import limits
from anabranch.kernel.ids import BranchId, UploadId
from anabranch.kernel.pages import Page
from anabranch.lake import keyspace
from anabranch.lake.upload_records import Upload, decode_upload
from anabranch.storage.kv.base import KVStore, Row, Scan, key_after_prefix


def page_of_uploads(
    kv: KVStore,
    scope: str,
    prefix: str,
    path_after: str,
    upload_after: str,
    amount: int,
    branch: BranchId | None,
) -> Page[Upload]:
    """Return one page of a scope's open uploads, only of `branch` when it is given.

    `path_after` alone skips all uploads of that key; with `upload_after` those of it up to that id.
    """
    if amount <= 0:
        return Page((), None)
    base = keyspace.upload_paths(scope)
    first = base + prefix.encode()
    start = first
    if path_after and upload_after:
        start = keyspace.upload_path(scope, path_after, UploadId(upload_after)) + b"\x00"
    elif path_after:
        start = base + path_after.encode() + b"\x01"
    start = max(start, first)
    found: list[Upload] = []
    while True:
        scan = Scan(start, key_after_prefix(first), limits.PAGE_MAX)
        rows = kv.read((), [scan]).scans[0]
        for upload in _listed(kv, rows):
            if branch is not None and upload.branch != branch:
                continue
            if len(found) == amount:
                return Page(tuple(found), found[-1].id)
            found.append(upload)
        if len(rows) < limits.PAGE_MAX:
            return Page(tuple(found), None)
        start = rows[-1].key + b"\x00"


def _listed(kv: KVStore, rows: Sequence[Row]) -> list[Upload]:
    """Return the uploads of listing keys, without those that ended meanwhile."""
    ids = [UploadId(row.key.rpartition(b"\x00")[2].decode()) for row in rows]
    values = kv.read([keyspace.upload(one) for one in ids]).values
    uploads = [
        decode_upload(upload_id, value.value, value.version)
        for upload_id, value in zip(ids, values, strict=True)
        if value is not None
    ]
    return [upload for upload in uploads if upload.completed is None]
