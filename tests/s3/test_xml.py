"""XML: what is written can be read by any parser, and what is read is plain or refused."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.kernel import limits
from anabranch.s3 import xml
from anabranch.s3.errors import Refused
from anabranch.s3.listing import make_token, parse_token

BOMB = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol">
<!ENTITY lol2 "&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;">]>
<Delete><Object><Key>&lol2;</Key></Object></Delete>"""

TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff", min_codepoint=32)
)


@given(TEXTS)
def test_any_text_comes_back_from_a_standard_parser(text: str) -> None:
    data = xml.document("A", xml.element("B", text), namespace="")
    assert (ElementTree.fromstring(data).findtext("B") or "") == text
    assert xml.parse(data, "A").child_text("B") == text


def test_blanks_survive() -> None:
    data = xml.document("A", xml.element("B", "a\tb\nc\rd "))
    assert xml.parse(data, "A").child_text("B") == "a\tb\nc\rd "


def test_what_xml_can_not_hold_is_a_numeric_reference() -> None:
    assert xml.escape("a\x01\x1f\ufffe") == "a&#x1;&#x1f;&#xfffe;"
    assert xml.escape("a\x00\udcff") == "a\ufffd\ufffd"
    assert xml.escape("<&>\"'") == "&lt;&amp;&gt;&quot;&#39;"


# Issue 5
def test_an_error_is_readable_to_those_who_see_its_xml() -> None:
    assert xml.sentence("Message", "no branch 'a\"b' in <c>") == (
        "<Message>no branch 'a\"b' in &lt;c&gt;</Message>"
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not xml",
        b"<Delete>",
        b"<Delete></Delet>",
        b"<Other></Other>",
        b"<Delete></Delete><Delete></Delete>",
        b"<Delete>&nbsp;</Delete>",
        b"<!DOCTYPE Delete><Delete></Delete>",
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><Delete></Delete>',
        BOMB,
        b"<Delete>" * (limits.XML_DEPTH_MAX + 1) + b"</Delete>" * (limits.XML_DEPTH_MAX + 1),
        b"<Delete>text<A>b</A></Delete>",
        b'<?xml version="1.0" encoding="no-such"?><Delete></Delete>',
        b"<Delete>\xff\xfe</Delete>",
    ],
)
def test_what_is_not_plain_elements_is_malformed(data: bytes) -> None:
    with pytest.raises(Refused) as caught:
        xml.parse(data, "Delete")
    assert caught.value.code == "MalformedXML"


def test_namespaces_comments_and_blanks_are_passed_over() -> None:
    data = b"""<?xml version="1.0" encoding="UTF-8"?>
    <s3:Delete xmlns:s3="http://s3.amazonaws.com/doc/2006-03-01/"><!-- c -->
      <s3:Quiet>true</s3:Quiet></s3:Delete>"""
    assert xml.parse(data, "Delete").child_text("Quiet") == "true"


def test_a_document_of_the_deepest_nesting_is_read() -> None:
    depth = limits.XML_DEPTH_MAX
    assert xml.parse(b"<A>" * depth + b"</A>" * depth, "A").children


def test_a_child_must_be_there_once() -> None:
    root = xml.parse(b"<A><B>1</B><B>2</B></A>", "A")
    with pytest.raises(Refused):
        root.child_text("B")
    with pytest.raises(Refused):
        root.child_text("C")
    assert root.child_text("C", "default") == "default"


def test_times_are_written_as_s3_does() -> None:
    assert xml.iso_time(1_700_000_000_123_999) == "2023-11-14T22:13:20.123Z"
    assert xml.iso_time(0) == "1970-01-01T00:00:00.000Z"
    assert xml.http_time(1_700_000_000) == "Tue, 14 Nov 2023 22:13:20 GMT"


def test_encoded_keys_are_what_clients_decode() -> None:
    assert xml.url_encoded("a b/+=é~") == "a%20b/%2B%3D%C3%A9~"


@given(st.text(min_size=1))
def test_continuation_tokens_come_back(after: str) -> None:
    try:
        after.encode()
    except UnicodeEncodeError:
        return
    assert parse_token(make_token(after)) == after


@pytest.mark.parametrize("token", ["", "x", "!!!", "MTo=", "é"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_token(token)
    assert caught.value.code == "InvalidArgument"
