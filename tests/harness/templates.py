"""Templates compiled once for all the sites of a process; by itself each environment of Jinja compiles them anew.

A test has a site of its own, and the templates of one page take 30 ms. A program has one for as long as it lives.
"""

from __future__ import annotations

from types import CodeType
from typing import Any

from jinja2 import Environment


def keep_templates() -> None:
    """From now on, in this process."""
    compiled: dict[tuple[object, ...], CodeType] = {}
    as_usual: Any = Environment.compile

    def compile_once(self: Environment, *source: Any, **named: Any) -> Any:
        how = (self.autoescape, self.trim_blocks, self.lstrip_blocks, *self.filters, *self.tests)
        if type(self) is not Environment or not all(isinstance(one, str) for one in source):
            return as_usual(self, *source, **named)
        key = (how, source, *sorted(named.items()))
        if key not in compiled:
            compiled[key] = as_usual(self, *source, **named)
        return compiled[key]

    Environment.compile = compile_once  # type: ignore[method-assign]
