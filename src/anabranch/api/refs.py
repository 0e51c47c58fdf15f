"""Operations on refs as a whole: dump, restore, in the background or not; symlink files."""

from msgspec import UNSET

from anabranch.api import bodies, requests
from anabranch.api.operations import (
    Answer,
    Call,
    Operation,
    Parameter,
    empty_response,
    json_response,
    wrong_field,
)
from anabranch.edge.blocking import call_local, call_thread
from anabranch.edge.http import Response
from anabranch.kernel.ids import parse_path
from anabranch.lake.refs_files import RefsDump
from anabranch.lake.refs_tasks import TaskStatus

_ONE = "/repositories/{repository}"
_TAG = "repositories"
_TASK = Parameter("task_id", is_required=True, text="what the submit answered")


async def dump_refs(call: Call) -> Response:
    """Write commits, tags and branches into the storage namespace and name what was written."""
    dump = await call_thread(call.lake.dumps.dump, call.repository())
    return json_response(201, _dump_body(dump))


async def restore_refs(call: Call) -> Response:
    """Make a bare repository hold the refs of a dump."""
    wanted = call.body(requests.RefsRestore)
    await call_thread(
        call.lake.restores.restore,
        call.repository(),
        _dump_of(wanted),
        is_forced=bool(wanted.force),
    )
    return empty_response(200)


async def dump_submit(call: Call) -> Response:
    """Start a dump in the background."""
    task_id = await call_thread(call.lake.refs_tasks.start_dump, call.repository())
    return json_response(202, bodies.TaskInfo(task_id))


async def dump_status(call: Call) -> Response:
    """Answer how a dump is."""
    status = await _status(call, is_restore=False)
    body = bodies.RepositoryDumpStatus(
        status.id,
        status.is_done,
        bodies.time_text(status.updated_us),
        status.error or UNSET,
        UNSET if status.dump is None else _dump_body(status.dump),
    )
    return json_response(200, body)


async def restore_submit(call: Call) -> Response:
    """Start a restore in the background."""
    wanted = call.body(requests.RefsRestore)
    task_id = await call_thread(
        call.lake.refs_tasks.start_restore,
        call.repository(),
        _dump_of(wanted),
        is_forced=bool(wanted.force),
    )
    return json_response(202, bodies.TaskInfo(task_id))


async def restore_status(call: Call) -> Response:
    """Answer how a restore is."""
    status = await _status(call, is_restore=True)
    body = bodies.RepositoryRestoreStatus(
        status.id, status.is_done, bodies.time_text(status.updated_us), status.error or UNSET
    )
    return json_response(200, body)


async def create_symlink_file(call: Call) -> Response:
    """Write symlink files of a folder at a ref, and of all below it."""
    location = call.text("location")
    if location:
        parse_path(location)
    if location.startswith("/"):
        raise wrong_field("location", "must be a path of the repository")
    written = await call_thread(call.lake.symlinks.create, call.repository(), call.ref(), location)
    return json_response(201, bodies.StorageURI(written.location))


async def _status(call: Call, *, is_restore: bool) -> TaskStatus:
    return await call_local(
        call.lake.refs_tasks.status,
        call.repository(),
        call.text("task_id"),
        is_restore=is_restore,
    )


def _dump_of(wanted: requests.RefsRestore) -> RefsDump:
    return RefsDump(
        wanted.commits_meta_range_id, wanted.tags_meta_range_id, wanted.branches_meta_range_id
    )


def _dump_body(dump: RefsDump) -> bodies.RefsDump:
    return bodies.RefsDump(
        dump.commits_meta_range_id, dump.tags_meta_range_id, dump.branches_meta_range_id
    )


OPERATIONS = (
    Operation(
        "dumpRefs",
        "PUT",
        f"{_ONE}/refs/dump",
        "internal",
        dump_refs,
        "write commits, tags and branches into the storage namespace",
        answers={201: Answer(bodies.RefsDump)},
        errors=(404, 413),
    ),
    Operation(
        "restoreRefs",
        "PUT",
        f"{_ONE}/refs/restore",
        "internal",
        restore_refs,
        "restore a dump into a bare repository",
        body=requests.RefsRestore,
        answers={200: Answer()},
        errors=(403, 404, 409),
    ),
    Operation(
        "dumpSubmit",
        "POST",
        f"{_ONE}/dump",
        _TAG,
        dump_submit,
        "start a dump of refs",
        answers={202: Answer(bodies.TaskInfo)},
        errors=(404, 409),
    ),
    Operation(
        "dumpStatus",
        "GET",
        f"{_ONE}/dump",
        _TAG,
        dump_status,
        "get how a dump of refs is",
        parameters=(_TASK,),
        answers={200: Answer(bodies.RepositoryDumpStatus)},
        errors=(404,),
    ),
    Operation(
        "restoreSubmit",
        "POST",
        f"{_ONE}/restore",
        _TAG,
        restore_submit,
        "start to restore a dump",
        body=requests.RefsRestore,
        answers={202: Answer(bodies.TaskInfo)},
        errors=(403, 404, 409),
    ),
    Operation(
        "restoreStatus",
        "GET",
        f"{_ONE}/restore",
        _TAG,
        restore_status,
        "get how a restore is",
        parameters=(_TASK,),
        answers={200: Answer(bodies.RepositoryRestoreStatus)},
        errors=(404,),
    ),
    Operation(
        "createSymlinkFile",
        "POST",
        f"{_ONE}/refs/{{ref}}/symlink",
        "internal",
        create_symlink_file,
        "write files that name the physical addresses of objects, by folder",
        parameters=(Parameter("location", text="folder of the objects; all when empty"),),
        answers={201: Answer(bodies.StorageURI)},
        errors=(404,),
    ),
)
