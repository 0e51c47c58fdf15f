"""What buckets of both kinds do alike: an upload is the lake's, whatever it is to."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from anabranch.kernel.errors import Kind, NotFound
from anabranch.kernel.ids import UploadId, is_hex
from anabranch.kernel.preconditions import Precondition
from anabranch.lake import Lake
from anabranch.lake.bodies import Body
from anabranch.lake.upload_records import Part, Upload
from anabranch.lake.values import Stat
from anabranch.storage.blocks.base import BlockStore
from anabranch.storage.kv.base import Prepared, Writer

_UPLOAD_ID_DIGITS = 32


class LakeUploads(ABC):
    """The part of a `Bucket` that works on uploads once they are created, and its stores."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    @property
    def writer(self) -> Writer:
        """Return what runs its steps."""
        return self._lake.writer

    @property
    def blocks(self) -> BlockStore:
        """Return where its bytes are."""
        return self._lake.blocks

    @abstractmethod
    def require(self) -> None:
        """Raise NotFound(REPOSITORY_NOT_FOUND) unless the bucket exists."""

    @abstractmethod
    def _owns(self, upload: Upload) -> bool:
        """Tell whether an upload is to this bucket."""

    def get_upload(self, key: str, upload_id: UploadId) -> Upload:
        """Return an upload of this bucket and key; raise NotFound."""
        if is_hex(upload_id, _UPLOAD_ID_DIGITS):
            upload = self._lake.uploads.get(upload_id)
            if self._owns(upload) and upload.key == key:
                return upload
        self.require()
        raise NotFound(Kind.UPLOAD_NOT_FOUND, f"no upload {upload_id!r} of {key!r}")

    def open_part(self, upload: Upload) -> Body:
        """Start the bytes of a part."""
        return self._lake.uploads.body(upload)

    def making_part(
        self, upload: Upload, number: int, body: Body, checksum: str
    ) -> Callable[[], Prepared[Part]]:
        """Return the step that keeps a received part."""
        return self._lake.uploads.making_part(upload, number, body, checksum2=checksum)

    def making_complete(
        self,
        upload: Upload,
        parts: Sequence[tuple[int, str]],
        checksum: str,
        precondition: Precondition | None,
    ) -> Callable[[], Prepared[Stat]]:
        """Return the step that makes an object of parts."""
        return self._lake.uploads.making_complete(
            upload, parts, checksum2=checksum, precondition=precondition
        )

    def abort_upload(self, upload: Upload) -> None:
        """End an upload without an object."""
        self._lake.uploads.abort(upload)

    def list_parts(
        self, upload: Upload, *, after: int, amount: int
    ) -> tuple[tuple[Part, ...], int | None]:
        """Return one page of an upload's parts."""
        return self._lake.uploads.list_parts(upload, after=after, amount=amount)
