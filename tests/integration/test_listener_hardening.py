"""The door under attack: nothing that a caller does opens it, fills the memory or fills the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicom_node import access, files
from tests.harness import dcmtk
from tests.harness.door import Door

# --- the access check -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("where", ["disk", "rules"])
def test_access_check_that_fails_refuses_for_now(
    door: Door, image: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """pynetdicom swallows what the handler raises, and goes on as if the caller had been admitted."""

    def broken(*_arguments: object, **_settings: object) -> None:
        raise OSError(5, "Input/output error") if where == "disk" else RuntimeError

    monkeypatch.setattr(*((files, "free_mebibytes") if where == "disk" else (access, "decide")), broken)

    for title in ("STRANGER", "PACS"):
        refused = dcmtk.store(door.port, image, calling=title)
        assert "Transient" in refused.stdout
    assert len(door.logged("access_check_failed")) == 2
    assert door.outcomes() == []
