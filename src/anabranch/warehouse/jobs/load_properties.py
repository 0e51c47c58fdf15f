"""Properties of a load job that say when it is given up."""

from __future__ import annotations

from anabranch.kernel import limits
from anabranch.warehouse.errors import doris


def parse_timeout(text: str | None, default: int) -> int:
    """Return a timeout in seconds; raise SqlError in Doris's words."""
    if text is None:
        return default
    try:
        found = int(text)
    except ValueError:
        raise doris(f"timeout is not a number: {text[:40]}") from None
    if not 1 <= found <= limits.LOAD_TIMEOUT_S_MAX:
        raise doris(
            f"Invalid timeout: {found}. Timeout should between 1 and "
            f"{limits.LOAD_TIMEOUT_S_MAX} seconds"
        )
    return found


def parse_ratio(text: str | None) -> float:
    """Return a max_filter_ratio; raise SqlError in Doris's words."""
    if text is None:
        return 0.0
    try:
        found = float(text)
    except ValueError:
        raise doris("max_filter_ratio is not a number.") from None
    if not 0.0 <= found <= 1.0:
        raise doris("Max filter ratio must between 0.0 and 1.0.")
    return found
