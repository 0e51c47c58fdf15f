"""Date and time functions: DATETIME has no zone; `now` and UNIX times use the session's."""

from anabranch.warehouse.errors import doris
from anabranch.warehouse.sql.functions import kinds
from anabranch.warehouse.sql.functions.casts import cast
from anabranch.warehouse.sql.functions.kinds import (
    BIGINT,
    DATE,
    DATETIME,
    INT,
    VARCHAR,
    Bound,
    Type,
)
from anabranch.warehouse.sql.functions.registry import Build, Call, Family, made, time_of
from anabranch.warehouse.types import SqlType

DATES = Family(
    "dates",
    (
        # The week of mode 0 begins on Sunday, of mode 1 on Monday with four days of the year.
        "doris_week_sunday(d) AS (dayofyear(d) + 6 - dayofweek(d)) // 7",
        "doris_week_monday(d) AS (dayofyear(d) + 6 - (isodow(d) - 1)) // 7",
        (
            "doris_week_first(d) AS CASE WHEN isodow(make_date(CAST(year(d) AS INTEGER), 1, 1)) <= 4 "  # noqa: E501 - one piece of text
            "AND isodow(make_date(CAST(year(d) AS INTEGER), 1, 1)) > 1 THEN 1 ELSE 0 END"
        ),
        (
            "doris_week_first_sunday(d) AS CASE WHEN dayofweek(make_date(CAST(year(d) AS INTEGER), 1, "  # noqa: E501 - one piece of text
            "1)) BETWEEN 1 AND 3 THEN 1 ELSE 0 END"
        ),
        "doris_week0(d) AS doris_week_sunday(d)",
        "doris_week1(d) AS doris_week_monday(d) + doris_week_first(d)",
        "doris_week_before(d) AS make_date(CAST(year(d) - 1 AS INTEGER), 12, 31)",
        (
            "doris_week2(d) AS CASE WHEN doris_week0(d) = 0 THEN doris_week0(doris_week_before(d)) "
            "ELSE doris_week0(d) END"
        ),
        "doris_week3(d) AS weekofyear(d)",
        (
            "doris_time_text(u) AS CASE WHEN u < 0 THEN '-' ELSE '' END || "
            "printf('%02d:%02d:%02d', abs(u) // 3600000000, "
            "abs(u) // 60000000 % 60, abs(u) // 1000000 % 60) || "
            "CASE WHEN abs(u) % 1000000 = 0 THEN '' ELSE printf('.%06d', abs(u) % 1000000) END"
        ),
        # 838:59:59 is as far as MySQL's TIME goes; greatest and least pass over NULL.
        (
            "doris_time_diff(u) AS CASE WHEN u IS NOT NULL THEN "
            "doris_time_text(greatest(least(u, 3020399000000), -3020399000000)) END"
        ),
        "doris_week4(d) AS doris_week_sunday(d) + doris_week_first_sunday(d)",
        "doris_week5(d) AS doris_week_monday(d)",
        (
            "doris_week6(d) AS CASE WHEN doris_week4(d) = 0 THEN doris_week4(doris_week_before(d)) "
            "WHEN doris_week4(d) = 53 AND dayofweek(make_date(CAST(year(d) + 1 AS INTEGER), 1, 1)) "
            "BETWEEN 1 AND 3 THEN 1 ELSE doris_week4(d) END"
        ),
        (
            "doris_week7(d) AS CASE WHEN doris_week5(d) = 0 THEN doris_week5(doris_week_before(d)) "
            "ELSE doris_week5(d) END"
        ),
        (
            "doris_week(d, m) AS CASE m WHEN 0 THEN doris_week0(d) WHEN 1 THEN doris_week1(d) "
            "WHEN 2 THEN doris_week2(d) WHEN 3 THEN doris_week3(d) WHEN 4 THEN doris_week4(d) "
            "WHEN 5 THEN doris_week5(d) WHEN 6 THEN doris_week6(d) WHEN 7 THEN doris_week7(d) END"
        ),
        (
            "doris_day_suffix(d) AS CAST(day(d) AS VARCHAR) || CASE WHEN day(d) IN (11, 12, 13) "
            "THEN 'th' ELSE CASE day(d) % 10 WHEN 1 THEN 'st' WHEN 2 THEN 'nd' WHEN 3 THEN 'rd' "
            "ELSE 'th' END END"
        ),
        # %D, %u, %V and %X have no counterpart in strftime: they arrive behind a chr(1).
        (
            "doris_date_format(d, f) AS CASE WHEN contains(f, chr(1)) THEN replace(replace(replace("
            "replace(strftime(d, f), chr(1) || 'D', doris_day_suffix(d)), chr(1) || 'u', "
            "lpad(CAST(doris_week1(d) AS VARCHAR), 2, '0')), chr(1) || 'V', "
            "lpad(CAST(doris_week2(d) AS VARCHAR), 2, '0')), chr(1) || 'X', lpad(CAST(CASE WHEN "
            "doris_week0(d) = 0 THEN year(d) - 1 ELSE year(d) END AS VARCHAR), 4, '0')) "
            "ELSE strftime(d, f) END"
        ),
        "doris_months_between(a, b) AS (year(a) - year(b)) * 12 + month(a) - month(b)",
        # Whole months that have passed: the last one only if its day and time are reached.
        (
            "doris_month_diff(a, b) AS doris_months_between(b, a) - CASE "
            "WHEN b >= a AND (b - date_trunc('month', b)) < (a - date_trunc('month', a)) THEN 1 "
            "WHEN b < a AND (b - date_trunc('month', b)) > (a - date_trunc('month', a)) THEN -1 "
            "ELSE 0 END"
        ),
        "doris_microseconds(a, b) AS epoch_us(b) - epoch_us(a)",
        "doris_from_days(n) AS DATE '1970-01-01' + CAST(n - 719528 AS INTEGER)",
        (
            "doris_make_date(y, n) AS CASE WHEN n > 0 AND y BETWEEN 0 AND 9999 "
            "THEN make_date(CAST(y AS INTEGER), 1, 1) + CAST(n - 1 AS INTEGER) END"
        ),
    ),
)
_add = DATES.add
_MICROSECONDS = {
    "MICROSECOND": 1,
    "MILLISECOND": 1_000,
    "SECOND": 1_000_000,
    "MINUTE": 60_000_000,
    "HOUR": 3_600_000_000,
    "DAY": 86_400_000_000,
    "WEEK": 604_800_000_000,
}
_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}
UNITS = (*_MICROSECONDS, *_MONTHS)


