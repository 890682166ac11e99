"""The order in which a rater sees the reports: random, each film twice, its two reports far from each other."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping


def shuffled(films: Mapping[str, str], seed: str) -> list[str]:
    """The items in random order. films: of each item, its film; two items a film. seed: the same gives the same.

    The first half has every film once, with one of its two reports by chance; the second half has the others. Films of
    the first quarter come again in the third, those of the second in the fourth: between the two reports of a film lie
    at least half as many others as there are films.
    """
    draw = random.Random(seed)  # noqa: S311 -- an order that can be told again, no secret
    pairs: defaultdict[str, list[str]] = defaultdict(list)
    for item in sorted(films):
        pairs[films[item]].append(item)
    order = sorted(pairs)
    draw.shuffle(order)
    firsts, seconds = {}, {}
    for film in order:
        firsts[film], seconds[film] = draw.sample(pairs[film], 2)
    middle = len(order) // 2
    again = [order[:middle], order[middle:]]
    for half in again:
        draw.shuffle(half)
    return [firsts[film] for film in order] + [seconds[film] for half in again for film in half]
