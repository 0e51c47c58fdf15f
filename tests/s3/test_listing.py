"""ListObjects and ListObjectsV2: prefixes, delimiters, markers, tokens, codings; and refs."""

from urllib.parse import quote, unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.s3 import Answer, S3Kit

KEYS = ["a", "b/1", "b/2", "b/c/3", "b0", "c d+e=é/x", "d/", "d/e", "z\x01<&>"]


@pytest.fixture
def full(kit: S3Kit) -> S3Kit:
    for key in KEYS:
        kit.lake.put(key, b"x")
    return kit


def listed(answer: Answer) -> tuple[list[str], list[str]]:
    keys = [unquote(text) for text in answer.texts("Contents/Key")]
    return keys, [unquote(text) for text in answer.texts("CommonPrefixes/Prefix")]


def ls(kit: S3Kit, **parameters: str) -> Answer:
    parameters.setdefault("encoding_type", "url")
    query = "&".join(
        f"{name.replace('_', '-')}={quote(value, safe='')}" for name, value in parameters.items()
    )
    answer = kit.call("GET", "/example", query)
    assert answer.status == 200, answer.body
    return answer


@pytest.mark.parametrize("version", ["1", "2"])
def test_all_keys_of_a_ref_in_order(full: S3Kit, version: str) -> None:
    answer = ls(full, list_type=version, prefix="main/")
    assert listed(answer) == ([f"main/{key}" for key in KEYS], [])
    assert answer.text("IsTruncated") == "false"
    assert answer.texts("Contents/Size") == ["1"] * len(KEYS)
    assert set(answer.texts("Contents/StorageClass")) == {"STANDARD"}
    assert answer.texts("Contents/ETag")[0] == '"9dd4e461268c8034f5c8564e155c67a6"'
    assert answer.texts("Contents/LastModified")[0].endswith("Z")


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_delimiter_rolls_up(full: S3Kit, version: str) -> None:
    answer = ls(full, list_type=version, prefix="main/", delimiter="/")
    assert listed(answer) == (
        ["main/a", "main/b0", "main/z\x01<&>"],
        ["main/b/", "main/c d+e=é/", "main/d/"],
    )
    below = ls(full, list_type=version, prefix="main/b/", delimiter="/")
    assert listed(below) == (["main/b/1", "main/b/2"], ["main/b/c/"])
    marker = ls(full, list_type=version, prefix="main/d/", delimiter="/")
    assert listed(marker) == (["main/d/", "main/d/e"], [])
    other = ls(full, list_type=version, prefix="main/b", delimiter="c/")
    assert listed(other) == (["main/b/1", "main/b/2", "main/b0"], ["main/b/c/"])


@pytest.mark.parametrize("size", ["1", "2", "3", "1000", "5000"])
@pytest.mark.parametrize("delimiter", ["", "/"])
def test_pages_of_version_2_follow_each_other(full: S3Kit, size: str, delimiter: str) -> None:
    whole = listed(ls(full, list_type="2", prefix="main/", delimiter=delimiter))
    keys: list[str] = []
    prefixes: list[str] = []
    answer = ls(full, list_type="2", prefix="main/", delimiter=delimiter, max_keys=size)
    while True:
        page = listed(answer)
        assert answer.text("KeyCount") == str(len(page[0]) + len(page[1]))
        assert len(page[0]) + len(page[1]) <= int(size)
        keys += page[0]
        prefixes += page[1]
        if answer.text("IsTruncated") == "false":
            break
        assert page != ([], [])
        answer = ls(
            full,
            list_type="2",
            prefix="main/",
            delimiter=delimiter,
            max_keys=size,
            continuation_token=answer.text("NextContinuationToken"),
        )
    assert (keys, prefixes) == whole


@pytest.mark.parametrize("size", ["1", "3", "1000"])
@pytest.mark.parametrize("delimiter", ["", "/"])
def test_pages_of_version_1_follow_each_other(full: S3Kit, size: str, delimiter: str) -> None:
    whole = listed(ls(full, prefix="main/", delimiter=delimiter))
    keys: list[str] = []
    prefixes: list[str] = []
    marker = ""
    while True:
        answer = ls(full, prefix="main/", delimiter=delimiter, max_keys=size, marker=marker)
        page = listed(answer)
        keys += page[0]
        prefixes += page[1]
        if answer.text("IsTruncated") == "false":
            break
        marker = unquote(answer.text("NextMarker"))
        assert marker == max([*page[0], *page[1]])
    assert (keys, prefixes) == whole


def test_start_after_and_markers_are_exclusive(full: S3Kit) -> None:
    answer = ls(full, list_type="2", prefix="main/", start_after="main/b/1")
    assert listed(answer)[0] == [f"main/{key}" for key in KEYS[2:]]
    assert unquote(answer.text("StartAfter")) == "main/b/1"
    before = ls(full, list_type="2", prefix="main/b/", start_after="aaa")
    assert listed(before)[0] == ["main/b/1", "main/b/2", "main/b/c/3"]
    beyond = ls(full, list_type="2", prefix="main/", start_after="zzz")
    assert listed(beyond) == ([], [])
    assert listed(ls(full, prefix="main/", marker="main/b0"))[0][0] == "main/c d+e=é/x"