def is_unit(value: str) -> bool:
    """Tell whether it is the name of a unit of time."""
    return value.upper() in UNITS


def unit_name(value: str, function: str) -> str:
    """Return a unit of time by its name; raise SqlError if it is none."""
    unit = value.upper()
    if unit.endswith("S") and unit[:-1] in UNITS:
        unit = unit[:-1]
    if unit not in UNITS:
        raise doris(f"unsupported time unit: {value} in {function}")
    return unit


def shifted(value: Bound, amount: Bound, unit: str, sign: int) -> Bound:
    """Return a time moved by `sign` x `amount` units; past the last or first day it is NULL."""
    time = value if kinds.is_time(value.type) else cast(value, time_of(value))
    number = cast(amount, BIGINT).sql
    if sign < 0:
        number = f"(-({number}))"
    is_date = time.type.kind is SqlType.DATE
    if unit in _MONTHS:
        step = f"to_months(CAST({number} * {_MONTHS[unit]} AS INTEGER))"
    elif unit in ("DAY", "WEEK"):
        step = f"to_days(CAST({number} * {7 if unit == 'WEEK' else 1} AS INTEGER))"
    else:
        step = f"to_microseconds({number} * {_MICROSECONDS[unit]})"
        is_date = False
    kind = DATE if is_date else Type(SqlType.DATETIME, scale=_scale(time.type, unit))
    moved = f"TRY(CAST({time.sql} AS TIMESTAMP) + {step})"
    sql = f"doris_in_range(CAST({moved} AS {kinds.duckdb_name(kind)}))"
    return made((value, amount), sql, kind)


