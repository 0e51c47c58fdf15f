"""Text functions. Positions count characters from 1; `length` counts bytes, as Doris's does."""

from anabranch.kernel import limits
from anabranch.warehouse.sql.functions.casts import cast, text
from anabranch.warehouse.sql.functions.kinds import BIGINT, INT, VARCHAR, Bound, array, is_numeric
from anabranch.warehouse.sql.functions.registry import Call, Family, common_of, made
from anabranch.warehouse.types import SqlType

_MAX = limits.GROWN_TEXT_BYTES_MAX
_GROWN = f"error('Result of a function exceeds {_MAX} bytes')"

STRINGS = Family(
    "strings",
    (
        # A start of 0 or beyond the text's first character gives the empty text, as in MySQL.
        (
            "doris_substr(s, a) AS CASE WHEN a > 0 THEN substr(s, a) WHEN a = 0 OR -a > length(s) "
            "THEN CASE WHEN s IS NULL OR a IS NULL THEN NULL ELSE '' END ELSE substr(s, a) END"
        ),
        (
            "doris_substr(s, a, n) AS CASE WHEN s IS NULL OR a IS NULL OR n IS NULL THEN NULL "
            "WHEN n <= 0 OR a = 0 OR -a > length(s) THEN '' "
            "WHEN a > 0 THEN substr(s, a, n) ELSE substr(s, length(s) + a + 1, n) END"
        ),
        "doris_left(s, n) AS CASE WHEN n < 0 THEN '' ELSE left(s, n) END",
        (
            "doris_right(s, n) AS CASE WHEN n < 0 AND -n <= length(s) THEN substr(s, -n) "
            "WHEN n <= 0 THEN CASE WHEN s IS NULL THEN NULL ELSE '' END ELSE right(s, n) END"
        ),
        # Pads are cut to the length asked for; an empty pad fills nothing. The limit stands in the
        # argument: DuckDB folds constant calls even in branches that are never taken.
        (
            "doris_lpad(s, n, p) AS CASE WHEN n < 0 THEN NULL "
            "WHEN p = '' THEN CASE WHEN length(s) >= n THEN left(s, n) ELSE '' END "
            "ELSE lpad(s, doris_pad_length(n, p), p) END"
        ),
        (
            "doris_rpad(s, n, p) AS CASE WHEN n < 0 THEN NULL "
            "WHEN p = '' THEN CASE WHEN length(s) >= n THEN left(s, n) ELSE '' END "
            "ELSE rpad(s, doris_pad_length(n, p), p) END"
        ),
        (
            "doris_pad_length(n, p) AS CAST(CASE WHEN CAST(n AS HUGEINT) * greatest(strlen(p), 1) "
            f"> {_MAX} THEN {_GROWN} ELSE greatest(n, 0) END AS INTEGER)"
        ),
        # What is put together is measured before: no function makes a longer text than the limit.
        f"doris_fitting(s, total) AS CASE WHEN total > {_MAX} THEN {_GROWN} ELSE s END",
        (
            "doris_array_text(v, s) AS array_to_string(doris_fitting(v, len(v) * strlen(s) + "
            "coalesce(list_sum(list_transform(v, lambda x: strlen(CAST(x AS VARCHAR)))), 0)), s)"
        ),
        (
            "doris_repeat(s, n) AS CASE WHEN n < 1 THEN CASE WHEN s IS NOT NULL THEN '' END ELSE "
            f"repeat(s, CASE WHEN CAST(strlen(s) AS HUGEINT) * n > {_MAX} THEN {_GROWN} "
            "ELSE CAST(n AS BIGINT) END) END"
        ),
        "doris_space(n) AS doris_repeat(' ', n)",
        (
            "doris_substring_index(s, d, n) AS CASE WHEN s IS NULL OR d IS NULL OR n IS NULL THEN NULL "  # noqa: E501 - one piece of text
            "WHEN n = 0 OR d = '' THEN '' "
            "WHEN n > 0 THEN array_to_string(string_split(s, d)[1:n], d) "
            "ELSE array_to_string(string_split(s, d)[greatest(len(string_split(s, d)) + n + 1, 1):], d)"  # noqa: E501 - one piece of text
            " END"
        ),
        "doris_locate(n, s) AS CASE WHEN n = '' AND s IS NOT NULL THEN 1 ELSE instr(s, n) END",
        (
            "doris_locate(n, s, a) AS CASE WHEN n IS NULL OR s IS NULL OR a IS NULL THEN NULL "
            "WHEN a < 1 OR a > length(s) + 1 THEN 0 WHEN n = '' THEN a "
            "WHEN instr(substr(s, a), n) = 0 THEN 0 ELSE instr(substr(s, a), n) + a - 1 END"
        ),
        (
            "doris_split_part(s, d, n) AS CASE WHEN n = 0 OR d = '' THEN NULL "
            "ELSE string_split(s, d)[n] END"
        ),
        # Removes whole repetitions of a text from one end, not a set of characters.
        (
            "doris_ltrim(s, t) AS CASE WHEN t = '' THEN s ELSE regexp_replace(s, '^(' || "
            "regexp_escape(t) || ')+', '') END"
        ),
        (
            "doris_rtrim(s, t) AS CASE WHEN t = '' THEN s ELSE regexp_replace(s, '(' || "
            "regexp_escape(t) || ')+$', '') END"
        ),
        "doris_trim(s, t) AS doris_rtrim(doris_ltrim(s, t), t)",
        "doris_strcmp(a, b) AS CASE WHEN a < b THEN -1 WHEN a > b THEN 1 WHEN a = b THEN 0 END",
        (
            "doris_replace(s, a, b) AS CASE WHEN a = '' THEN s ELSE replace(CASE WHEN "
            "strlen(b) > strlen(a) AND CAST(strlen(s) AS HUGEINT) * strlen(b) "
            f"> {_MAX} THEN {_GROWN} ELSE s END, a, b) END"
        ),
        (
            "doris_initcap(s) AS array_to_string(list_transform(regexp_extract_all(s, "
            "'[[:alnum:]]+|[^[:alnum:]]+'), lambda w: upper(w[1]) || lower(w[2:])), '')"
        ),
        (
            "doris_unhex(s) AS CASE WHEN s IS NULL THEN NULL WHEN regexp_full_match(s, "
            "'([0-9a-fA-F]{2})+') THEN TRY(decode(unhex(s))) ELSE '' END"
        ),
        (
            "doris_regexp_extract(s, p, n) AS CASE WHEN n < 0 THEN '' ELSE "
            "TRY(regexp_extract(s, p, CAST(n AS INTEGER))) END"
        ),
        "doris_field(a, l) AS CASE WHEN a IS NULL THEN 0 ELSE coalesce(list_position(l, a), 0) END",
        (
            "doris_find_in_set(s, l) AS CASE WHEN contains(s, ',') THEN 0 ELSE CASE WHEN l IS NULL OR "  # noqa: E501 - one piece of text
            "s IS NULL THEN NULL ELSE coalesce(list_position(string_split(l, ','), s), 0) END END"
        ),
        "doris_elt(n, l) AS CASE WHEN n < 1 THEN NULL ELSE l[n] END",
        (
            "doris_count_substrings(s, t) AS CASE WHEN t = '' THEN 0 ELSE "
            "(length(s) - length(replace(s, t, ''))) // length(t) END"
        ),
        (
            "doris_parse_url(u, p) AS nullif(CASE upper(p) WHEN 'HOST' THEN "
            "regexp_extract(u, '^[^:]+://(?:[^@/]*@)?([^:/?#]+)', 1) WHEN 'PATH' THEN "
            "regexp_extract(u, '^[^:]+://[^/?#]*([^?#]*)', 1) WHEN 'QUERY' THEN "
            r"regexp_extract(u, '\?([^#]*)', 1) WHEN 'PROTOCOL' THEN regexp_extract(u, "
            "'^([^:]+)://', 1) WHEN 'REF' THEN regexp_extract(u, '#(.*)$', 1) END, '')"
        ),
    ),
)
_add = STRINGS.add


