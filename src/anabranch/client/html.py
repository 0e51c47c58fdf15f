"""Values as small tables of HTML, for notebooks: readable on light and on dark pages.

Everything that comes from a repository is escaped, and shown with control characters escaped.
Where a viewer takes style sheets away, plain tables remain.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape

from anabranch.client.lanes import Row, lay_out
from anabranch.client.values import Change, MergeConflict, ObjectInfo
from anabranch.kernel import limits

_ID_LENGTH = 12
_UNIT = 1024
_LANE_WIDTH = 14
_LANES_SHOWN = 12
_ROW_HEIGHT = 28
_LANE_COLOURS = ("blue", "pink", "teal", "orange", "violet", "grey")
_SIGNS = {"added": ("+", "add"), "removed": ("\N{MINUS SIGN}", "rem"), "changed": ("~", "chg")}
_CONFLICTS = {
    "both_changed": "changed on both sides",
    "both_added": "added on both sides",
    "source_removed": "removed by the source, changed by the destination",
    "dest_removed": "changed by the source, removed by the destination",
}

# The first set is legible on white and on black alike: few notebooks say what they are.
_STYLE = """<style>
.anabranch{--ab-add:#2c854a;--ab-rem:#d63d47;--ab-chg:#a16b0d;--ab-id:#a16b0d;--ab-dir:#3072dd;
--ab-blue:#3072dd;--ab-pink:#ce3b87;--ab-teal:#21847a;--ab-orange:#ba5b1b;--ab-violet:#8a5dd7;
--ab-grey:#6c7784;--ab-line:rgba(128,128,128,.28);--ab-dim:.68;
font:13px/20px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;margin:2px 0 8px;
max-width:100%;overflow-x:auto}
[data-jp-theme-light="false"] .anabranch,.vscode-dark .anabranch,html[theme="dark"] .anabranch{
--ab-add:#57c271;--ab-rem:#f4808a;--ab-chg:#e0ac48;--ab-id:#e0ac48;--ab-dir:#7fb0ff;
--ab-blue:#7fb0ff;--ab-pink:#f191c4;--ab-teal:#56c9be;--ab-orange:#f0a566;--ab-violet:#bd9cf5;
--ab-grey:#a4adb7}
.anabranch .ab-head{padding:2px 8px 6px;font-weight:600;white-space:nowrap}
.anabranch .ab-note{font-weight:400;opacity:var(--ab-dim);margin-left:8px}
.anabranch .ab-foot{padding:6px 8px 0;opacity:var(--ab-dim)}
.anabranch.anabranch table{border-collapse:collapse;border:0;margin:0;table-layout:auto;
width:auto;font-size:13px;color:inherit}
.anabranch.anabranch thead,.anabranch.anabranch tr:nth-child(n){background:none;border:0}
.anabranch.anabranch tr:nth-child(n) td,
.anabranch.anabranch tr:nth-child(n) th{padding:3px 14px 3px 8px;
text-align:left;vertical-align:top;border:0;border-top:1px solid var(--ab-line);max-width:48em;
overflow-wrap:anywhere;white-space:normal;line-height:20px;background:none;color:inherit}
.anabranch.anabranch thead tr:nth-child(n) th{border-top:0;font-weight:500;font-size:12px;
opacity:var(--ab-dim);white-space:nowrap}
.anabranch.anabranch tbody tr:nth-child(n) th{font-weight:400;opacity:var(--ab-dim);
white-space:nowrap}
.anabranch.anabranch tr:nth-child(n) .ab-num{text-align:right;white-space:nowrap;
font-variant-numeric:tabular-nums}
.anabranch.anabranch tr:nth-child(n) .ab-tight{white-space:nowrap}
.anabranch.anabranch tr:nth-child(n) .ab-one{white-space:nowrap;overflow:hidden;
text-overflow:ellipsis;max-width:36em}
.anabranch.anabranch tr:nth-child(n) .ab-graph{padding:0 4px 0 8px;width:1px;
border-top:0}
.anabranch .ab-graph svg{display:block;overflow:visible}
.anabranch.anabranch code{font:12px/20px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;
padding:0;background:none;color:inherit;border:0}
.anabranch.anabranch.anabranch .ab-id,.anabranch .ab-head code{color:var(--ab-id)}
.anabranch.anabranch.anabranch .ab-dir{color:var(--ab-dir);font-weight:600}
.anabranch.anabranch.anabranch .ab-add{color:var(--ab-add)}
.anabranch.anabranch.anabranch .ab-rem{color:var(--ab-rem)}
.anabranch.anabranch.anabranch .ab-chg{color:var(--ab-chg)}
.anabranch.anabranch.anabranch .ab-dim{opacity:var(--ab-dim)}
.anabranch .ab-count{margin-left:12px;font-weight:400}
.anabranch .ab-ref{border:1px solid var(--ab-line);border-radius:9px;padding:0 7px;font-size:12px;
margin-right:6px;white-space:nowrap}
</style>"""

Cell = tuple[str, str]
"""The inside of a cell, escaped, and its class."""


def shown(text: str) -> str:
    """Return a text of somebody else's as HTML: escaped, its control characters visible."""
    if not text.isprintable():
        text = "".join(
            char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
            for char in text
        )
    return escape(text)


def size_text(size_bytes: int) -> str:
    """Return a size in bytes or the largest binary unit that it fills."""
    if size_bytes < _UNIT:
        return f"{size_bytes} B"
    size = float(size_bytes)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        size /= _UNIT
        # 1023.96 would be rounded to 1024.0 of a unit whose next is at hand.
        if size < _UNIT - 0.05:
            return f"{size:.1f} {unit}"
    return f"{size / _UNIT:.1f} PiB"


def time_text(time: datetime | None) -> str:
    """Return a time in UTC, to the minute."""
    return "" if time is None else f"{time:%Y-%m-%d %H:%M}"


def failed(title: str, why: str) -> str:
    """Return what is shown of something that could not be asked for."""
    return _page(title, "", f'<div class="ab-foot">{shown(why)}</div>')


def facts(title: str, note: str, rows: Iterable[tuple[str, Cell]], body: str = "") -> str:
    """Return named values, and more below them."""
    lines = "".join(
        f"<tr><th>{shown(name)}</th>{_cell(inside, kind)}</tr>" for name, (inside, kind) in rows
    )
    said = f'<span class="ab-note">{shown(note)}</span>'
    return _page(title, said, f"<table><tbody>{lines}</tbody></table>{body}")


def table(
    title: str, heads: Sequence[Cell], rows: Iterable[Sequence[Cell]], *, note: str = "", foot: str
) -> str:
    """Return a table; `foot` is shown below it, as what the table leaves out."""
    head = "".join(f'<th class="{kind}">{escape(name)}</th>' for name, kind in heads)
    lines = "".join(
        f"<tr>{''.join(_cell(inside, kind) for inside, kind in row)}</tr>" for row in rows
    )
    below = f'<div class="ab-foot">{foot}</div>' if foot else ""
    if not lines:
        return _page(title, note, below)
    return _page(
        title, note, f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>{below}"
    )


def listing(title: str, rows: Sequence[ObjectInfo], *, has_more: bool) -> str:
    """Return objects and common prefixes."""
    return table(
        title,
        (("Path", ""), ("Size", "ab-num"), ("Modified (UTC)", "ab-tight")),
        (
            (code(one.path, "ab-dir"), ("", "ab-num"), ("", "ab-tight"))
            if one.is_prefix
            else (
                code(one.path),
                (size_text(one.size_bytes), "ab-num"),
                (time_text(one.modified), "ab-tight ab-dim"),
            )
            for one in rows
        ),
        foot=_more(len(rows), "no objects", has_more=has_more),
    )


def diff(title: str, rows: Sequence[Change], *, has_more: bool, note: str = "") -> str:
    """Return changes by path, each with its sign."""
    return table(
        title,
        (("", "ab-tight"), ("Path", ""), ("Size", "ab-num")),
        (_change(one) for one in rows),
        note=note,
        foot=_more(len(rows), "no changes", has_more=has_more),
    )


def counts(added: int, removed: int, changed: int) -> str:
    """Return how many paths of each kind there are; what there is none of is left out."""
    parts = [
        f'<span class="ab-count ab-{kind}">{sign} {count:,} {word}</span>'
        for count, word, (sign, kind) in (
            (added, "added", _SIGNS["added"]),
            (removed, "removed", _SIGNS["removed"]),
            (changed, "changed", _SIGNS["changed"]),
        )
        if count
    ]
    return "".join(parts) or "no changes"


def conflicts(title: str, rows: Sequence[MergeConflict], total: int) -> str:
    """Return what a merge could not decide."""
    return table(
        title,
        (("Path", ""), ("What both sides did", "")),
        ((code(one.path), (shown(_CONFLICTS.get(one.kind, one.kind)), "ab-rem")) for one in rows),
        foot=f"and {total - len(rows):,} more" if total > len(rows) else "",
    )


def graph(rows: Iterable[tuple[str, Sequence[str]]]) -> list[Cell]:
    """Return the cells of a graph: one for each commit of a log, given with its parents."""
    lines = lay_out(rows)
    width = min(max((one.width for one in lines), default=1), _LANES_SHOWN)
    return [(_graph_row(one, width), "ab-graph") for one in lines]


def pills(names: Sequence[str]) -> Cell:
    """Return the cell of names; of more than a table shows, the first."""
    shown_names = names[: limits.NOTEBOOK_ROWS_MAX]
    inside = "".join(f'<span class="ab-ref">{shown(name)}</span> ' for name in shown_names)
    rest = '<span class="ab-dim">and more</span>' if len(names) > len(shown_names) else ""
    return inside + rest, ""


def code(text: str, kind: str = "") -> Cell:
    """Return the cell of a name."""
    return f"<code>{shown(text)}</code>", kind


def one_line(text: str) -> Cell:
    """Return the cell of a text that is cut at its end, as rows of a graph have one height."""
    return f'<span title="{shown(text)}">{shown(text)}</span>', "ab-one"


def short_id(commit_id: str) -> Cell:
    """Return the cell of a commit's id: the digits that people compare."""
    return f'<code title="{shown(commit_id)}">{shown(commit_id[:_ID_LENGTH])}</code>', (
        "ab-id ab-tight"
    )


def more(count: int, nothing: str, *, has_more: bool) -> str:
    """Return what is said below a list: that there is nothing, or more than is shown."""
    return _more(count, nothing, has_more=has_more)


def _more(count: int, nothing: str, *, has_more: bool) -> str:
    if not count:
        return nothing
    return f"the first {count:,}; there are more" if has_more else ""


def _change(change: Change) -> Sequence[Cell]:
    sign, kind = _SIGNS.get(change.kind, ("!", "rem"))
    size = "" if change.size_bytes is None else size_text(change.size_bytes)
    mark = f'<span title="{escape(change.kind)}">{sign}</span>'
    return (mark, f"ab-tight ab-{kind}"), code(change.path, f"ab-{kind}"), (size, "ab-num")


def _graph_row(row: Row, width: int) -> str:
    middle = _ROW_HEIGHT / 2
    parts = [_line(at, -1, at, _ROW_HEIGHT + 1, at) for at in row.passing]
    parts += [_line(at, -1, row.lane, middle, at) for at in row.arrivals]
    parts += [_line(row.lane, middle, at, _ROW_HEIGHT + 1, at) for at in row.departures]
    parts.append(
        f'<circle cx="{_x(row.lane)}" cy="{middle}" r="4" fill="{_colour(row.lane)}"></circle>'
    )
    return (
        f'<svg width="{width * _LANE_WIDTH}" height="{_ROW_HEIGHT}" fill="none" '
        f'stroke-width="2">{"".join(parts)}</svg>'
    )


def _line(left: int, top: float, right: int, bottom: float, lane: int) -> str:
    a, b = _x(left), _x(right)
    if left == right:
        path = f"M{a} {top}V{bottom}"
    else:
        bend = (top + bottom) / 2
        path = f"M{a} {top}C{a} {bend} {b} {bend} {b} {bottom}"
    return f'<path d="{path}" stroke="{_colour(lane)}"></path>'


def _x(lane: int) -> int:
    return min(lane, _LANES_SHOWN - 1) * _LANE_WIDTH + _LANE_WIDTH // 2


def _colour(lane: int) -> str:
    return f"var(--ab-{_LANE_COLOURS[lane % len(_LANE_COLOURS)]})"


def _cell(inside: str, kind: str) -> str:
    return f'<td class="{kind}">{inside}</td>' if kind else f"<td>{inside}</td>"


def _page(title: str, note: str, body: str) -> str:
    said = f" {note}" if note else ""
    return (
        f'{_STYLE}<div class="anabranch"><div class="ab-head">{shown(title)}{said}</div>'
        f"{body}</div>"
    )
