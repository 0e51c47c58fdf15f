"""The door of the transforms: a SELECT's text in, DuckDB's SQL and the result's columns out."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

from anabranch.kernel import limits
from anabranch.warehouse.errors import doris
from anabranch.warehouse.sql.transforms import dialect, literals
from anabranch.warehouse.sql.transforms.binder import Binder
from anabranch.warehouse.sql.transforms.catalog import Catalog, Context
from anabranch.warehouse.sql.transforms.queries import bind_query
from anabranch.warehouse.sql.transforms.rendering import Plan, TableUse, Translated

_Key = tuple[object, ...]


class Translator:
    """Translates queries and keeps what it learned: a new literal is no new parse.

    Safe to call from any thread. Plans are kept by the text without its literals, their shapes and
    what of the session changes a plan; those unused for longest go first.
    """

    def __init__(self, plans_max: int = limits.PLANS_CACHED_MAX) -> None:
        self._plans: OrderedDict[_Key, list[Plan]] = OrderedDict()
        self._plans_max = plans_max
        self._lock = threading.Lock()
        self.parses = 0

    def translate(
        self,
        text: str,
        catalog: Catalog,
        context: Context,
        parameters: Sequence[object] | None = None,
        *,
        keeps_opaque: bool = False,
    ) -> Translated:
        """Return a query ready to run; raise SqlError with MySQL's or Doris's code and words.

        `parameters` take the place of `?`. With `keeps_opaque`, HLL and BITMAP columns of the
        result are their bytes (INSERT SELECT needs them), else NULL.
        """
        if len(text) > limits.QUERY_TEXT_BYTES_MAX:
            raise doris(f"the statement is longer than {limits.QUERY_TEXT_BYTES_MAX} bytes")
        tokens, found = literals.scan(text, parameters)
        while tokens and tokens[-1].text == ";":
            tokens.pop()
        keeps_opaque = keeps_opaque or context.shows_opaque
        shapes = tuple(literal.shape for literal in found)
        skeleton = dialect.skeleton(tokens, found, text)
        key = (skeleton, shapes, context.database, context.time_zone, context.ref, keeps_opaque)
        plan = self._find(key, found, catalog)
        if plan is None:
            plan = self._make(key, skeleton, text, tuple(found), catalog, context, keeps_opaque)
        return Translated(plan, tuple(found), context)

    def _find(self, key: _Key, found: Sequence[literals.Literal], catalog: Catalog) -> Plan | None:
        with self._lock:
            plans = list(self._plans.get(key, ()))
            if plans:
                self._plans.move_to_end(key)
        for plan in plans:
            if plan.fits(found) and self._is_current(plan, catalog):
                return plan
        return None

    @staticmethod
    def _is_current(plan: Plan, catalog: Catalog) -> bool:
        return all(
            catalog.describe(use.name).version == version
            for use, version in zip(plan.tables, plan.versions, strict=True)
        )

    def _make(
        self,
        key: _Key,
        skeleton: str,
        text: str,
        found: tuple[literals.Literal, ...],
        catalog: Catalog,
        context: Context,
        keeps_opaque: bool,
    ) -> Plan:
        self.parses += 1
        tree = dialect.parse(skeleton, text, found)
        binder = Binder(found, catalog, context, bind_query, keeps_opaque=keeps_opaque)
        try:
            query = bind_query(binder, tree, None)
        except RecursionError:
            raise doris("the statement is nested too deeply") from None
        uses = tuple(
            TableUse(number, name, tuple(sorted(binder.used[number])), tuple(binder.wanted[number]))
            for number, name in enumerate(binder.tables)
        )
        plan = Plan(
            query.sql, query.outputs, uses, tuple(binder.versions), tuple(binder.pinned.items())
        )
        if not binder.is_bound_to_session:
            self._keep(key, plan)
        return plan

    def _keep(self, key: _Key, plan: Plan) -> None:
        with self._lock:
            plans = [each for each in self._plans.get(key, ()) if each.pinned != plan.pinned]
            self._plans[key] = [plan, *plans][: limits.PLAN_VARIANTS_MAX]
            self._plans.move_to_end(key)
            while len(self._plans) > self._plans_max:
                self._plans.popitem(last=False)
