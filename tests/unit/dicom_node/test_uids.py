"""UIDs derived from content, and what may pass as one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from dicom_node.uids import derived_uid, is_uid

PARTS = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x1f"), max_size=20), min_size=1, max_size=4)


@given(PARTS)
def test_derived_uid_is_valid_and_repeatable(parts: list[str]) -> None:
    uid = derived_uid(*parts)
    assert uid == derived_uid(*parts)
    assert UID(uid).is_valid
    assert is_uid(uid)


@given(PARTS, PARTS)
def test_other_parts_give_another_uid(one: list[str], two: list[str]) -> None:
    assert (derived_uid(*one) == derived_uid(*two)) is (one == two)


def test_borders_between_parts_count() -> None:
    assert derived_uid("a", "bc") != derived_uid("ab", "c")


def test_derivation_never_changes() -> None:
    assert derived_uid("1.2.3", "1", "workitem") == "2.25.127222221039284832913610412714147882979"


def test_what_passes_as_a_uid() -> None:
    for good in ("1", "1.2.840", "1.02.3", "2.25." + "9" * 39, "1" * 64):
        assert is_uid(good), good
    for bad in ("", ".", "1.", ".1", "1..2", "1.a", "../1", "1/2", "1 ", "1\n", "1\x00", "1" * 65, "١.٢"):
        assert not is_uid(bad), bad
