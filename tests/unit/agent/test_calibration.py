"""A site's own test for laterals: fitted to numbers, refused where it would not help, read back as it was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agent.config import read_config
from agent.imaging.calibration import CalibrationRefused, fit, read, write
from agent.imaging.impression import Impression
from dicom_node.errors import ConfigurationError


def films(kind: str, count: int, *, symmetry: float, spread: float, patients: int = 0) -> list[tuple[str, Impression]]:
    """Impressions that differ in symmetry and in one component only."""
    chance = np.random.default_rng(len(kind) + count)
    made = []
    for number in range(count):
        components = (float(symmetry * 2 + chance.normal(0, spread * 4)), *chance.normal(0, 1, 19).tolist())
        seen = Impression(
            512, 512, "upright", 9.0, 1.0, float(chance.normal(symmetry, spread)), 0.5, 0.0, 0, components
        )
        made.append((f"{kind}-{number % patients if patients else number}", seen))
    return made


FRONTAL = films("frontal", 200, symmetry=0.9, spread=0.05)
LATERAL = films("lateral", 80, symmetry=0.3, spread=0.1)


def test_laterals_that_differ_are_found() -> None:
    made = fit(FRONTAL, LATERAL)
    assert made.found > 0.9
    assert made.held <= 0.01
    assert sum(made.suspects(seen) for _, seen in LATERAL) > 72
    assert sum(made.suspects(seen) for _, seen in FRONTAL) <= 4


def test_films_that_do_not_differ_give_no_test() -> None:
    alike = films("another", 80, symmetry=0.9, spread=0.05)
    with pytest.raises(CalibrationRefused, match="folders mixed up"):
        fit(FRONTAL, alike)


@pytest.mark.parametrize("short", ["frontal", "lateral"])
def test_too_few_films_are_refused(short: str) -> None:
    few = {"frontal": FRONTAL, "lateral": LATERAL} | {short: FRONTAL[:49] if short == "frontal" else LATERAL[:49]}
    with pytest.raises(CalibrationRefused, match=f"49 {short} films are too few"):
        fit(few["frontal"], few["lateral"])


def test_films_of_one_patient_are_refused() -> None:
    with pytest.raises(CalibrationRefused, match="too few patients"):
        fit(FRONTAL, films("one", 80, symmetry=0.3, spread=0.1, patients=1))


def test_a_calibration_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    made = fit(FRONTAL, LATERAL)
    write(made, tmp_path / "lateral.json")
    assert read(tmp_path / "lateral.json") == made


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": "another"}', '{"format": "lateral-calibration-1"}'])
def test_another_file_is_refused_and_what_to_do_is_said(tmp_path: Path, content: str) -> None:
    file = tmp_path / "lateral.json"
    file.write_text(content)
    with pytest.raises(ConfigurationError, match="wetread gate calibrate"):
        read(file)


def test_a_configuration_that_names_an_unusable_file_is_a_mistake(tmp_path: Path) -> None:
    config = tmp_path / "wetread.toml"
    config.write_text(f'[imaging]\ngate_calibration = "{tmp_path / "absent.json"}"\n')
    with pytest.raises(ConfigurationError, match=r"imaging\.gate_calibration"):
        read_config(config)
