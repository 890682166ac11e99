"""What a reader is: a protocol, not a base class. Each reader states what it can do; callers use what is there."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from dicom_node.errors import WetreadError

# How an oblong film becomes the square that a model sees: its middle, or all of it between black margins.
Framing: TypeAlias = Literal["crop", "pad"]


class UnreadableText(WetreadError):
    """The model's text is empty, endless, unprintable or repeats itself: an error of this study, never a draft.

    `code` is a word for the books, such as `empty-text`; the text itself is in no message.
    """

    def __init__(self, code: str, explanation: str) -> None:
        super().__init__(explanation)
        self.code = code


class ReaderBroken(WetreadError):
    """The reader can read nothing any more: its process has to end and be started again."""


@dataclass(frozen=True, slots=True)
class Generation:
    """How the tokens were chosen; stands in the provenance line of a draft."""

    mode: Literal["greedy", "sampled"] = "greedy"
    seed: int | None = None
    temperature: float = 0.2
    top_p: float = 0.8
    top_k: int = 50
    max_new_tokens: int = 512


@dataclass(frozen=True, slots=True)
class ReaderIdentity:
    """Which model, exactly. `digest` covers weights, precision, prompt, preprocessing and generation settings."""

    name: str
    version: str
    manufacturer: str
    precision: str
    digest: str  # 64 hexadecimal digits
    notice: str  # shown at the top of every draft; empty for a model without one


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader wrote about one film."""

    text: str
    generation: Generation
    tokens: int
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """How likely a model would have written given words.

    ids: the tokens of the words. log_probabilities: natural logarithm for each, (tokens,) float32, each at most 0.
    """

    ids: tuple[int, ...]
    log_probabilities: NDArray[np.float32]

    @property
    def total(self) -> float:
        """Log-likelihood of the whole."""
        return float(self.log_probabilities.sum(dtype=np.float64))

    @property
    def perplexity(self) -> float:
        """exp of the mean negative log-likelihood of a token: 1 where the model was certain."""
        return math.exp(-self.total / len(self.ids))


@runtime_checkable
class Reader(Protocol):
    """Can write a report about one frontal chest radiograph."""

    @property
    def identity(self) -> ReaderIdentity:
        """Which model, exactly."""

    def report(
        self,
        film: NDArray[np.uint8],
        generation: Generation,
        progress: Callable[[int], None] = lambda _tokens: None,
        *,
        urgent: bool = False,
    ) -> Reading:
        """Write a report.

        film: (rows, columns) uint8, 0 is black, upright, bone white.
        progress: called with the number of tokens so far, at least once a second; what it raises ends the reading.
        urgent: before others that are read at the same time, where the reader can do that.

        Raises UnreadableText; its code is `reading-timeout` where the limit of seconds was reached.
        """


@runtime_checkable
class Asks(Protocol):
    """Can answer a question about a film."""

    def ask(
        self,
        film: NDArray[np.uint8],
        question: str,
        generation: Generation,
        progress: Callable[[str], None] = lambda _words: None,
        *,
        seconds: float | None = None,
    ) -> Reading:
        """Answer in words, which may be a single one. One that a limit cut off is no answer.

        progress: called with the words so far, which have passed no guard, at least once a second; what it raises ends
        the answer. seconds: limit of its own.

        Raises UnreadableText; its code is `endless-text` or `reading-timeout` where a limit cut the answer off, and
        `long-question` where the question leaves no room for one.
        """


@runtime_checkable
class Scores(Protocol):
    """Can say how likely it would have written given words about a film."""

    def score(self, film: NDArray[np.uint8], continuation: str) -> Score:
        """The likelihood of `continuation` as a report."""


@runtime_checkable
class Embeds(Protocol):
    """Can turn a film into a vector."""

    def embed(self, film: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(width,) float32, the same width for every film."""


@runtime_checkable
class Serves(Protocol):
    """Can write for several threads at once."""

    @property
    def slots(self) -> int:
        """How many."""

    def serving(self) -> AbstractContextManager[None]:
        """Do so, until the end of the context."""
