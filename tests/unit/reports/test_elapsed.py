"""How long ago, in one wording, whoever asks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agent.commands.session import ago
from reports.elapsed import age

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (172799, "47 h"), (172800, "2 d")],
)
def test_age_is_told_in_the_largest_unit_that_says_something(seconds: int, words: str) -> None:
    assert age(NOW - timedelta(seconds=seconds), NOW) == words


def test_moment_that_never_was_is_a_dash() -> None:
    assert age(None, NOW) == "-"


def test_commands_say_what_the_pages_say_also_of_a_clock_that_is_ahead() -> None:
    """The database's clock and ours may differ: an age is never negative."""
    assert ago(NOW + timedelta(seconds=5), NOW) == "0 s"