def test_a_probe_for_existence_is_never_empty_by_mistake(full: S3Kit) -> None:
    # hadoop-aws 3.3.2: list-type=2&delimiter=%2F&max-keys=2&prefix=..&fetch-owner=false
    for prefix, count in (("main/b/", 2), ("main/nope/", 0), ("main/", 2)):
        answer = full.call(
            "GET",
            "/example/",
            f"list-type=2&delimiter=%2F&max-keys=2&prefix={quote(prefix)}&fetch-owner=false",
        )
        assert answer.text("KeyCount") == str(count)


def test_without_a_coding_odd_keys_are_escaped(full: S3Kit) -> None:
    answer = full.call("GET", "/example", "list-type=2&prefix=main%2Fz")
    assert b"<Key>main/z&#x1;&lt;&amp;&gt;</Key>" in answer.body
    assert b"EncodingType" not in answer.body


def test_owners_are_shown_when_asked_for(full: S3Kit) -> None:
    assert ls(full, list_type="2", prefix="main/").texts("Contents/Owner/ID") == []
    asked = ls(full, list_type="2", prefix="main/a", fetch_owner="true")
    assert asked.texts("Contents/Owner/ID") == ["docker"]


@pytest.mark.parametrize(
    "query",
    [
        "max-keys=-1",
        "max-keys=x",
        "list-type=3",
        "encoding-type=base64",
        "list-type=2&continuation-token=bad!",
        "list-type=2&continuation-token=",
    ],
)
def test_bad_parameters_are_400(kit: S3Kit, query: str) -> None:
    answer = kit.call("GET", "/example", query)
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_a_page_of_nothing(full: S3Kit) -> None:
    answer = ls(full, list_type="2", prefix="main/", max_keys="0")
    assert listed(answer) == ([], [])
    assert answer.text("IsTruncated") == "false"


def test_refs_are_listed_above_their_objects(full: S3Kit) -> None:
    for name in ("dev", "main-2", "feature/x"):
        full.lake.branch(name)
    full.tag("v1")
    everything = ["dev/", "feature/x/", "main/", "main-2/", "v1/"]
    for parameters in ({"delimiter": "/"}, {"prefix": ""}, {"list_type": "2"}):
        assert listed(ls(full, **parameters)) == ([], everything)
    assert listed(ls(full, prefix="ma"))[1] == ["main/", "main-2/"]
    assert listed(ls(full, prefix="feature/"))[1] == ["feature/x/"]
    assert listed(ls(full, prefix="nope/")) == ([], [])
    assert listed(ls(full, prefix="main/"))[0] != []
    names: list[str] = []
    answer = ls(full, list_type="2", max_keys="2")
    while True:
        names += listed(answer)[1]
        if answer.text("IsTruncated") == "false":
            break
        token = answer.text("NextContinuationToken")
        answer = ls(full, list_type="2", max_keys="2", continuation_token=token)
    assert names == everything
    assert listed(ls(full, marker="main/"))[1] == ["main-2/", "v1/"]


def test_commits_and_tags_are_listed_as_they_were(full: S3Kit) -> None:
    commit = full.lake.commit()
    full.lake.put("new", b"x")
    assert listed(ls(full, prefix=f"{commit}/"))[0] == [f"{commit}/{key}" for key in KEYS]
    assert full.keys("example", f"prefix={commit}/b/1") == [f"{commit}/b/1"]


def test_an_unknown_bucket(kit: S3Kit) -> None:
    for query in ("list-type=2", "", "list-type=2&prefix=main/", "max-keys=0"):
        assert kit.call("GET", "/nope", query).code == "NoSuchBucket"


def test_checksums_of_objects_are_named(kit: S3Kit) -> None:
    kit.put("/example/main/a", b"x", x_amz_sdk_checksum_algorithm="SHA256")
    answer = ls(kit, list_type="2", prefix="main/")
    assert answer.texts("Contents/ChecksumAlgorithm") == ["SHA256"]
    assert answer.texts("Contents/ChecksumType") == ["FULL_OBJECT"]


@settings(max_examples=30)
@given(
    st.sets(st.text(st.sampled_from("ab/"), min_size=1, max_size=5), max_size=12),
    st.text(st.sampled_from("ab/"), max_size=3),
    st.sampled_from(["", "/", "a", "b/"]),
    st.integers(1, 4),
)
def test_the_raw_store_lists_like_a_plain_model(
    keys: set[str], prefix: str, delimiter: str, amount: int
) -> None:
    raw = S3Kit(is_raw=True)
    assert raw.call("PUT", "/plain").status == 200
    for key in keys:
        assert raw.call("PUT", "/plain/" + quote(key), body=b"x").status == 200
    expected = []
    for key in sorted(keys):
        if key.startswith(prefix):
            at = key.find(delimiter, len(prefix)) if delimiter else -1
            rolled = key if at < 0 else key[: at + len(delimiter)] + "*"
            if rolled not in expected:
                expected.append(rolled)
    found: list[str] = []
    query = f"list-type=2&prefix={quote(prefix)}&delimiter={quote(delimiter)}&max-keys={amount}"
    answer = raw.call("GET", "/plain", query)
    while True:
        assert answer.status == 200
        keys_found, prefixes = listed(answer)
        page = [*keys_found, *(one + "*" for one in prefixes)]
        assert len(page) <= amount
        found += page
        if answer.text("IsTruncated") == "false":
            break
        assert page
        token = answer.text("NextContinuationToken")
        answer = raw.call("GET", "/plain", f"{query}&continuation-token={quote(token)}")
    raw.lake.close()
    assert sorted(found) == sorted(expected)
