"""Text to a syntax tree: sqlglot's Doris grammar, with no knowledge of any function.

sqlglot turns known functions into its own nodes, with other argument orders and silently other
meanings. Here every call stays a name with its arguments as written; what has a grammar of its own
(CAST, EXTRACT, GROUP_CONCAT, ...) is parsed here into such a call.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlglot import exp
from sqlglot.dialects.doris import Doris
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokenizer_core import TokenType

from anabranch.warehouse.errors import doris, syntax
from anabranch.warehouse.sql.transforms.literals import Literal, Token, encode, replace_encoded

_Base = Doris.Parser
SQL_TEXT = "sql"  # the key of a node's text in its meta data
_FUNCTION_TOKENS = set(_Base.FUNC_TOKENS) - {TokenType.VALUES}


def _call(name: str, *arguments: exp.Expression | None) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=[each for each in arguments if each is not None])


_OWN_TYPES = frozenset(
    [
        "LARGEINT",
        "HLL",
        "BITMAP",
        "JSONB",
        "JSON",
        "STRING",
        "DATEV1",
        "DATEV2",
        "DATETIMEV1",
        "DATETIMEV2",
        "DECIMALV2",
        "DECIMALV3",
        "SIGNED",
        "UNSIGNED",
        "DATETIME",
        "DECIMAL",
        "VARCHAR",
        "CHAR",
    ]
)


class Parser(_Base):  # type: ignore[misc, valid-type] # sqlglot makes the class at run time
    """Doris's grammar, in which functions mean nothing yet."""

    FUNCTIONS: dict[str, Callable[..., Any]] = {}  # noqa: RUF012 - the base class's form
    NO_PAREN_FUNCTIONS: dict[Any, Any] = {}  # noqa: RUF012 - the base class's form
    FUNC_TOKENS = _FUNCTION_TOKENS
    NO_PAREN_FUNCTION_PARSERS = {  # noqa: RUF012 - the base class's form
        "CASE": lambda self: self._parse_case(),
    }
    FUNCTION_PARSERS = {  # noqa: RUF012 - the base class's form
        "CAST": lambda self: self._own_cast(),
        "TRY_CAST": lambda self: self._own_cast(),
        "CONVERT": lambda self: self._conversion(),
        "EXTRACT": lambda self: self._extraction(),
        "TRIM": lambda self: self._trimming(),
        "SUBSTRING": lambda self: self._substring("substring"),
        "SUBSTR": lambda self: self._substring("substr"),
        "POSITION": lambda self: self._position(),
        "GROUP_CONCAT": lambda self: self._group_concat(),
    }
    COLUMN_OPERATORS = {  # noqa: RUF012 - the base class's form
        **_Base.COLUMN_OPERATORS,
        TokenType.ARROW: lambda self, this, path: _call("json_extract", this, path),
        TokenType.DARROW: lambda self, this, path: _call("json_extract_string", this, path),
    }

    def _parse_expression(self, *args: Any, **kwargs: Any) -> Any:
        start = self._curr
        node = super()._parse_expression(*args, **kwargs)
        if isinstance(node, exp.Expression) and start is not None and self._prev is not None:
            inner = node.this if isinstance(node, exp.Alias) else node
            if SQL_TEXT not in inner.meta or node is inner:
                node.meta[SQL_TEXT] = self._find_sql(start, self._prev)
        return node

    def _own_cast(self) -> exp.Expression:
        value = self._parse_assignment()
        if not self._match(TokenType.ALIAS):
            self.raise_error("Expected AS in CAST")
        return exp.Cast(this=value, to=self._own_type())

    def _own_type(self) -> Any:
        """Parse a type; Doris's own names, which sqlglot does not know, by their words."""
        word = self._curr.text.upper() if self._curr else ""
        if word not in _OWN_TYPES:
            return self._parse_types()
        self._advance()
        sizes: list[Any] = []
        if self._match(TokenType.L_PAREN):
            sizes = self._parse_csv(self._parse_primary)
            self._match_r_paren()
        # All text is UTF-8: clients that name another character set mean the same text.
        if self._match_text_seq("CHARACTER", "SET") or self._match_text_seq("CHARSET"):
            self._parse_var(any_token=True)
        return exp.DataType(this=exp.DType.USERDEFINED, kind=word, expressions=sizes)

    def _conversion(self) -> exp.Expression:
        value = self._parse_assignment()
        if self._match(TokenType.USING):
            self._parse_var(any_token=True)
            return exp.Cast(this=value, to=exp.DataType.build("VARCHAR"))
        self._match(TokenType.COMMA)
        return exp.Cast(this=value, to=self._own_type())

    def _extraction(self) -> exp.Expression:
        unit = self._parse_var(any_token=True, upper=True)
        if not self._match(TokenType.FROM):
            self.raise_error("Expected FROM after the unit of EXTRACT")
        return _call(str(unit.name).lower() if unit else "", self._parse_assignment())

    def _trimming(self) -> exp.Expression:
        name = "trim"
        for word, function in (("BOTH", "trim"), ("LEADING", "ltrim"), ("TRAILING", "rtrim")):
            if self._match_text_seq(word):
                name = function
        first = (
            None if self._curr and self._curr.text.upper() == "FROM" else self._parse_assignment()
        )
        if self._match(TokenType.FROM):
            return _call(name, self._parse_assignment(), first)
        if self._match(TokenType.COMMA):
            return _call(name, first, self._parse_assignment())
        return _call(name, first)

    def _substring(self, name: str) -> exp.Expression:
        parts = self._parse_csv(self._parse_assignment)
        if self._match(TokenType.FROM):
            parts.append(self._parse_assignment())
            if self._match(TokenType.FOR):
                parts.append(self._parse_assignment())
        return _call(name, *parts)

    def _position(self) -> exp.Expression:
        first = self._parse_bitwise()
        if self._match(TokenType.IN):
            return _call("position", first, self._parse_bitwise())
        rest = self._parse_csv(self._parse_assignment) if self._match(TokenType.COMMA) else []
        return _call("position", first, *rest)

    def _group_concat(self) -> exp.Expression:
        is_distinct = self._match(TokenType.DISTINCT)
        parts = self._parse_csv(self._parse_assignment)
        order = self._parse_order()
        if self._match_text_seq("SEPARATOR"):
            parts.append(self._parse_primary())
        call = _call("group_concat", *parts)
        call.set("distinct", bool(is_distinct))
        call.set("order", order)
        return call


