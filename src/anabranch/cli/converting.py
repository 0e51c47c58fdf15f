"""Values of options as Python has them, without loading what checks values of any type.

typer leaves each value to pydantic, which takes longer to load than most commands to run. Most
values are texts, paths, or not given at all: those need no check, and all others still get it.
"""

from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


class Plain:
    """Converts the values of one parameter."""

    def coerce(self, value: Any, param: Any, ctx: typer.Context) -> Any:
        """Return the value of a parameter; typer's own way refuses what is wrong."""
        kind = param.type_descriptor.annotation
        is_one = not param.multiple and param.nargs == 1
        is_given = value is not None and value != param.default
        if is_one and (not is_given or (kind is str and isinstance(value, str))):
            return value
        if is_one and kind is Path and isinstance(value, str) and "\0" not in value:
            return Path(value)
        if param.multiple and kind == list[str] and not value:
            return []
        param._runtime_param = None  # typer makes its own where there is none
        return param.get_runtime_param().coerce(value, param=param, ctx=ctx)


class PlainCommand(TyperCommand):
    """A command whose plain values are not checked."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, that for help among them."""
        return _plain(super().get_params(ctx))


class PlainGroup(TyperGroup):
    """A group of commands whose own plain values are not checked."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, that for help among them."""
        return _plain(super().get_params(ctx))


def _plain(params: list[Any]) -> list[Any]:
    for param in params:
        if param._runtime_param is None:  # typer offers no other place
            param._runtime_param = Plain()
    return params
