"""Reading a table of many one-row loads, beside the same rows in one load."""

from __future__ import annotations

from pathlib import Path

from bench.reads import MODELS, QUERY, Bench, batch, measured, row
from bench.samples import Row, Sample, load_average
from bench.servers import expect

_LOST_MS = 5_000.0


def measure(folder: Path, *, loads: int) -> list[Row]:
    """Measure reads with warm folds, after one more load, and with all folds lost."""
    bench = Bench(folder / "reads")
    try:
        return [found for model in MODELS for found in _measure(bench, model, loads)]
    finally:
        bench.close()


def _measure(bench: Bench, model: str, loads: int) -> list[Row]:
    many, once = f"{model}_many", f"{model}_once"
    for name in (many, once):
        bench.run(MODELS[model].format(name=name))
    rows = [row(number) for number in range(loads)]
    bench.load(many, (batch([one]) for one in rows))
    last = {one[0]: one for one in rows}
    sums = dict.fromkeys(last, 0)
    for key, value, _ in rows:
        sums[key] = value if model == "unique" else sums[key] + value
    bench.load(once, iter([batch([(key, sums[key], last[key][2]) for key in sorted(last)])]))
    query, once_query = QUERY.format(name=many), QUERY.format(name=once)
    right = bench.run(once_query)
    expect(bench.run(query), right, f"{many}, nothing folded")
    bench.build_folds(many)
    expect(bench.run(query), right, f"{many}, warm folds")
    base = measured(lambda: bench.run(once_query))
    found = [_row(model, loads, "warm fold", measured(lambda: bench.run(query)), base, 20)]
    bench.load(many, iter([batch([row(loads)])]))
    found.append(
        _row(model, loads, "after one more load", measured(lambda: bench.run(query), 1), base, 50)
    )
    bench.lose_folds()
    lost = measured(lambda: bench.run(query), 1)
    found.append(_row(model, loads, "fold lost", lost, base, None))
    return found


def _row(
    model: str, loads: int, what: str, found_ms: float, base_ms: float, beside_ms: float | None
) -> Row:
    wanted = _LOST_MS if beside_ms is None else 3 * base_ms + beside_ms
    load = load_average()
    return Row(
        "read",
        f"{model}, {loads:,} one-row loads, {what}",
        "ms",
        found_ms,
        wanted,
        load=load,
        samples={"anabranch": [Sample(found_ms / 1e3, 0.0, load)]},
        notes={"one_load_ms": base_ms},
    )