class Generator(Doris.Generator):  # type: ignore[misc, valid-type] # made at run time, as above
    """Doris's grammar back to text that the parser reads: calls stay as they were written."""

    TRANSFORMS = {  # noqa: RUF012 - the base class's form
        **Doris.Generator.TRANSFORMS,
        exp.RegexpLike: lambda self, node: self.binary(node, "REGEXP"),
    }


class Dialect(Doris):
    """Doris's words with this module's grammar."""

    Parser = Parser
    Generator = Generator


Dialect.parser_class = Parser
_REWRITTEN = {"MINUS": "EXCEPT", "RLIKE": "REGEXP"}


def skeleton(tokens: Sequence[Token], literals: Sequence[Literal], text: str) -> str:
    """Return the statement's text without its literals, and with the suffixes of tables encoded."""
    parts: list[str] = []
    at = 0
    while at < len(tokens):
        token = tokens[at]
        used = _time_travel(tokens, at)
        if used is not None and parts:
            kind, slot_text, count = used
            parts[-1] = _suffixed(parts[-1].strip(), kind, slot_text)
            at += count
            continue
        piece = _piece(token, literals, tokens[at - 1].text if at else "")
        if at and _is_apart(tokens[at - 1], token):
            piece = " " + piece
        parts.append(piece)
        at += 1
    return "".join(parts)


def _is_apart(before: Token, token: Token) -> bool:
    """Tell whether a blank stands between two tokens, or must: `1--1` is no comment in MySQL."""
    if before.kind != "other" and token.kind != "other":
        return True
    is_comment = before.text + token.text in ("--", "/*")
    return is_comment or token.position > before.end


def _piece(token: Token, literals: Sequence[Literal], before: str) -> str:
    if token.slot is not None:
        shape = literals[token.slot].shape
        if shape == "n":
            return "NULL"
        return f"'{encode(token.slot)}'" if literals[token.slot].is_text else encode(token.slot)
    if token.kind == "word" and before != ".":
        return _REWRITTEN.get(token.text.upper(), token.text)
    return token.text


TRAVEL = "\x01"  # divides a table's name from the ref or time it is read at


def _suffixed(name: str, kind: str, value: str) -> str:
    bare = name[1:-1] if name.startswith("`") else name
    return f"`{bare}{TRAVEL}{kind}{TRAVEL}{value}`"


def _time_travel(tokens: Sequence[Token], at: int) -> tuple[str, str, int] | None:
    """Return (kind, slot or name, tokens) of the suffix of a table that begins at `at`."""
    words = [token.text.upper() for token in tokens[at : at + 5]]
    previous = tokens[at - 1] if at else None
    if previous is None or previous.kind not in ("word", "quoted"):
        return None
    if words[:1] == ["FOR"] and words[2:4] == ["AS", "OF"] and len(words) == 5:
        slot = tokens[at + 4].slot
        if slot is None:
            raise doris("AS OF takes a constant")
        kinds = {"VERSION": "ref", "TIME": "time", "TIMESTAMP": "time"}
        if words[1] in kinds:
            return kinds[words[1]], encode(slot), 5
    if words[:2] == ["AS", "OF"] and len(words) > 2 and tokens[at + 2].kind == "text":
        return "ref", encode(tokens[at + 2].slot or 0), 3
    if words[:1] in (["@BRANCH"], ["@TAG"]) and words[1:2] == ["("]:
        name: list[str] = []
        for offset, token in enumerate(tokens[at + 2 :]):
            if token.text == ")":
                return words[0][1:].lower(), "".join(name), offset + 3
            is_text = token.slot is not None and token.kind == "text"
            name.append(encode(token.slot) if is_text and token.slot is not None else token.text)
    return None


def parse(skeleton_text: str, text: str, literals: Sequence[Literal]) -> exp.Expression:
    """Return the tree of one query; raise SqlError 1064 where the grammar ends."""
    try:
        tokens = Dialect().tokenize(skeleton_text)
        trees = Parser(dialect=Dialect()).parse(tokens, skeleton_text)
    except (ParseError, TokenError) as error:
        found = error.errors[0] if isinstance(error, ParseError) and error.errors else {}
        where = str(found.get("highlight") or "")
        shown = replace_encoded(where or str(error)[:100], literals)
        raise syntax(text, 0, shown) from None
    except RecursionError:
        raise doris("the statement is nested too deeply") from None
    trees = [tree for tree in trees if tree is not None]
    if len(trees) != 1:
        raise syntax(text, 0, "another statement")
    tree = trees[0]
    assert isinstance(tree, exp.Expression)
    return tree
