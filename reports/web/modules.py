"""The scripts that a script imports, so that a page names all of them at once.

A browser finds them one level after the other else, and each level costs it a round trip.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from markupsafe import Markup

_IMPORT: Final = re.compile(rb"""^(?:import|export)\b[^;"]*"\./([a-z_]+\.js)";""", re.MULTILINE)


def imported(name: str, scripts: Mapping[str, bytes]) -> tuple[str, ...]:
    """All that it imports, and what those import, each once and the nearest first.

    Raises KeyError where one is missing.
    """
    found = [name]
    for one in found:
        found += [
            other.decode() for other in dict.fromkeys(_IMPORT.findall(scripts[one])) if other.decode() not in found
        ]
    return tuple(found[1:])


def module(name: str, scripts: Mapping[str, bytes]) -> Markup:
    """The lines of a page's head that run it."""
    script = Markup('<script type="module" src="/static/{}"></script>').format(name)
    ahead = Markup('<link rel="modulepreload" href="/static/{}">\n')
    return Markup().join([*(ahead.format(one) for one in imported(name, scripts)), script])
