"""Ref expressions: `main`, `v1~2`, `dev^2~1`, `main@`, `main$`, a commit id or its prefix."""

import functools
import re
from dataclasses import dataclass
from enum import StrEnum

from anabranch.kernel import limits
from anabranch.kernel.errors import InvalidInput, Kind

_BASE = re.compile(r"[^~^@$]+")
_STEP = re.compile(r"([~^])([0-9]{0,9})")


class Modifier(StrEnum):
    """What of a branch is meant."""

    NONE = ""
    COMMITTED = "@"  # the head, without staging
    STAGING = "$"  # uncommitted entries alone


@dataclass(frozen=True, slots=True)
class Step:
    """One move through history: `~N` N first parents back, `^N` to the N-th parent."""

    is_parent: bool
    number: int


@dataclass(frozen=True, slots=True)
class RefExpression:
    """A parsed ref expression; `base` is a branch, tag or commit id, not yet looked up."""

    base: str
    modifier: Modifier
    steps: tuple[Step, ...]

    @property
    def is_plain(self) -> bool:
        """Tell whether it is a bare name."""
        return self.modifier is Modifier.NONE and not self.steps


@functools.lru_cache(limits.REFS_PARSED_MAX)
def parse_ref(text: str) -> RefExpression:
    """Parse a ref expression; raise InvalidInput with the reason.

    Grammar: base [`@` | `$`] (`~`[N] | `^`[N])*; a missing N is 1; steps imply the head, `$` takes
    no steps. `^0` and `~0` stay where they are, as in git.
    """
    if len(text) > limits.REF_EXPRESSION_LENGTH_MAX:
        raise InvalidInput(Kind.REF_EXPRESSION, "ref expression is too long")
    base = _BASE.match(text)
    if base is None:
        raise InvalidInput(Kind.REF_EXPRESSION, f"not a ref expression: {text!r}")
    at = base.end()
    modifier = Modifier.NONE
    if at < len(text) and text[at] in "@$":
        modifier = Modifier(text[at])
        at += 1
    steps: list[Step] = []
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None or modifier is Modifier.STAGING:
            raise InvalidInput(Kind.REF_EXPRESSION, f"not a ref expression: {text!r}")
        number = int(match.group(2)) if match.group(2) else 1
        steps.append(Step(match.group(1) == "^", number))
        at = match.end()
    if len(steps) > limits.REF_STEPS_MAX or any(
        step.number > limits.REF_ANCESTORS_MAX for step in steps
    ):
        raise InvalidInput(Kind.REF_EXPRESSION, f"ref expression goes back too far: {text!r}")
    return RefExpression(base.group(), modifier, tuple(steps))
