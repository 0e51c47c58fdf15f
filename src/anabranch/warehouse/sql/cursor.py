"""A place in the tokens of one statement, and the small forms that all parsers share."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from anabranch.kernel import limits
from anabranch.warehouse.errors import SqlError, doris, syntax
from anabranch.warehouse.sql.lexer import Token, TokenKind, scan
from anabranch.warehouse.sql.statements import Properties, TableName

# Words that would make a clause ambiguous if they named a thing without back-ticks.
_RESERVED = """
    ADD ALL ALTER AND AS ASC BETWEEN BY CASE CAST CREATE CROSS DELETE DESC DISTINCT
    DISTRIBUTED DROP ELSE EXISTS EXPLAIN FALSE FROM FULL GRANT GROUP HAVING IN INDEX INNER INSERT
    INTO IS JOIN KEY LEFT LIKE LIMIT LOAD NOT NULL ON OR ORDER OUTER PARTITION REVOKE RIGHT
    SELECT SET SHOW TABLE THEN TO TRUE UNION UPDATE USING VALUES WHEN WHERE WITH
"""
RESERVED = frozenset(_RESERVED.split())
_CLUSTER = "default_cluster"


@lru_cache(maxsize=1_024)  # the parsers' own words, far fewer
def _split(words: str) -> tuple[str, ...]:
    return tuple(words.split())


class Cursor:
    """Reads tokens one after the other; every failure is the 1064 of its place."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._source: Iterator[Token] = scan(text)
        self._ahead: list[Token] = []
        self._last_end = 0

    # Looking

    def peek(self, distance: int = 0) -> Token:
        """Return a token that was not taken yet; hints are passed over."""
        while len(self._ahead) <= distance:
            if self._ahead and self._ahead[-1].kind is TokenKind.END:
                return self._ahead[-1]
            token = next(self._source)
            if token.kind is not TokenKind.HINT:
                self._ahead.append(token)
        return self._ahead[distance]

    @property
    def position(self) -> int:
        """Return where the next token begins."""
        return self.peek().start

    @property
    def last_end(self) -> int:
        """Return where the token taken last ends."""
        return self._last_end

    def at_end(self) -> bool:
        """Tell whether nothing is left."""
        return self.peek().kind is TokenKind.END

    def is_word(self, word: str, distance: int = 0) -> bool:
        """Tell whether a token ahead is this keyword or operator."""
        token = self.peek(distance)
        match token.kind:
            case TokenKind.WORD | TokenKind.OPERATOR:
                return token.value.upper() == word
        return False

    def is_words(self, words: str) -> bool:
        """Tell whether these keywords and operators, separated by spaces, come next."""
        return all(self.is_word(word, i) for i, word in enumerate(_split(words)))

    # Taking

    def take(self) -> Token:
        """Take the next token; at the end it is END again and again."""
        token = self.peek()
        if token.kind is not TokenKind.END:
            self._ahead.pop(0)
            self._last_end = token.end
        return token

    def accept(self, words: str) -> bool:
        """Take these keywords and operators if they come next."""
        if not self.is_words(words):
            return False
        for _ in _split(words):
            self.take()
        return True

    def accept_any(self, *choices: str) -> str:
        """Take the first of `choices` that comes next and return it, else the empty text."""
        return next((words for words in choices if self.accept(words)), "")

    def expect(self, words: str) -> None:
        """Take these keywords and operators."""
        for word in words.split():
            if not self.is_word(word):
                raise self.error(word)
            self.take()

    def expect_any(self, *choices: str) -> str:
        """Take the one of `choices` that comes next and return it."""
        found = self.accept_any(*choices)
        if not found:
            raise self.error(", ".join(choices))
        return found

    def finish(self) -> None:
        """Refuse anything that is left."""
        if not self.at_end():
            raise self.error("end of the statement")

    def split_shift(self) -> bool:
        """Take the first half of a `>>`, which may close two nested types."""
        token = self.peek()
        if token.kind is not TokenKind.OPERATOR or token.value != ">>":
            return False
        self._ahead[0] = Token(TokenKind.OPERATOR, ">", token.start + 1, token.end)
        return True

    def error(self, expected: str = "") -> SqlError:
        """Return the 1064 of the next token."""
        token = self.peek()
        if token.kind is TokenKind.END:
            encountered = "EOF"
        else:
            encountered = self.text[token.start : token.end]
        return syntax(self.text, token.start, encountered, expected)

    # Names and values

    def is_name(self, distance: int = 0) -> bool:
        """Tell whether a name comes next: in back-ticks, or a word that is not reserved."""
        token = self.peek(distance)
        if token.kind is TokenKind.QUOTED:
            return True
        return token.kind is TokenKind.WORD and token.value.upper() not in RESERVED

    def name(self, what: str = "a name") -> str:
        """Take a name."""
        if not self.is_name():
            raise self.error(what)
        return self.take().value

    def name_or_string(self, what: str = "a name") -> str:
        """Take a name that may be written as a string."""
        if self.peek().kind is TokenKind.STRING:
            return self.take().value
        return self.name(what)

    def names(self) -> tuple[str, ...]:
        """Take names in parentheses."""
        self.expect("(")
        found = [self.name()]
        while self.accept(","):
            found.append(self.name())
        self.expect(")")
        return tuple(found)

    def string(self, what: str = "a string") -> str:
        """Take a string."""
        if self.peek().kind is not TokenKind.STRING:
            raise self.error(what)
        return self.take().value

    def integer(self, what: str = "a number") -> int:
        """Take a number without a sign, at most 18 digits."""
        token = self.peek()
        if token.kind is not TokenKind.INTEGER or len(token.value) > 18:
            raise self.error(what)
        return int(self.take().value)

    def database_name(self) -> str:
        """Take `[catalog.]database`, and drop the catalog's default and old Doris's cluster."""
        self._skip_cluster()
        name = self.name_or_string("a database")
        return self.name("a database") if self.accept(".") else name

    def table_name(self) -> TableName:
        """Take `[[catalog.]database.]table`, with `@branch(x)` or `@tag(x)` after it if present."""
        self._skip_cluster()
        parts = [self.name("a table")]
        while len(parts) < 3 and self.accept("."):
            # After a point every word is a name.
            token = self.peek()
            if token.kind not in (TokenKind.WORD, TokenKind.QUOTED):
                raise self.error("a name")
            parts.append(self.take().value)
        ref = None
        if self.is_word("@") and self.peek(1).value.upper() in ("BRANCH", "TAG"):
            self.take()
            self.take()
            self.expect("(")
            ref = self.name_or_string("a ref")
            self.expect(")")
        padded = [None] * (3 - len(parts)) + parts
        return TableName(parts[-1], padded[1], padded[0], ref)

    def database_parts(self) -> tuple[str, ...]:
        """Take `[catalog.]database`, as its parts."""
        self._skip_cluster()
        first = self.name("a database")
        return (first, self.name("a database")) if self.accept(".") else (first,)

    def table_name_or_string(self) -> TableName:
        """Take `[database.]name`, of which the last may be a string."""
        if self.peek().kind is TokenKind.STRING:
            return TableName(self.take().value)
        self._skip_cluster()
        if self.is_word(".", 1) and self.peek(2).kind is TokenKind.STRING:
            database = self.name("a database")
            self.expect(".")
            return TableName(self.take().value, database)
        return self.table_name()

    def _skip_cluster(self) -> None:
        if self.peek().value == _CLUSTER and self.is_word(":", 1):
            self.take()
            self.take()
        elif self.peek().kind is TokenKind.QUOTED and self.peek().value.startswith(_CLUSTER + ":"):
            token = self._ahead[0]
            stripped = token.value.removeprefix(_CLUSTER + ":")
            self._ahead[0] = Token(token.kind, stripped, token.start, token.end)

    def literal(self) -> str | None:
        """Take a literal and return its text, None for NULL; numbers may have a sign."""
        token = self.peek()
        match token.kind:
            case TokenKind.STRING:
                return self.take().value
            case TokenKind.INTEGER | TokenKind.NUMBER:
                return self.take().value
            case TokenKind.OPERATOR if token.value in ("-", "+"):
                after = self.peek(1)
                if after.kind in (TokenKind.INTEGER, TokenKind.NUMBER):
                    sign = self.take().value
                    return ("-" if sign == "-" else "") + self.take().value
            case TokenKind.WORD:
                upper = token.value.upper()
                if upper in ("NULL", "TRUE", "FALSE"):
                    self.take()
                    return None if upper == "NULL" else upper.lower()
        raise self.error("a literal")

    def properties(self) -> Properties:
        """Take `("name" = "value", ...)`; an empty list is allowed, a name twice is not."""
        self.expect("(")
        found: dict[str, str] = {}
        while not self.is_word(")"):
            name = self._property_word()
            self.expect("=")
            value = self._property_word()
            if name in found:
                raise doris(f"Duplicate property: {name}")
            found[name] = value
            if not self.accept(","):
                break
        self.expect(")")
        return tuple(found.items())

    def _property_word(self) -> str:
        token = self.peek()
        if token.kind in (TokenKind.OPERATOR, TokenKind.END):
            value = self.literal()  # a negative number
            assert value is not None
            return value
        return self.take().value

    def optional_properties(self) -> Properties:
        """Take `PROPERTIES (...)` if it comes next."""
        return self.properties() if self.accept("PROPERTIES") else ()

    # Text that others parse

    def rest(self) -> str:
        """Take everything that is left, as text."""
        text = self.text[self.position :]
        self._ahead = [Token(TokenKind.END, "", len(self.text), len(self.text))]
        self._last_end = len(self.text)
        return text.rstrip()

    def text_until(self, *stops: str) -> str:
        """Take tokens up to one of `stops` outside of parentheses; return their text.

        A closing parenthesis that was not opened here also stops. Empty text is refused.
        """
        start = self.position
        end = start
        depth = 0
        while not self.at_end():
            if depth == 0 and (self.is_word(")") or any(self.is_words(stop) for stop in stops)):
                break
            token = self.take()
            end = token.end
            if token.kind is TokenKind.OPERATOR:
                depth += (token.value in "([{") - (token.value in ")]}")
                if depth > limits.STATEMENT_PARENTHESES_MAX:
                    raise doris("the statement is nested too deeply")
        if end == start:
            raise self.error("an expression")
        return self.text[start:end]
