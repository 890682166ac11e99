"""A mention in the making, and the cue that reaches it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from reports.findings.labels import State

Tokens: TypeAlias = tuple[int, int]  # first and last token


class Weight(IntEnum):
    """Of the words of its own: none, "large", "small left" that begins a statement; "the heart is enlarged" is one."""

    BARE = 0
    SIZED = 1
    STATED = 2
    WHOLE = 3


class Around(NamedTuple):
    """What the words of a sentence tell that its phrases do not; tokens."""

    bound: frozenset[int] = frozenset()  # where a finding begins that goes with the word before
    holders: frozenset[int] = frozenset()  # where an "in the" begins that leads to a finding
    strangers: Mapping[int, State] = MappingProxyType({})  # verdicts that are not of the finding before: what stays


@dataclass(slots=True)
class Said:
    """A mention in the making. state None: asked or remembered, not said of this film."""

    concept: str
    state: State | None
    words: list[Tokens]
    cues: list[Tokens]
    weak: bool = False  # only an "or" says so
    restricted: Tokens | None = None  # only some of its kind: "new", "tension"
    parted: tuple[str, ...] = ()  # what stands between it and the one before: ",", "and", "with", "or"
    weight: Weight = Weight.BARE
    side: str | None = None  # the one that has it, where the other is denied

    @property
    def first(self) -> int:
        return self.words[0][0]

    @property
    def last(self) -> int:
        return self.words[-1][1]


@dataclass(slots=True)
class Force:
    """A cue that reaches forward."""

    state: State | None
    cue: Tokens
    once: bool = False  # it reaches the next finding only
    listed: bool = False  # behind a comma or an "and" it reaches only the rest of a list that ends with "or"
    negates: bool = False  # a normal heart is not normal
    doubted: bool = False  # it denied what was named before, and may have ended
    word: str = ""  # the "not" and "neither" that other cues look at
    gone: bool = False  # it was there, of whatever size
    brief: bool = False  # up to a comma or a "with"
    restricted: Tokens | None = None  # the "new" of "no new effusion or nodule"
    adjectives: frozenset[str] = frozenset()  # the "acute" of "no acute fracture", which may stand again in the list
