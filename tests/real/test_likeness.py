"""Fingerprints on 955 real chest films: the table of deploy/docs/train.md, as claims."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian

from agent.imaging import likeness
from agent.imaging.decoder import DecoderProcess
from tests.real.conftest import DATA

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

Picture = Image.Image
Change = Callable[[Picture], Picture]
ALARM = 0.5  # of `likeness.pairs`
ALARM_CROPPED = 0.55
CHESTS = ("cxr", "RG1_J2KI", "NIH_DX_no_finding", "SIIM_CR_jpegbaseline", "CR-MONO1-10-chest_nopreamble")


def smaller(share: float) -> Change:
    return lambda film: film.resize((round(film.width * share), round(film.height * share)))


def compressed(quality: int) -> Change:
    def change(film: Picture) -> Picture:
        coded = io.BytesIO()
        film.save(coded, "JPEG", quality=quality)
        return Image.open(coded)

    return change


def grays(told: Callable[[float], float]) -> Change:
    return lambda film: film.point([round(255 * min(1.0, max(0.0, told(gray / 255)))) for gray in range(256)])


def cropped(left: float, top: float, right: float, bottom: float) -> Change:
    """Shares of the side."""
    return lambda film: film.crop(
        (
            round(film.width * left),
            round(film.height * top),
            round(film.width * (1 - right)),
            round(film.height * (1 - bottom)),
        )
    )


def turned(turn: Image.Transpose) -> Change:
    return lambda film: compressed(50)(smaller(0.5)(film).transpose(turn))


CHANGES = MappingProxyType(
    {
        **{f"JPEG {quality}": compressed(quality) for quality in (30, 50, 70, 90)},
        "half": smaller(0.5),
        "quarter": smaller(0.25),
        "quarter, JPEG 30": lambda film: compressed(30)(smaller(0.25)(film)),
        "brighter by 10 %": grays(lambda gray: gray + 0.1),
        "darker by 10 %": grays(lambda gray: gray - 0.1),
        "contrast x 0.8": grays(lambda gray: 0.5 + 0.8 * (gray - 0.5)),
        "contrast x 1.2": grays(lambda gray: 0.5 + 1.2 * (gray - 0.5)),
        "gamma 0.7": grays(lambda gray: gray**0.7),
        "gamma 1.4": grays(lambda gray: gray**1.4),
        "sigmoid": grays(lambda gray: 1 / (1 + np.exp(-6 * (gray - 0.5)))),
        "black and white exchanged": grays(lambda gray: 1 - gray),
        "cropped by 1 %": cropped(*4 * (0.01,)),
    }
)
TURNS = MappingProxyType({f"half, JPEG 50, {turn.name}": turned(turn) for turn in Image.Transpose})
CROPS = MappingProxyType(  # and the least share that is found
    {
        **{share: (cropped(*4 * (share / 100,)), 1.0) for share in (1, 2, 3, 4)},
        5: (cropped(*4 * (0.05,)), 0.98),
        "0 to 3": (cropped(0.03, 0.01, 0.02, 0.0), 0.98),
        "3, left": (cropped(0.03, 0.0, 0.0, 0.0), 0.85),
    }
)


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    with (DATA / "images" / "manifest.csv").open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


@pytest.fixture(scope="module")
def films(rows: list[dict[str, str]]) -> list[Picture]:
    return [Image.open(DATA / row["file"]).convert("L") for row in rows]


@pytest.fixture(scope="module")
def prints(films: list[Picture]) -> list[bytes]:
    return [printed(film) for film in films]


def printed(film: Picture) -> bytes:
    return likeness.fingerprint(np.asarray(film))


def test_no_two_films_of_different_patients_are_alike(rows: list[dict[str, str]], prints: list[bytes]) -> None:
    """454,863 pairs, each with the eight ways to turn and mirror one of them."""
    patients = [row["patient"] for row in rows]
    assert len(set(patients)) == 655
    others = np.triu(np.array(patients)[:, None] != np.array(patients))
    assert others.sum() == 454_863
    whole, cropped = likeness.nearest(prints, prints)
    for found, name, alarm in ((whole, "whole", ALARM), (cropped, "cropped", ALARM_CROPPED)):
        near = found[others]
        told = ", ".join(f"{(near > least).sum()} over {least}" for least in (0.25, 0.3, 0.35, 0.4))
        print(f"{name}: nearest {near.max():.3f}, {told}")
        assert near.max() < alarm - 0.08


def test_films_that_somebody_resized_and_compressed_are_known_again(
    rows: list[dict[str, str]], prints: list[bytes]
) -> None:
    """21 originals of 1,024 pixels as PNG, and the same as 512 pixels in JPEG."""
    names = [Path(row["file"]).stem for row in rows]
    folders = [Path(row["file"]).parts[1] for row in rows]
    found = [two for two in likeness.pairs(prints, folders) if names[two.one] == names[two.other]]
    assert len(found) == folders.count("nih_original_1024") == 21


@pytest.mark.parametrize("change", CHANGES)
def test_copies_are_known_again(films: list[Picture], prints: list[bytes], change: str) -> None:
    """Every fifth film."""
    told = [
        float(np.abs(likeness.agreement([prints[place]], [printed(CHANGES[change](films[place]))])[0, 0]))
        for place in range(0, len(films), 5)
    ]
    print(f"{change}: nearest to an alarm {min(told):.2f}, found {np.mean(np.array(told) >= ALARM):.1%}")
    assert min(told) >= ALARM


@pytest.mark.parametrize("change", TURNS)
def test_turned_and_mirrored_copies_are_known_again(films: list[Picture], prints: list[bytes], change: str) -> None:
    """Every fifth film."""
    told = [
        float(likeness.nearest([prints[place]], [printed(TURNS[change](films[place]))])[0][0, 0])
        for place in range(0, len(films), 5)
    ]
    print(f"{change}: nearest to an alarm {min(told):.2f}, found {np.mean(np.array(told) >= ALARM):.1%}")
    assert min(told) >= ALARM


@pytest.mark.parametrize("crop", CROPS)
def test_copies_without_a_margin_are_known_again(films: list[Picture], prints: list[bytes], crop: str | int) -> None:
    """Every fifth film."""
    change, least = CROPS[crop]
    places = range(0, len(films), 5)
    told = [likeness.nearest([prints[place]], [printed(change(films[place]))]) for place in places]
    found = np.mean([whole[0, 0] >= ALARM or part[0, 0] >= ALARM_CROPPED for whole, part in told])
    print(f"cropped by {crop} %: found {found:.1%}")
    assert found >= least


@pytest.mark.parametrize("name", CHESTS)
def test_a_dicom_film_and_its_picture_are_known_as_one(dicom: Path, name: str) -> None:
    """The picture has 8 bits, half the size, and all stored values from black to white, whatever the window says."""
    file = dicom / "cr_dx" / f"{name}.dcm"
    with DecoderProcess() as decoder:
        film = decoder.render(file).pixels
    header = dcmread(file, force=True)
    header.file_meta.TransferSyntaxUID = header.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian)
    stored: NDArray[np.float64] = header.pixel_array.astype(float)
    grays_ = np.rint(255 * (stored - stored.min()) / (stored.max() - stored.min())).astype(np.uint8)
    exported = compressed(80)(smaller(0.5)(Image.fromarray(grays_)))
    found = float(np.abs(likeness.agreement([likeness.fingerprint(film)], [printed(exported)])[0, 0]))
    print(f"{name}: {found:.2f}")
    assert found >= ALARM
