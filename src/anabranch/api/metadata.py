"""Where committed metadata lies: the files of ranges and metaranges."""

from anabranch.api import bodies
from anabranch.api.operations import Answer, Call, Operation, json_response
from anabranch.edge.blocking import call_local
from anabranch.edge.http import Response
from anabranch.kernel.errors import Kind, NotFound
from anabranch.kernel.ids import is_hex
from anabranch.lake.values import physical_address

_METADATA = "/repositories/{repository}/metadata"
_TAG = "metadata"
_ID_DIGITS = 64


async def get_meta_range(call: Call) -> Response:
    """Answer where a metarange's file lies."""
    return await _location(call, "meta_range")


async def get_range(call: Call) -> Response:
    """Answer where a range's file lies."""
    return await _location(call, "range")


async def _location(call: Call, name: str) -> Response:
    file_id = call.path[name]

    def find() -> str:
        repository = call.lake.repositories.get(call.repository())
        address = physical_address(repository.namespace, f"_lakefs/{file_id}")
        if not is_hex(file_id, _ID_DIGITS) or call.lake.blocks.find(address) is None:
            raise NotFound(Kind.RANGE_NOT_FOUND, f"no {name} {file_id!r}")
        return address

    return json_response(200, bodies.StorageURI(await call_local(find)))


OPERATIONS = (
    Operation(
        "getMetaRange",
        "GET",
        f"{_METADATA}/meta_range/{{meta_range}}",
        _TAG,
        get_meta_range,
        "get where a metarange lies",
        answers={200: Answer(bodies.StorageURI)},
        errors=(404,),
    ),
    Operation(
        "getRange",
        "GET",
        f"{_METADATA}/range/{{range}}",
        _TAG,
        get_range,
        "get where a range lies",
        answers={200: Answer(bodies.StorageURI)},
        errors=(404,),
    ),
)
