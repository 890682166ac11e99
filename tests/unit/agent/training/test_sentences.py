"""Reports of the demonstration: our extractor finds in them exactly what was put in; the guards let them pass."""

from __future__ import annotations

import random

from agent.readers import guards
from agent.training import sentences
from reports.findings import State, extract

SPOKEN = [finding for finding in sentences.FINDINGS if finding != sentences.AP]


def test_every_report_says_what_it_was_told_to_say() -> None:
    source = random.Random(1)
    texts = set()
    for _ in range(200):
        states = {finding: source.random() < 0.4 for finding in sentences.FINDINGS}
        text = sentences.report(states, source)
        by_label = extract(text).by_label
        assert {name: by_label[name].state is State.PRESENT for name in SPOKEN} == {
            name: states[name] for name in SPOKEN
        }
        assert ("anteroposterior" in text) == states[sentences.AP]
        assert guards.check(text, ended=True) == text
        assert guards.notes(text) == ()
        texts.add(text)
    assert len(texts) > 190


def test_a_pair_says_and_denies_one_finding_in_the_same_words_before_the_choice() -> None:
    for finding, (says, denies) in sentences.pairs().items():
        assert says.rsplit(" ", 1)[0] == denies.rsplit(" ", 1)[0]
        if finding != sentences.AP:
            assert extract(f"FINDINGS: {says}").by_label[finding].state is State.PRESENT
            assert extract(f"FINDINGS: {denies}").by_label[finding].state is State.ABSENT
