"""Key values out of files as canonical text, which `values.value_key` reads."""

from __future__ import annotations

from anabranch.warehouse.physical_types import decode_largeint
from anabranch.warehouse.types import ColumnType, SqlType

_DAY_US = 86_400_000_000
_DAYS_TO_1970 = 719_468  # from 0000-03-01


def key_text(made: ColumnType, value: object) -> str | None:
    """Return the text of a value: days for DATE, microseconds since 1970 for DATETIME."""
    if value is None:
        return None
    match made.kind:
        case SqlType.BOOLEAN:
            return "true" if value else "false"
        case SqlType.LARGEINT:
            assert isinstance(value, bytes)
            return str(decode_largeint(value))
        case SqlType.DECIMAL:
            return f"{value:.{made.scale}f}"
        case SqlType.DATE:
            assert isinstance(value, int)
            return _date_text(value)
        case SqlType.DATETIME:
            assert isinstance(value, int)
            days, rest = divmod(value, _DAY_US)
            seconds, fraction = divmod(rest, 1_000_000)
            clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
            shown = f".{fraction:06}"[: made.scale + 1] if made.scale else ""
            return f"{_date_text(days)} {clock}{shown}"
    return str(value)


def _date_text(days: int) -> str:
    """Return a day since 1970 of the proleptic Gregorian calendar; Python's has no year 0."""
    # Years begin in March here, so that the leap day is the last one.
    era, day_of_era = divmod(days + _DAYS_TO_1970, 146_097)
    year = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year + year // 4 - year // 100)
    month_at = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month_at + 2) // 5 + 1
    month = month_at + 3 if month_at < 10 else month_at - 9
    return f"{era * 400 + year + (month <= 2):04}-{month:02}-{day:02}"
