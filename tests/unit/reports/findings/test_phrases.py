"""Patterns become phrases, and the longest phrase wins."""

from __future__ import annotations

import pytest

from reports.findings import cues, lexicon
from reports.findings.phrases import build, expand, items


@pytest.mark.parametrize(
    ("patterns", "phrases"),
    [
        ("a b", ["a b"]),
        ("a/b c", ["a c", "b c"]),
        ("/a b", ["b", "a b"]),
        ("a, b/c", ["a", "b", "c"]),
        ("a\n   b,\n c", ["a b", "c"]),
        ("/a", ["a"]),
        ("", []),
        (",,", []),
    ],
)
def test_a_pattern_stands_for_its_phrases(patterns: str, phrases: list[str]) -> None:
    assert [" ".join(words) for words in expand(patterns)] == phrases


def test_the_longest_phrase_is_taken_and_none_inside_it() -> None:
    trie = build([("k", "short", "pleural"), ("k", "long", "pleural effusion"), ("k", "inner", "effusion")])

    found = items(trie, ["no", "pleural", "effusion", "effusion", "pleural"])

    assert [(item.value, item.first, item.last) for item in found] == [("long", 1, 2), ("inner", 3, 3), ("short", 4, 4)]


def test_a_phrase_that_begins_and_does_not_end_gives_way_to_what_is_inside() -> None:
    trie = build([("k", "three", "a b c"), ("k", "b", "b")])

    assert [item.value for item in items(trie, ["a", "b", "d"])] == ["b"]


def test_a_phrase_of_two_kinds_is_both_in_the_order_of_the_entries() -> None:
    trie = build([("first", "", "no"), ("second", "", "no"), ("first", "", "no")])

    assert [item.kind for item in items(trie, ["no"])] == ["first", "second"]


def test_every_concept_of_the_lexicon_has_one_meaning() -> None:
    """A phrase that stands under two concepts would be counted twice."""
    meanings: dict[tuple[str, ...], set[str]] = {}
    for concept, patterns in lexicon.FINDINGS:
        for words in expand(patterns):
            meanings.setdefault(words, set()).add(concept)

    assert {words: concepts for words, concepts in meanings.items() if len(concepts) > 1} == {}


def test_no_word_of_the_lexicon_is_foreign() -> None:
    known = {
        word
        for _, patterns in (*lexicon.FINDINGS, *(cue[1:] for cue in cues.CUES))
        for words in expand(patterns)
        for word in words
    }

    assert known & (lexicon.FOREIGN | lexicon.PERHAPS_FOREIGN) == set()
