"""The packet codecs: inverses, and bytes that make no sense."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from anabranch.mysql import packets, texts
from anabranch.mysql.errors import LinkError
from anabranch.mysql.packets import Capability, Reader
from anabranch.mysql.prepared import decode_value


@given(value=st.integers(0, 2**64 - 1))
def test_lengths_read_back(value: int) -> None:
    reader = Reader(packets.encode_length(value))
    assert reader.length() == value
    assert reader.remaining == 0


@given(payload=st.binary(max_size=300), bits=st.integers(0, 2**32 - 1))
def test_any_login_is_read_or_refused(payload: bytes, bits: int) -> None:
    with contextlib.suppress(LinkError):
        packets.decode_login(bits.to_bytes(4, "little") + payload, packets.OFFERED)
    with contextlib.suppress(LinkError):
        packets.decode_change_user(payload, Capability(bits & int(packets.OFFERED)))


@given(payload=st.binary(max_size=64), code=st.integers(0, 255), is_unsigned=st.booleans())
def test_any_parameter_is_read_or_refused(payload: bytes, code: int, is_unsigned: bool) -> None:
    with contextlib.suppress(LinkError):
        decode_value(Reader(payload), code, is_unsigned=is_unsigned)


def test_a_payload_of_the_largest_packet_is_followed_by_an_empty_one() -> None:
    for length, count in ((0, 1), (1, 1), (0xFF_FFFE, 1), (0xFF_FFFF, 2), (0x100_0000, 2)):
        data, sequence = packets.frame(b"x" * length, 255)
        assert sequence == (255 + count) % 256
        assert len(data) == length + 4 * count


def test_second_statements() -> None:
    alone = ["", ";", "select 1", "select 1;", "select 1 ; ; -- x;y", "select ';'", 'select ";"',
             "select `;`", "select 1 /* ; x */ # ;",
             "select 'it''s;' ", r"select '\';' ",
             "select '; drop", "select /* ; ", "select 1; /* more */", "a - -1;"]  # fmt: skip
    several = ["select 1; select 2", ";x", "select ';'; x", "select 1;/*! drop */",
               "select '\\\\'; drop", "select 1--2; drop", "/**/;x", "a -- c\n; b"]  # fmt: skip
    assert not [text for text in alone if texts.has_second_statement(text)]
    assert [text for text in several if texts.has_second_statement(text)] == several


@given(text=st.text(alphabet="'\"`\\;-#/*! \na", max_size=400))
def test_the_search_for_a_second_statement_ends(text: str) -> None:
    texts.has_second_statement(text * 50)


def test_kill_statements() -> None:
    assert texts.find_kill("KILL 7") == texts.Kill(7, is_query_only=False)
    assert texts.find_kill(" kill query 12 ;") == texts.Kill(12, is_query_only=True)
    assert texts.find_kill("kill connection 9") == texts.Kill(9, is_query_only=False)
    assert texts.find_kill("kill x") is None
    assert texts.find_kill("select 'kill 7'") is None
