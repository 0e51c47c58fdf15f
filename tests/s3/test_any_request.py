"""Whatever is asked, the answer is one of S3's: never an exception, never a 500."""

from urllib.parse import quote

from hypothesis import example, given, settings
from hypothesis import strategies as st

from anabranch.s3.errors import STATUS
from tests.support.s3 import S3Kit

TEXT = st.text(max_size=12)
NAMES = [
    "acl",
    "continuation-token",
    "delete",
    "delimiter",
    "encoding-type",
    "fetch-owner",
    "key-marker",
    "list-type",
    "location",
    "marker",
    "max-keys",
    "max-parts",
    "max-uploads",
    "part-number-marker",
    "partNumber",
    "prefix",
    "response-content-type",
    "start-after",
    "tagging",
    "upload-id-marker",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
]
HEADERS = [
    "cache-control",
    "content-encoding",
    "content-md5",
    "content-type",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "range",
    "x-amz-checksum-algorithm",
    "x-amz-checksum-crc32",
    "x-amz-checksum-type",
    "x-amz-copy-source",
    "x-amz-copy-source-if-match",
    "x-amz-copy-source-range",
    "x-amz-decoded-content-length",
    "x-amz-meta-a",
    "x-amz-metadata-directive",
    "x-amz-mp-object-size",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-trailer",
]
VALUES = st.one_of(
    st.sampled_from(
        [
            "",
            "0",
            "1",
            "2",
            "-1",
            "url",
            "true",
            "*",
            "/",
            "main/",
            "CRC32",
            "CRC64NVME",
            "AAAAAA==",
        ]
        + [
            "bytes=0-1",
            "bytes=-0",
            "example/main/a",
            "/example/main/a",
            "REPLACE",
            "\x00",
            "é",
            "9" * 30,
        ]
    ),
    TEXT,
)
PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
BODIES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            b"<Delete><Object><Key>main/a</Key></Object></Delete>",
            b"<Delete><Object><Key>a</Key></Object><Quiet>true</Quiet></Delete>",
            (
                b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>a</ETag></Part>"
                b"</CompleteMultipartUpload>"
            ),
            b"0\r\n\r\n",
        ]
    ),
)
FORMS = st.sampled_from(
    [None, "UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "0" * 64, "x"]
)


def coded(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="/")


@example(False, "GET", "/example", {"max-keys": "\x1f"}, {}, b"", None)
@settings(max_examples=300)
@given(
    st.booleans(),
    st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"]),
    st.one_of(
        st.sampled_from(["/", "/example", "/example/main", "/example/main/", "/example/main/a"]),
        st.builds("/example/{}/{}".format, VALUES, VALUES),
        TEXT.map("/{}".format),
    ),
    st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3),
    st.dictionaries(st.sampled_from(HEADERS), st.one_of(PRINTABLE, VALUES), max_size=3),
    BODIES,
    FORMS,
)
def test_any_signed_request_gets_an_answer_of_s3(
    is_raw: bool,
    method: str,
    path: str,
    parameters: dict[str, str],
    headers: dict[str, str],
    body: bytes,
    form: str | None,
) -> None:
    kit = S3Kit(is_raw=is_raw)
    kit.lake.put("a", b"x")
    query = "&".join(f"{name}={coded(value)}" for name, value in parameters.items())
    named = {
        name: value for name, value in headers.items() if value.isascii() and value.isprintable()
    }
    if form is not None:
        named["x-amz-content-sha256"] = form
    try:
        answer = kit.call(method, coded(path), query, body, named)
    finally:
        kit.lake.close()
    assert answer.status < 500 or answer.status in (501, 503)
    assert answer.headers["x-amz-request-id"]
    if answer.status >= 400 and method != "HEAD":
        assert answer.status == STATUS[answer.code]
        assert answer.text("RequestId") == answer.headers["x-amz-request-id"]
    if method == "HEAD" and answer.status >= 400:
        assert answer.body == b""
