"""Operations on imports: adopt existing objects without copying them."""

from msgspec import UNSET

from anabranch.api import bodies, requests
from anabranch.api.operations import (
    Answer,
    Call,
    Operation,
    Parameter,
    empty_response,
    json_response,
)
from anabranch.edge.blocking import call_local, call_thread
from anabranch.edge.http import Response
from anabranch.kernel.commits import parse_commit_metadata, parse_message
from anabranch.lake.import_sources import ImportSource, SourceKind
from anabranch.lake.imports import ImportStatus as LakeImportStatus

_IMPORT = "/repositories/{repository}/branches/{branch}/import"
_TAG = "import"
_ID = Parameter("id", is_required=True, text="what importStart answered")


async def import_start(call: Call) -> Response:
    """Start an import in the background."""
    wanted = call.body(requests.ImportCreation)
    import_id = await call_thread(
        call.lake.imports.start,
        call.repository(),
        call.branch(),
        [ImportSource(SourceKind(one.type), one.path, one.destination) for one in wanted.paths],
        message=parse_message(wanted.commit.message),
        committer=call.user,
        metadata=parse_commit_metadata(wanted.commit.metadata or {}),
        is_forced=bool(wanted.force),
    )
    return json_response(202, bodies.ImportCreationResponse(import_id))


async def import_status(call: Call) -> Response:
    """Answer how far an import is."""
    call.branch()
    status = await call_local(call.lake.imports.status, call.repository(), call.text("id"))
    return json_response(200, _status_body(status))


async def import_cancel(call: Call) -> Response:
    """Stop an import; nothing of it becomes visible."""
    call.branch()
    await call_thread(call.lake.imports.cancel, call.repository(), call.text("id"))
    return empty_response()


def _status_body(status: LakeImportStatus) -> bodies.ImportStatus:
    return bodies.ImportStatus(
        completed=status.is_completed,
        update_time=bodies.time_text(status.updated_us),
        ingested_objects=status.ingested,
        metarange_id=status.metarange or UNSET,
        commit=bodies.commit_body(status.commit) if status.commit else UNSET,
        error=bodies.Error(status.error) if status.error else UNSET,
    )


OPERATIONS = (
    Operation(
        "importStart",
        "POST",
        _IMPORT,
        _TAG,
        import_start,
        "start an import",
        body=requests.ImportCreation,
        answers={202: Answer(bodies.ImportCreationResponse)},
        errors=(403, 404, 409),
    ),
    Operation(
        "importStatus",
        "GET",
        _IMPORT,
        _TAG,
        import_status,
        "get how far an import is",
        parameters=(_ID,),
        answers={200: Answer(bodies.ImportStatus)},
        errors=(404,),
    ),
    Operation(
        "importCancel",
        "DELETE",
        _IMPORT,
        _TAG,
        import_cancel,
        "stop an import",
        parameters=(_ID,),
        answers={204: Answer()},
        errors=(403, 404, 409),
    ),
)