def _concat(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    texts = [argument.sql for argument in arguments]
    # Only columns and results can be long in number; a literal is as long as it was sent.
    if sum(argument.slot is None for argument in arguments) > 1:
        total = " + ".join(f"strlen({each})" for each in texts)
        texts[-1] = f"doris_fitting({texts[-1]}, {total})"
    return made(arguments, f"({' || '.join(texts)})", VARCHAR)


def _trimmed(side: str, arguments: tuple[Bound, ...]) -> str:
    texts = ", ".join(argument.sql for argument in arguments)
    return f"{side}({texts})" if len(arguments) == 1 else f"doris_{side}({texts})"


def _split(arguments: tuple[Bound, ...]) -> str:
    value, delimiter = (argument.sql for argument in arguments)
    return f"CASE WHEN {value} = '' THEN [] ELSE string_split({value}, {delimiter}) END"


def _located(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    texts = ", ".join(argument.sql for argument in arguments)
    return made(arguments, f"CAST(doris_locate({texts}) AS INTEGER)", INT)


def _concat_ws(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    first, *rest = arguments
    if len(rest) == 1 and rest[0].type.kind is SqlType.ARRAY:
        sql = f"doris_array_text({rest[0].sql}, {text(first).sql})"
        return made(arguments, sql, VARCHAR)
    texts = [text(argument).sql for argument in rest]
    separator = text(first).sql
    total = " + ".join(f"coalesce(strlen({each}), 0)" for each in texts)
    total += f" + {len(texts)} * strlen({separator})"
    checked = f"doris_fitting({separator}, {total})"
    joined = f"concat_ws({checked}, {', '.join(texts)})"
    sql = f"CASE WHEN {separator} IS NOT NULL THEN {joined} END"
    return made(arguments, sql, VARCHAR)


def _hex(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    value = arguments[0]
    if is_numeric(value.type):
        sql = f"hex({cast(value, BIGINT).sql})"
    else:
        sql = f"hex({text(value).sql})"
    return made(arguments, sql, VARCHAR)


def _chosen(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    first, *rest = arguments
    texts = ", ".join(text(argument).sql for argument in rest)
    return made(arguments, f"doris_elt({cast(first, BIGINT).sql}, [{texts}])", VARCHAR)


def _field(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    kind = common_of(arguments)
    first, *rest = (cast(argument, kind).sql for argument in arguments)
    return made(arguments, f"CAST(doris_field({first}, [{', '.join(rest)}]) AS INTEGER)", INT)


def _characters(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    parts = (f"coalesce(chr(CAST({each.sql} AS INTEGER)), '')" for each in arguments)
    return made(arguments, f"({' || '.join(parts)})", VARCHAR)


_add("length", "S", "INT", "CAST(strlen({0}) AS INTEGER)", "number of bytes")
_add("octet_length", "S", "INT", "CAST(strlen({0}) AS INTEGER)", "number of bytes")
_add("bit_length", "S", "INT", "CAST(strlen({0}) * 8 AS INTEGER)", "number of bits")
_add(
    "char_length character_length",
    "S",
    "INT",
    "CAST(length({0}) AS INTEGER)",
    "number of characters",
)
_add(
    "substr substring mid",
    "SII?",
    "VARCHAR",
    "doris_substr",
    "part from a position, from the end if negative; '' for 0",
)
_add(
    "substring_index",
    "SSI",
    "VARCHAR",
    "doris_substring_index",
    "what stands before the n-th delimiter, from the end if negative",
)
_add("concat", "S*", "VARCHAR", _concat, "texts joined; NULL if one is")
_add("lpad", "SIS", "VARCHAR", "doris_lpad", "padded on the left to n characters, or cut")
_add("rpad", "SIS", "VARCHAR", "doris_rpad", "padded on the right to n characters, or cut")
_add("repeat", "SI", "VARCHAR", "doris_repeat", "n times the text; '' for n below 1")
_add("space", "I", "VARCHAR", "doris_space", "n blanks")
_add("upper ucase", "S", "VARCHAR", "upper", "in upper case")
_add("lower lcase", "S", "VARCHAR", "lower", "in lower case")
_add("initcap", "S", "VARCHAR", "doris_initcap", "each word with a capital first letter")
_add(
    "trim",
    "SS?",
    "VARCHAR",
    lambda call, given: made(given, _trimmed("trim", given), VARCHAR),
    "without blanks, or a text, at both ends",
)
_add(
    "ltrim",
    "SS?",
    "VARCHAR",
    lambda call, given: made(given, _trimmed("ltrim", given), VARCHAR),
    "without blanks, or a text, on the left",
)
_add(
    "rtrim",
    "SS?",
    "VARCHAR",
    lambda call, given: made(given, _trimmed("rtrim", given), VARCHAR),
    "without blanks, or a text, on the right",
)
_add("replace", "SSS", "VARCHAR", "doris_replace", "every occurrence replaced")
_add(
    "instr",
    "SS",
    "INT",
    "CAST(doris_locate({1}, {0}) AS INTEGER)",
    "position of the second text in the first, or 0",
)
_add("locate", "SSI?", "INT", _located, "position of the first text in the second, or 0")
_add("position", "SSI?", "INT", _located, "as locate")
_add("split_part", "SSI", "VARCHAR", "doris_split_part", "the n-th part, NULL if there is none")
_add(
    "split_by_string",
    "SS",
    "ARRAY<VARCHAR>",
    lambda call, given: made(given, _split(given), array(VARCHAR)),
    "parts as an array",
)
_add("reverse", "S", "VARCHAR", "reverse", "characters in reverse order")
_add("left strleft", "SI", "VARCHAR", "doris_left", "the first n characters")
_add(
    "right strright",
    "SI",
    "VARCHAR",
    "doris_right",
    "the last n characters; from position -n if negative",
)
_add(
    "ascii",
    "S",
    "INT",
    "CASE WHEN {0} = '' THEN 0 ELSE CAST(('0x' || left(hex({0}), 2)) AS INTEGER) END",
    "the first byte as a number",
)
_add(
    "ord",
    "S",
    "INT",
    "CASE WHEN {0} = '' THEN 0 ELSE CAST(('0x' || hex(left({0}, 1))) AS INTEGER) END",
    "the bytes of the first character as a number",
)
_add("char", "I*", "VARCHAR", _characters, "characters of the numbers")
_add("concat_ws", "AA*", "VARCHAR", _concat_ws, "texts joined by the first, without NULLs")
_add("hex", "A", "VARCHAR", _hex, "hex digits of a number, or of the bytes of a text")
_add("elt", "AA*", "VARCHAR", _chosen, "the n-th of the texts that follow")
_add("field", "AA*", "INT", _field, "position of the first among the others, or 0")
_add(
    "strcmp",
    "SS",
    "TINYINT",
    "CAST(doris_strcmp({0}, {1}) AS TINYINT)",
    "-1, 0 or 1 as the first sorts before, with or after",
)
_add(
    "quote",
    "S",
    "VARCHAR",
    r"(CASE WHEN {0} IS NULL THEN 'NULL' ELSE chr(39) || "
    r"replace(replace({0}, '\', '\\'), chr(39), '\' || chr(39)) || chr(39) END)",
    "the text as a literal",
)
_add("unhex", "S", "VARCHAR", "doris_unhex", "the text of hex digits")
_add("md5", "S", "VARCHAR", "md5", "MD5 in hex")
_add("sha1 sha", "S", "VARCHAR", "sha1", "SHA-1 in hex")
_add("to_base64", "S", "VARCHAR", "to_base64(encode({0}))", "Base64")
_add(
    "from_base64",
    "S",
    "VARCHAR",
    "TRY(decode(from_base64({0})))",
    "the text of Base64, NULL if it is none",
)
_add("starts_with", "SS", "BOOLEAN", "starts_with", "whether it begins so")
_add("ends_with", "SS", "BOOLEAN", "ends_with", "whether it ends so")
_add(
    "regexp_extract",
    "SSI",
    "VARCHAR",
    "doris_regexp_extract",
    "the n-th group of the first match, 0 = the match; '' if none",
)
_add(
    "regexp_replace", "SSS", "VARCHAR", "regexp_replace({0}, {1}, {2}, 'g')", "every match replaced"
)
_add(
    "regexp_replace_one",
    "SSS",
    "VARCHAR",
    "regexp_replace({0}, {1}, {2})",
    "the first match replaced",
)
_add(
    "regexp_extract_all",
    "SS",
    "VARCHAR",
    "'[' || array_to_string(list_transform(regexp_extract_all({0}, {1}, 1), lambda m: '''' || m || ''''), ',') || ']'",  # noqa: E501 - one piece of text
    "the first group of each match, as text",
)
_add(
    "find_in_set",
    "SS",
    "INT",
    "CAST(doris_find_in_set({0}, {1}) AS INTEGER)",
    "position in a comma separated list, or 0",
)
_add("parse_url", "SS", "VARCHAR", "doris_parse_url", "HOST, PATH, QUERY, PROTOCOL or REF of a URL")
_add(
    "count_substrings",
    "SS",
    "INT",
    "CAST(doris_count_substrings({0}, {1}) AS INTEGER)",
    "how often the second stands in the first",
)
_add("null_or_empty", "S", "BOOLEAN", "coalesce({0} = '', true)", "whether it is NULL or ''")
_add(
    "not_null_or_empty",
    "S",
    "BOOLEAN",
    "coalesce({0} <> '', false)",
    "whether it is neither NULL nor ''",
)
