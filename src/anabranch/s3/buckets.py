"""ListBuckets, HeadBucket, CreateBucket and the small answers about a bucket."""

from anabranch.edge.blocking import call_local, call_thread
from anabranch.edge.http import Response
from anabranch.kernel import limits
from anabranch.kernel.errors import NotFound
from anabranch.s3.bucket import BucketInfo
from anabranch.s3.calls import Call, empty_response, xml_response
from anabranch.s3.errors import Refused
from anabranch.s3.listing import make_token, parse_token
from anabranch.s3.payload import receive_document
from anabranch.s3.reading import access_control_document
from anabranch.s3.xml import document, element, iso_time, owner


async def list_buckets(call: Call) -> Response:
    """Answer all buckets, or a page of them when `max-buckets` asks for one."""
    amount = min(
        call.int_parameter("max-buckets", limits.BUCKETS_PAGE_MAX), limits.BUCKETS_PAGE_MAX
    )
    token = call.parameters.get("continuation-token")
    after = parse_token(token) if token else ""
    prefix = call.parameter("prefix")
    found: list[BucketInfo] = []
    more: str | None = after
    while more is not None and len(found) < amount:
        portion = min(amount - len(found), limits.PAGE_MAX)
        page = await call_local(call.source.list, prefix=prefix, after=more, amount=portion)
        found += page.items
        more = page.next_after
    buckets = [
        f"<Bucket>{element('Name', one.name)}"
        f"<CreationDate>{iso_time(one.created_us)}</CreationDate></Bucket>"
        for one in found
    ]
    return xml_response(
        document(
            "ListAllMyBucketsResult",
            f"<Owner>{owner(call.identity.user)}</Owner>",
            f"<Buckets>{''.join(buckets)}</Buckets>",
            "" if more is None or not found else element("ContinuationToken", make_token(more)),
            element("Prefix", prefix) if prefix else "",
        )
    )


async def head_bucket(call: Call) -> Response:
    """Answer whether the bucket exists."""
    await call_local(call.bucket().require)
    return empty_response(200, [(b"x-amz-bucket-region", b"us-east-1")])


async def create_bucket(call: Call) -> Response:
    """Make a bucket; putting one that exists succeeds."""
    bucket = call.bucket()
    if call.request.has_body:
        await receive_document(call.request, call.header, call.identity.form)
    try:
        await call_local(bucket.require)
    except NotFound:
        await call_thread(call.source.create, call.bucket_name, call.identity.user)
    return empty_response(200, [(b"location", b"/" + call.bucket_name.encode())])


async def delete_bucket(call: Call) -> Response:
    """Refuse: repositories are deleted through the REST API."""
    await call_local(call.bucket().require)
    raise Refused("NotImplemented", "DeleteBucket is not offered.")


async def get_bucket_location(call: Call) -> Response:
    """Answer the region that is written as nothing: us-east-1."""
    await call_local(call.bucket().require)
    return xml_response(document("LocationConstraint"))


async def get_bucket_versioning(call: Call) -> Response:
    """Answer that versions of objects are not kept: branches and commits are."""
    await call_local(call.bucket().require)
    return xml_response(document("VersioningConfiguration"))


async def get_bucket_acl(call: Call) -> Response:
    """Answer that the caller controls the bucket."""
    await call_local(call.bucket().require)
    return xml_response(access_control_document(call.identity.user))


async def get_bucket_tagging(call: Call) -> Response:
    """Answer that there are no tags, which for buckets is an error."""
    await call_local(call.bucket().require)
    raise Refused("NoSuchTagSet", "The TagSet does not exist")
