"""May this film be read? Decided from its pixels alone, by thresholds on the numbers of an `impression`.

Pixels only ever raise doubts, which wait for a person: a wrong exclusion is silence, and dextrocardia exists. Where
each threshold comes from, and what it finds and misses, stands in deploy/docs/gate.md.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from agent.imaging.calibration import Calibration
from agent.imaging.impression import Impression
from agent.imaging.verdict import Verdict

# Read off the cross-validated numbers of 826 frontal films of 542 patients that `agent.imaging.fitting` prints; the
# share of those films that each holds is beside it, and measured again in deploy/docs/gate.md.
_LEAST_SIDE: Final = 75  # pixels: a third of the smallest film that was at hand (224); the reader wants 512
_LEAST_MARGIN: Final = -8.0  # 0.5 %
_LEAST_SIDES: Final = -2.05  # 1.0 %
_LEAST_SYMMETRY: Final = 0.03  # 0.2 %
_MOST_STRANGE: Final = 1.25  # 0.1 %
_MOST_CLIPPED: Final = 0.05  # none; the most of them has 0.007
_MOST_LETTERED: Final = 4  # bands; none: films have up to three lines of print beside the patient

_PART: Final = "part"

THRESHOLDS: Final = MappingProxyType(
    {
        "least_side": _LEAST_SIDE,
        "least_margin": _LEAST_MARGIN,
        "least_sides": _LEAST_SIDES,
        "least_symmetry": _LEAST_SYMMETRY,
        "most_strange": _MOST_STRANGE,
        "most_clipped": _MOST_CLIPPED,
        "most_lettered": _MOST_LETTERED,
    }
)


def judge_picture(seen: Impression, calibration: Calibration | None = None) -> Verdict | None:
    """None where nothing speaks against the film; else doubts, all of them in one verdict, the worst first.

    calibration: a site's own test for laterals, in the place of the shipped one.
    """
    doubts = [doubt for doubt in (_size(seen), _exposure(seen), _pose(seen), *_whole(seen, calibration)) if doubt]
    if not doubts:
        return None
    words = " ".join(doubt.explanation for doubt in doubts)
    return Verdict("confirm", doubts[0].code, words, tuple(phrase for doubt in doubts for phrase in doubt.notes))


def _confirm(code: str, explanation: str, phrase: str) -> Verdict:
    return Verdict("confirm", code, explanation, (phrase,))


def _size(seen: Impression) -> Verdict | None:
    if min(seen.rows, seen.columns) >= _LEAST_SIDE:
        return None
    return _confirm(
        "too-small",
        f"The film has {seen.rows} x {seen.columns} pixels: an icon, not a radiograph.",
        f"a film of {seen.rows} x {seen.columns} pixels",
    )


def _exposure(seen: Impression) -> Verdict | None:
    if seen.clipped <= _MOST_CLIPPED:
        return None
    return _confirm(
        "clipped-image",
        "Much of the middle of the film is plain black or white.",
        "parts of the film without gray values",
    )


def _pose(seen: Impression) -> Verdict | None:
    if seen.margin >= _LEAST_MARGIN:
        return None
    if seen.pose == "inverted":
        return _confirm("looks-inverted", "Black and white look exchanged.", "black and white look exchanged")
    if seen.pose == _PART:
        return _confirm(
            "not-a-whole-chest", "The pixels do not look like a whole frontal chest.", "not like a whole frontal chest"
        )
    return _confirm("looks-rotated", f"The film looks {seen.pose} degrees.", f"the film looks {seen.pose} degrees")


def _whole(seen: Impression, calibration: Calibration | None) -> tuple[Verdict | None, ...]:
    return (_kind(seen), _lateral(seen, calibration), _sides(seen), _print(seen))


def _kind(seen: Impression) -> Verdict | None:
    if seen.strangeness <= _MOST_STRANGE:
        return None
    return _confirm("unlike-a-chest", "The pixels look like no frontal chest film.", "unlike other frontal chest films")


def _lateral(seen: Impression, calibration: Calibration | None) -> Verdict | None:
    suspect = seen.symmetry < _LEAST_SYMMETRY if calibration is None else calibration.suspects(seen)
    if not suspect:
        return None
    return _confirm(
        "looks-lateral",
        "Left and right of the film are so unlike that it may be a lateral or oblique view.",
        "left and right are so unlike that it may be a lateral view",
    )


def _sides(seen: Impression) -> Verdict | None:
    if seen.sides >= _LEAST_SIDES:
        return None
    return _confirm(
        "looks-mirrored",
        "The heart looks to be on the right: a mirrored film, dextrocardia, or a shifted mediastinum.",
        "the heart looks to be on the right; not turned over",
    )


def _print(seen: Impression) -> Verdict | None:
    if seen.lettering <= _MOST_LETTERED:
        return None
    return _confirm("burnt-in-text", "There are lines of text in the picture.", "lines of text in the picture")