DATES.macros += ("doris_in_range(d) AS CASE WHEN year(d) BETWEEN 0 AND 9999 THEN d END",)


def _scale(kind: Type, unit: str) -> int:
    return 6 if unit == "MICROSECOND" else 3 if unit == "MILLISECOND" else kind.scale


def _literal(call: Call, argument: Bound) -> str:
    value = call.pin(argument)
    if value is None:
        raise doris(f"the argument of {call.name} that names a unit must be a constant")
    return value


def _difference(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    unit = unit_name(_literal(call, arguments[0]), call.name)
    return difference(unit, *arguments[1:])


def difference(unit: str, start: Bound, end: Bound) -> Bound:
    """Return how many whole units lie between two times, negative if the first is later."""
    a, b = (f"CAST({each.sql} AS TIMESTAMP)" for each in (start, end))
    if unit in _MONTHS:
        sql = f"trunc(doris_month_diff({a}, {b}) / {_MONTHS[unit]})"
    else:
        sql = f"(doris_microseconds({a}, {b}) // {_MICROSECONDS[unit]})"
    return made((start, end), f"CAST({sql} AS BIGINT)", BIGINT)


def _format(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    pattern = call.shaped(arguments[1], "date_format")
    if pattern is None:
        raise doris(f"the format of {call.name} must be a constant")
    return made(arguments[:1], f"doris_date_format({arguments[0].sql}, {pattern})", VARCHAR)


def _parse(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    pattern = call.shaped(arguments[1], "date_parse")
    if pattern is None:
        raise doris(f"the format of {call.name} must be a constant")
    has_time = any(f"%{letter}" in _literal(call, arguments[1]) for letter in "HhIiklrSsTfp")
    kind = DATETIME if has_time else DATE
    if "%f" in _literal(call, arguments[1]):
        kind = Type(SqlType.DATETIME, scale=6)
    sql = f"CAST(try_strptime({arguments[0].sql}, {pattern}) AS {kinds.duckdb_name(kind)})"
    return made(arguments[:1], sql, kind)


def _truncate(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    first, second = arguments
    value = call.pin(second)
    time = first
    if value is None or value.upper() not in UNITS:  # either order, as Doris takes it
        value, time = call.pin(first), second
    if value is None:
        raise doris("date_trunc function second param must be a constant")
    unit = unit_name(value, call.name)
    if not kinds.is_time(time.type):
        time = cast(time, time_of(time))
    sql = f"date_trunc('{unit.lower()}', {time.sql})"
    return made((time,), f"CAST({sql} AS {kinds.duckdb_name(time.type)})", time.type)


def _now(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    if not arguments:
        return Bound(f"date_trunc('second', {call.variable('now')})", DATETIME)
    digits = call.pin(arguments[0])
    if digits is None or not digits.isdigit() or int(digits) > 6:
        raise doris("Scale of Datetime/Time must between 0 and 6")
    step = 10 ** (6 - int(digits))
    now = call.variable("now")
    sql = now if step == 1 else f"time_bucket(INTERVAL '{step} microseconds', {now})"
    return Bound(sql, Type(SqlType.DATETIME, scale=int(digits)))


def _today(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    return Bound(f"CAST({call.variable('now')} AS DATE)", DATE)


def _time_now(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    return Bound(f"strftime({call.variable('now')}, '%H:%M:%S')", VARCHAR)


def _utc(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    return Bound(f"date_trunc('second', {call.variable('utc_now')})", DATETIME)


def _unix(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    if not arguments:
        return Bound(f"CAST(epoch({call.variable('utc_now')}) AS BIGINT)", BIGINT)
    time = arguments[0]
    if len(arguments) == 2:
        time = _parse(call, (kinds_text(time), arguments[1]))
    elif not kinds.is_time(time.type):
        time = cast(time, time_of(time))
    instant = call.variable("to_utc").replace("{0}", f"CAST({time.sql} AS TIMESTAMP)")
    seconds = f"epoch_us({instant}) // 1000000"
    sql = f"CASE WHEN {seconds} < 0 THEN 0 ELSE {seconds} END"
    if time.type.scale:
        kind = kinds.decimal(20 - 6 + time.type.scale, time.type.scale)
        sql = f"CAST(epoch_us({instant}) / 1000000 AS {kinds.duckdb_name(kind)})"
        return made(arguments, sql, kind)
    return made(arguments, f"CAST({sql} AS BIGINT)", BIGINT)


def kinds_text(value: Bound) -> Bound:
    """Return the value as text."""
    return cast(value, VARCHAR)


def _from_unix(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    number = cast(arguments[0], BIGINT).sql
    stamp = f"make_timestamp(CAST({number} AS BIGINT) * 1000000)"
    local = call.variable("from_utc").replace("{0}", stamp)
    pattern = "'%Y-%m-%d %H:%M:%S'"
    if len(arguments) == 2:
        shaped = call.shaped(arguments[1], "date_format")
        if shaped is None:
            raise doris("the format of from_unixtime must be a constant")
        pattern = shaped
    sql = (
        f"CASE WHEN {number} BETWEEN 0 AND 253402271999 THEN doris_date_format({local}, {pattern})"
    )
    return made(arguments, f"{sql} END", VARCHAR)


def _week(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    return made(arguments, f"CAST({_week_sql(call, arguments)} AS TINYINT)", kinds.TINYINT)


def _week_sql(call: Call, arguments: tuple[Bound, ...], more: int = 0) -> str:
    """Return the week; a constant mode is one macro, another all eight of them."""
    day = arguments[0].sql
    mode = "0" if len(arguments) == 1 else call.pin(arguments[1])
    if mode is None:
        return f"doris_week({day}, ({arguments[1].sql}) | {more})"
    return f"doris_week{(int(mode) & 7) | more}({day})"


def _year_week(call: Call, arguments: tuple[Bound, ...]) -> Bound:
    d = arguments[0].sql
    week = _week_sql(call, arguments, 2)
    year = (
        f"year({d}) + CASE WHEN {week} >= 52 AND month({d}) = 1 THEN -1 "
        f"WHEN {week} = 1 AND month({d}) = 12 THEN 1 ELSE 0 END"
    )
    return made(arguments, f"CAST(({year}) * 100 + {week} AS INTEGER)", INT)


def _shift(unit: str, sign: int) -> Build:
    return lambda call, given: shifted(given[0], given[1], unit, sign)


def _difference_of(unit: str) -> Build:
    return lambda call, given: difference(unit, given[1], given[0])


for _unit in UNITS:
    _lower = _unit.lower()
    _add(f"{_lower}s_add", "TI", "DATETIME", _shift(_unit, 1), f"moved by n {_lower}s")
    _add(f"{_lower}s_sub", "TI", "DATETIME", _shift(_unit, -1), f"moved back by n {_lower}s")
    _add(
        f"{_lower}s_diff", "TT", "BIGINT",
        _difference_of(_unit),
        f"whole {_lower}s from the second to the first",
    )  # fmt: skip
_add("add_months", "TI", "DATE", _shift("MONTH", 1), "moved by n months")
_add(
    "now current_timestamp localtime localtimestamp sysdate",
    "I?",
    "DATETIME",
    _now,
    "the statement's time in the session's zone",
)
_add("curdate current_date", "", "DATE", _today, "today in the session's zone")
_add("curtime current_time", "", "VARCHAR", _time_now, "the time of day")
_add("utc_timestamp", "", "DATETIME", _utc, "the statement's time in UTC")
_add("timestampdiff", "UTT", "BIGINT", _difference, "whole units from the second to the third")
_add(
    "datediff",
    "TT",
    "INT",
    "CAST(date_diff('day', CAST({1} AS DATE), CAST({0} AS DATE)) AS INTEGER)",
    "days from the second to the first",
)
_add(
    "timediff",
    "TT",
    "VARCHAR",
    "doris_time_diff(date_diff('microsecond', CAST({1} AS TIMESTAMP), CAST({0} AS TIMESTAMP)))",
    "time from the second to the first, at most 838:59:59",
)
_add("date_format", "TS", "VARCHAR", _format, "text by a format in MySQL's letters")
_add("str_to_date", "SS", "DATETIME", _parse, "time of a text by a format; NULL if it does not fit")
_add("unix_timestamp", "A?S?", "BIGINT", _unix, "seconds since 1970 in UTC; 0 before it")
_add(
    "from_unixtime",
    "IS?",
    "VARCHAR",
    _from_unix,
    "text of seconds since 1970, in the session's zone",
)
_add("date_trunc", "AA", "same", _truncate, "cut to a unit")
_add("to_date date datev2", "T", "DATE", "CAST({0} AS DATE)", "the day")
_add("timestamp", "T", "DATETIME", "CAST({0} AS TIMESTAMP)", "the time")
_add("year", "T", "SMALLINT", "CAST(year({0}) AS SMALLINT)", "the year")
for _name in ("quarter", "month", "day", "hour", "minute"):
    _add(_name, "T", "TINYINT", f"CAST({_name}({{0}}) AS TINYINT)", f"the {_name}")
_add("dayofmonth", "T", "TINYINT", "CAST(day({0}) AS TINYINT)", "the day of the month")
_add("second", "T", "TINYINT", "CAST(second({0}) AS TINYINT)", "the second")
_add(
    "microsecond",
    "T",
    "INT",
    "CAST(microsecond({0}) % 1000000 AS INTEGER)",
    "the microseconds within the second",
)
_add(
    "dayofweek",
    "T",
    "TINYINT",
    "CAST(dayofweek({0}) + 1 AS TINYINT)",
    "1 for Sunday to 7 for Saturday",
)
_add("weekday", "T", "TINYINT", "CAST(isodow({0}) - 1 AS TINYINT)", "0 for Monday to 6 for Sunday")
_add("dayofyear", "T", "SMALLINT", "CAST(dayofyear({0}) AS SMALLINT)", "1 to 366")
_add("week", "TI?", "TINYINT", _week, "week of the year, by MySQL's modes 0 to 7")
_add(
    "weekofyear",
    "T",
    "TINYINT",
    "CAST(weekofyear({0}) AS TINYINT)",
    "week of the year by ISO, mode 3",
)
_add("yearweek", "TI?", "INT", _year_week, "year and week, by MySQL's modes")
_add("dayname", "T", "VARCHAR", "dayname", "English name of the day")
_add("monthname", "T", "VARCHAR", "monthname", "English name of the month")
_add("last_day", "T", "DATE", "CAST(last_day({0}) AS DATE)", "last day of the month")
_add(
    "to_days",
    "T",
    "INT",
    "CAST(date_diff('day', DATE '1970-01-01', CAST({0} AS DATE)) + 719528 AS INTEGER)",
    "days since the year 0",
)
_add("from_days", "I", "DATE", "doris_from_days", "the day of a number of days")
_add("makedate", "II", "DATE", "CAST(doris_make_date({0}, {1}) AS DATE)", "the n-th day of a year")
_add(
    "convert_tz",
    "TSS",
    "DATETIME",
    "timezone({2}, timezone({1}, CAST({0} AS TIMESTAMP)))",
    "from one time zone to another",
)
_add("to_monday", "T", "DATE", "CAST(date_trunc('week', {0}) AS DATE)", "the Monday of the week")
_add(
    "time_to_sec",
    "S",
    "INT",
    "CAST(split_part({0}, ':', 1) AS INTEGER) * 3600 + CAST(split_part({0}, ':', 2) AS INTEGER) * 60 + CAST(split_part({0}, ':', 3) AS INTEGER)",  # noqa: E501 - one piece of text
    "seconds of a time of day",
)
