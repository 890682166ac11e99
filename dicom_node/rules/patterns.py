"""Regular expressions whose time grows with the text only, whatever the expression is (RE2)."""

from __future__ import annotations

from typing import Final

import re2  # type: ignore[import-untyped]

from dicom_node.errors import ConfigurationError

_LONGEST: Final = 256  # characters of an expression
_MEMORY: Final = 1 << 20  # bytes that a compiled expression may take


class Pattern:
    """A regular expression in RE2's syntax: no back references, no look-around."""

    def __init__(self, expression: str) -> None:
        """Raises ConfigurationError where it is none, or one that is too long or too large."""
        if len(expression) > _LONGEST:
            raise ConfigurationError(f"the regular expression has more than {_LONGEST} characters")
        options = re2.Options()
        options.log_errors, options.max_mem = False, _MEMORY
        try:
            self._compiled = re2.compile(expression, options)
        except re2.error as error:
            raise ConfigurationError(f"{expression!r} is no regular expression: {_words(error)}") from error

    def is_in(self, text: str) -> bool:
        """Does it match anywhere? `^` and `$` tie it to the ends."""
        return self._compiled.search(text) is not None


def _words(error: Exception) -> str:
    told = error.args[0] if error.args else ""
    return told.decode("utf-8", "replace") if isinstance(told, bytes) else str(told)
