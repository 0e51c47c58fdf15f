r"""Wildcards of paths, as Hadoop has them: `*` `?` `[abc]` `[a-z]` `[^a]` `{x,y}`, `\` before one.

None but `{x,y}` matches a slash, so that a pattern is matched folder by folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from anabranch.kernel import limits
from anabranch.kernel.errors import InvalidInput, Kind, LimitExceeded
from anabranch.warehouse.origins.base import Origin, OriginFile

_SPECIAL = frozenset("*?[{\\")


def has_wildcards(text: str) -> bool:
    """Tell whether a text is a pattern and not just itself."""
    return not _SPECIAL.isdisjoint(text)


def walk(origin: Origin, base: str, pattern: str) -> Iterator[OriginFile]:
    """Yield the files whose URL is `base`, taken literally, followed by what a pattern matches.

    Each once, in no order; no folders. Raises InvalidInput for a pattern that cannot be,
    LimitExceeded when it stands for too many files.
    """
    seen: set[str] = set()
    for one in expand(pattern):
        for file in _walk(origin, base, one.split("/")):
            if file.url in seen:
                continue
            seen.add(file.url)
            if len(seen) > limits.LOAD_FILES_MAX:
                raise LimitExceeded(
                    Kind.TOO_MANY, f"{pattern!r} matches more than {limits.LOAD_FILES_MAX} files"
                )
            yield file


def expand(pattern: str) -> list[str]:
    """Return the patterns without braces that one with braces stands for."""
    found = [""]
    at = 0
    while at < len(pattern):
        character = pattern[at]
        if character == "\\":
            found = [f"{one}{pattern[at : at + 2]}" for one in found]
            at += 2
        elif character == "{":
            end, choices = _choices(pattern, at)
            tails = [tail for choice in choices for tail in expand(choice)]
            if len(found) * len(tails) > limits.LOAD_PATTERNS_MAX:
                raise LimitExceeded(Kind.TOO_MANY, f"too many choices in {pattern[:200]!r}")
            found = [f"{one}{tail}" for one in found for tail in tails]
            at = end
        else:
            found = [f"{one}{character}" for one in found]
            at += 1
    return list(dict.fromkeys(found))


def _choices(pattern: str, start: int) -> tuple[int, list[str]]:
    """Return where the group that opens at `start` ends, and its choices."""
    choices = [""]
    depth = 0
    at = start
    while at < len(pattern):
        character = pattern[at]
        depth += (character == "{") - (character == "}")
        if depth > limits.LOAD_BRACES_MAX:
            raise LimitExceeded(Kind.TOO_MANY, f"braces are nested too deep in {pattern[:200]!r}")
        if character == "\\":
            choices[-1] += pattern[at : at + 2]
            at += 2
            continue
        if depth == 0:
            return at + 1, choices
        if character == "," and depth == 1:
            choices.append("")
        elif depth > 1 or character != "{":
            choices[-1] += character
        at += 1
    raise InvalidInput(Kind.IMPORT_SOURCE, f"a brace is not closed in {pattern[:200]!r}")


def _walk(origin: Origin, base: str, parts: list[str]) -> Iterator[OriginFile]:
    """Yield files below a literal URL; `parts` are patterns without braces."""
    for index, part in enumerate(parts):
        is_last = index == len(parts) - 1
        if not has_wildcards(part):
            base += part if is_last else f"{part}/"
            continue
        if not base.endswith("/"):
            raise InvalidInput(Kind.IMPORT_SOURCE, f"a wildcard stands in the name of {base!r}")
        matches = _matcher(part)
        if is_last:
            for child in origin.children(base):
                if not child.is_folder and matches.fullmatch(child.name):
                    yield child
            return
        for child in origin.children(base):
            if child.is_folder and matches.fullmatch(child.name):
                yield from _walk(origin, child.url, parts[index + 1 :])
        return
    if base.endswith("/"):
        return
    file = origin.find(base)
    if file is not None:
        yield file


def _matcher(part: str) -> re.Pattern[str]:
    found: list[str] = []
    at = 0
    while at < len(part):
        character = part[at]
        if character == "*":
            # One star is as good as many, and many would make the match quadratic or worse.
            if not found or found[-1] != ".*":
                found.append(".*")
        elif character == "?":
            found.append(".")
        elif character == "[":
            end = part.find("]", at + 2)
            if end < 0:
                raise InvalidInput(Kind.IMPORT_SOURCE, f"a bracket is not closed in {part!r}")
            inside = part[at + 1 : end]
            negation = "^" if inside[0] in "^!" else ""
            found.append(f"[{negation}{_members(inside[len(negation) :], part)}]")
            at = end
        else:
            if character == "\\":
                at += 1
                character = part[at : at + 1]
            found.append(re.escape(character))
        at += 1
    return re.compile("".join(found), re.DOTALL)


def _members(inside: str, part: str) -> str:
    """Return the members of a class as a regular expression has them; only `-` keeps a meaning."""
    found = []
    at = 0
    while at < len(inside):
        if inside[at + 1 : at + 2] == "-" and at + 2 < len(inside):
            first, last = inside[at], inside[at + 2]
            if first > last:
                raise InvalidInput(Kind.IMPORT_SOURCE, f"not a range: {first}-{last} in {part!r}")
            found.append(f"{re.escape(first)}-{re.escape(last)}")
            at += 3
        else:
            found.append(re.escape(inside[at]))
            at += 1
    if not found:
        raise InvalidInput(Kind.IMPORT_SOURCE, f"an empty bracket in {part!r}")
    return "".join(found)
