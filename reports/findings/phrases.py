"""Phrases in a trie over words: the longest phrase at each word, found in one pass."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

END: Final = ""  # the key, in a node, of what the phrase that ends there means; no word is empty


Node: TypeAlias = dict[str, Any]


class Item(NamedTuple):
    """A phrase in a sentence: what it means, and its first and last token."""

    kind: str
    value: str
    first: int
    last: int


def expand(patterns: str) -> Iterator[tuple[str, ...]]:
    """The phrases of patterns parted by commas: words parted by blanks, `a/b` is either, `/b` is b or nothing.

    `/large pleural effusion/effusions` is four phrases.
    """
    for pattern in patterns.split(","):
        for words in itertools.product(*(word.split("/") for word in pattern.split())):
            if any(words):
                yield tuple(word for word in words if word)


def words_in(patterns: str) -> frozenset[str]:
    """Every word of the phrases of patterns."""
    return frozenset(patterns.replace(",", " ").replace("/", " ").split())


def build(entries: Iterable[tuple[str, str, str]]) -> Node:
    """A trie of (kind, value, patterns). A phrase that stands twice means both."""
    root: Node = {}
    for kind, value, patterns in entries:
        for words in expand(patterns):
            node = root
            for word in words:
                node = node.setdefault(word, {})
            meanings = node.get(END, ())
            if (kind, value) not in meanings:
                node[END] = (*meanings, (kind, value))
    return root


def items(trie: Mapping[str, Node], words: Sequence[str]) -> list[Item]:
    """The phrases in `words`, from left to right, the longest first, none inside another."""
    found: list[Item] = []
    position, number = 0, len(words)
    while position < number:
        node = trie.get(words[position])
        if node is None:
            position += 1
            continue
        last, meanings = position, node.get(END)
        following = position + 1
        while following < number and (node := node.get(words[following])) is not None:
            if END in node:
                last, meanings = following, node[END]
            following += 1
        if meanings is not None:
            for kind, value in meanings:
                found.append(Item(kind, value, position, last))
        position = last + 1
    return found
