"""Who holds a claim, on machines that look alike."""

from __future__ import annotations

import os
from pathlib import Path

from dicom_node.owner import is_dead, place, this_process


def test_cloned_machines_are_told_apart(tmp_path: Path) -> None:
    boots = []
    for name, identity in (
        ("a", "1b0f6d3c-0000-4000-8000-000000000001"),
        ("b", "77aa6d3c-0000-4000-8000-000000000001"),
    ):
        boots.append(tmp_path / name)
        boots[-1].write_text(f"{identity}\n")
    assert place(boots[0]) != place(boots[1])
    assert place(boots[0]) == place(boots[0])
    assert place() == place()


def test_system_without_these_files_has_a_place_all_the_same(tmp_path: Path) -> None:
    assert place(tmp_path / "no", tmp_path / "no").endswith("/0/0")


def test_signature_fits_its_column_and_is_alive() -> None:
    assert len(this_process()) <= 128
    assert not is_dead(this_process())


def test_neighbor_that_has_ended_is_dead_and_a_stranger_never_is() -> None:
    child = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(child, 0)
    assert is_dead(f"{place()}:{child}")
    assert not is_dead(f"elsewhere/0/0:{child}")
