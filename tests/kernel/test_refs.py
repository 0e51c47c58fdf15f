"""Ref expressions."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.kernel import limits
from anabranch.kernel.errors import InvalidInput, Kind
from anabranch.kernel.refs import Modifier, RefExpression, Step, parse_ref


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("main", RefExpression("main", Modifier.NONE, ())),
        ("feature/a.b-c_1", RefExpression("feature/a.b-c_1", Modifier.NONE, ())),
        ("main~", RefExpression("main", Modifier.NONE, (Step(False, 1),))),
        ("main~2", RefExpression("main", Modifier.NONE, (Step(False, 2),))),
        ("v1^2~3", RefExpression("v1", Modifier.NONE, (Step(True, 2), Step(False, 3)))),
        ("main@", RefExpression("main", Modifier.COMMITTED, ())),
        ("main@~1", RefExpression("main", Modifier.COMMITTED, (Step(False, 1),))),
        ("main$", RefExpression("main", Modifier.STAGING, ())),
        ("main^0", RefExpression("main", Modifier.NONE, (Step(True, 0),))),
    ],
)
def test_expressions_parse(text: str, expected: RefExpression) -> None:
    assert parse_ref(text) == expected


@pytest.mark.parametrize(
    "text", ["", "~1", "@", "$", "^", "main$~1", "main~x", "main@@", "main~1main", "main ~1 x$"]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_ref(text)
    assert caught.value.kind is Kind.REF_EXPRESSION


def test_a_chain_at_the_limit_parses_and_one_past_it_does_not() -> None:
    assert len(parse_ref("a" + "^" * limits.REF_STEPS_MAX).steps) == limits.REF_STEPS_MAX
    with pytest.raises(InvalidInput):
        parse_ref("a" + "^" * (limits.REF_STEPS_MAX + 1))
    assert parse_ref(f"a~{limits.REF_ANCESTORS_MAX}").steps[0].number == limits.REF_ANCESTORS_MAX
    with pytest.raises(InvalidInput):
        parse_ref(f"a~{limits.REF_ANCESTORS_MAX + 1}")
    with pytest.raises(InvalidInput):
        parse_ref("a" * (limits.REF_EXPRESSION_LENGTH_MAX + 1))


@given(st.text(max_size=40))
def test_any_text_parses_or_is_refused(text: str) -> None:
    with suppress(InvalidInput):
        assert parse_ref(text).base
