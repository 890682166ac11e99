"""A film in each transfer syntax that is accepted: from a real encoder and a real sender to the picture that is shown.

What is not coded here by dcmtk is coded by OpenJPEG; of High-Throughput JPEG 2000 no encoder is at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.uid import JPEG2000, UID, ExplicitVRLittleEndian, JPEG2000Lossless
from pynetdicom import AE

from agent.demo.phantom import WHITE, pixels
from agent.imaging.decoder import DecoderProcess
from agent.imaging.gate import judge
from agent.imaging.picture import judge_picture
from agent.imaging.stored import read
from agent.imaging.viewable import opened
from dicom_node import contexts
from dicom_node.tables import Instance
from tests.harness import dcmtk
from tests.harness.door import DX, Door, OpenDoor, associated, small_film

ROWS, COLUMNS = 241, 213  # odd, and large enough for the gate
TODAY = datetime(2026, 11, 22, tzinfo=UTC).date()
PSNR = 45.0  # dB, asked of the encoder of JPEG 2000 with loss

Values = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Depth:
    """How a film stores its values."""

    bits: int
    signed: bool = False

    def store(self, drawn: NDArray[np.uint16]) -> Values:
        """The drawing of 12 bits in this depth, all of its range used."""
        values = drawn.astype(np.int64) * ((1 << self.bits) - 1) // WHITE
        if self.signed:
            values -= 1 << (self.bits - 1)
        return values.astype(f"{'i' if self.signed else 'u'}{1 if self.bits == 8 else 2}")


DEPTHS = MappingProxyType(
    {
        "8 bits": Depth(8),
        "10 bits": Depth(10),
        "12 bits": Depth(12),
        "16 bits": Depth(16),
        "12 bits signed": Depth(12, signed=True),
        "16 bits signed": Depth(16, signed=True),
    }
)
ANY_DEPTH = tuple(DEPTHS)
UNSIGNED = tuple(name for name, depth in DEPTHS.items() if not depth.signed)


@dataclass(frozen=True, slots=True)
class Coding:
    """off: the most that a value may differ from what `undo` makes of it, an independent decoder; or from the original.

    shown: the most that the shown film may differ from the original's in the mean, in gray levels.
    """

    syntax: str
    encode: Callable[[Path, Path], None]
    depths: tuple[str, ...] = ANY_DEPTH
    off: int = 0
    shown: float = 0.0
    undo: str = ""


def by_dcmtk(tool: str, *options: str) -> Callable[[Path, Path], None]:
    def encode(plain: Path, coded: Path) -> None:
        done = dcmtk.run(tool, *options, plain, coded)
        assert done.returncode == 0, done.stdout

    return encode


def by_openjpeg(syntax: UID, **options: Any) -> Callable[[Path, Path], None]:
    def encode(plain: Path, coded: Path) -> None:
        film = dcmread(plain)
        film.compress(syntax, generate_instance_uid=False, **options)
        film.save_as(coded)

    return encode


J = "1.2.840.10008.1.2.4."
CODINGS = MappingProxyType(
    {
        "Implicit VR Little Endian": Coding("1.2.840.10008.1.2", by_dcmtk("dcmconv", "+ti")),
        "Explicit VR Little Endian": Coding("1.2.840.10008.1.2.1", by_dcmtk("dcmconv", "+te")),
        "Explicit VR Big Endian": Coding("1.2.840.10008.1.2.2", by_dcmtk("dcmconv", "+tb")),
        "Deflated Explicit VR": Coding("1.2.840.10008.1.2.1.99", by_dcmtk("dcmconv", "+td")),
        "RLE": Coding("1.2.840.10008.1.2.5", by_dcmtk("dcmcrle")),
        "RLE, fragments of 1 KiB": Coding("1.2.840.10008.1.2.5", by_dcmtk("dcmcrle", "+fs", "1")),
        **{
            f"JPEG Lossless, selection value {number}": Coding(
                f"{J}57", by_dcmtk("dcmcjpeg", "+el", "+sv", str(number)), ANY_DEPTH if number == 6 else ("12 bits",)
            )
            for number in range(1, 8)
        },
        "JPEG Lossless, first-order": Coding(f"{J}70", by_dcmtk("dcmcjpeg", "+e1")),
        "JPEG Lossless, fragments of 1 KiB": Coding(f"{J}70", by_dcmtk("dcmcjpeg", "+e1", "+fs", "1", "-ot")),
        "JPEG-LS": Coding(f"{J}80", by_dcmtk("dcmcjpls", "+el")),
        "JPEG-LS, near-lossless": Coding(f"{J}81", by_dcmtk("dcmcjpls", "+en", "+md", "3"), UNSIGNED, 3, 2.0),
        "JPEG 2000, lossless": Coding(f"{J}90", by_openjpeg(JPEG2000Lossless)),
        "JPEG 2000, with loss": Coding(f"{J}91", by_openjpeg(JPEG2000, j2k_psnr=[PSNR]), shown=2.0),
        "JPEG baseline": Coding(f"{J}50", by_dcmtk("dcmcjpeg", "+eb"), ("8 bits",), 1, 2.0, "dcmdjpeg"),
        "JPEG extended, 12 bits": Coding(f"{J}51", by_dcmtk("dcmcjpeg", "+ee"), ("12 bits",), 2, 2.0, "dcmdjpeg"),
    }
)


@pytest.fixture(scope="module")
def decoder() -> Iterator[DecoderProcess]:
    with DecoderProcess(60.0, 1024) as process:
        yield process


@pytest.fixture(scope="module")
def drawn() -> NDArray[np.uint16]:
    return pixels(3, rows=ROWS, columns=COLUMNS)


def film(values: Values, depth: Depth) -> Dataset:
    made = small_film()
    made.Rows, made.Columns = values.shape
    made.BitsAllocated = values.dtype.itemsize * 8
    made.BitsStored, made.HighBit, made.PixelRepresentation = depth.bits, depth.bits - 1, int(depth.signed)
    made.PixelData = values.tobytes()
    for keyword in ("WindowCenter", "WindowWidth", "WindowCenterWidthExplanation", "VOILUTFunction"):
        if keyword in made:
            del made[keyword]
    return made


def path_of(door: Door, kept: Instance) -> Path:
    return door.config.store_folder / kept.digest[:2] / f"{kept.digest}.dcm"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("name", CODINGS)
def test_a_film_comes_the_whole_way(
    door: Door, decoder: DecoderProcess, drawn: NDArray[np.uint16], tmp_path: Path, name: str
) -> None:
    coding = CODINGS[name]
    plain = {depth: tmp_path / f"{depth}.dcm" for depth in coding.depths}
    coded = {depth: tmp_path / f"{depth} coded.dcm" for depth in coding.depths}
    for depth, path in plain.items():
        film(DEPTHS[depth].store(drawn), DEPTHS[depth]).save_as(path, enforce_file_format=True)
        coding.encode(path, coded[depth])

    options = dcmtk.profile(tmp_path, DX, syntaxes=(coding.syntax,))
    sent = dcmtk.store(door.port, *coded.values(), options=options)

    assert sent.returncode == 0, sent.stdout
    kept = {one.sop_instance_uid: one for one in door.instances()}
    assert {one.transfer_syntax_uid for one in kept.values()} == {coding.syntax}
    for depth, path in plain.items():
        stored = path_of(door, kept[dcmread(coded[depth]).SOPInstanceUID])
        _values_are_right(coding, path, stored)
        _is_shown_alike(coding, decoder, path, stored)


def _values_are_right(coding: Coding, plain: Path, stored: Path) -> None:
    came, original = read(stored).values.astype(np.int64), dcmread(plain).pixel_array.astype(np.int64)
    if coding.syntax == JPEG2000:
        noise = np.sqrt(np.mean((came - original) ** 2.0))
        assert 20 * np.log10(2.0 ** dcmread(plain).BitsStored / noise) > PSNR - 1
        return
    if coding.undo:
        undone = stored.with_suffix(".undone")
        by_dcmtk(coding.undo)(stored, undone)
        original = dcmread(undone).pixel_array.astype(np.int64)
    assert np.abs(came - original).max() <= coding.off


def _is_shown_alike(coding: Coding, decoder: DecoderProcess, plain: Path, stored: Path) -> None:
    """To the reader, to the gate and to eyes."""
    there, here = decoder.render(stored), decoder.render(plain)
    assert np.abs(there.pixels.astype(int) - here.pixels).mean() <= coding.shown
    assert there.notes == here.notes
    assert judge(dcmread(stored, stop_before_pixels=True), received=TODAY).decision == "read"
    assert there.impression is not None
    assert judge_picture(there.impression) is None
    if not coding.shown:
        assert there.digest == here.digest
        assert opened(decoder.look("values", stored))[1] == opened(decoder.look("values", plain))[1]


JPEG_XL, PRIVATE, MR = f"{J}110", "1.2.826.0.1.3680043.10.999.2", "1.2.840.10008.5.1.4.1.1.4"
PROGRESSIVE = f"{J}55"  # retired, and nothing that is installed decodes it


def test_a_film_that_nothing_here_decodes_is_refused_in_words(door: Door, image: Path, tmp_path: Path) -> None:
    coded = tmp_path / "progressive.dcm"
    by_dcmtk("dcmcjpeg", "+ep")(image, coded)
    assert dcmread(coded).file_meta.TransferSyntaxUID == PROGRESSIVE

    sent = dcmtk.store(door.port, coded, options=dcmtk.profile(tmp_path, DX, syntaxes=(PROGRESSIVE,)))

    assert sent.returncode != 0
    assert "No Acceptable Presentation Contexts" in sent.stdout
    assert (door.outcomes(), door.leftovers()) == ([], [])
    (told,) = door.logged("contexts_refused")
    assert (told["calling_ae_title"], told["sop_classes"]) == ("PACS", [DX])
    assert told["transfer_syntaxes"] == ["JPEG Full Progression, Non-Hierarchical (Process 10 and 12)"]
    assert "cannot be decoded here: the sender must code them in another one" in str(told["explanation"])


@pytest.mark.parametrize("only_radiographs", [False, True])
def test_a_sender_that_can_code_a_film_anew_is_asked_to(open_door: OpenDoor, only_radiographs: bool) -> None:
    """In one context or in two, as senders do it: what is taken is the syntax that can be decoded."""
    door = open_door(refuse_other_sop_classes=only_radiographs)
    plain = str(ExplicitVRLittleEndian)
    with associated(door.port, DX, JPEG_XL, plain) as association:
        assert [one.transfer_syntax for one in association.accepted_contexts] == [[plain]]
        assert association.send_c_store(small_film()).Status == 0x0000

    sender = AE(ae_title="PACS")
    for syntax in (JPEG_XL, PRIVATE, plain):
        sender.add_requested_context(DX, syntax)
    association = sender.associate("127.0.0.1", door.port, ae_title="WETREAD")
    try:
        assert [one.result for one in association.rejected_contexts] == [4, 4], "transfer syntaxes not supported"
        assert [one.transfer_syntax for one in association.accepted_contexts] == [[plain]]
        assert association.send_c_store(small_film()).Status == 0x0000
    finally:
        association.release()
    (told,) = door.logged("contexts_refused")
    assert told["transfer_syntaxes"] == [PRIVATE, "JPEG XL Lossless"]


def test_what_is_no_film_is_taken_in_any_syntax(door: Door) -> None:
    """Else a study with a video could not be sent at all."""
    for sop_class in (MR, "1.2.826.0.1.3680043.10.999.1"):
        for syntax in (JPEG_XL, PROGRESSIVE, PRIVATE):
            with associated(door.port, sop_class, syntax) as association:
                assert [one.transfer_syntax for one in association.accepted_contexts] == [[syntax]]
    assert door.logged("contexts_refused") == []


def test_each_syntax_that_is_accepted_for_a_film_is_tried() -> None:
    """The conformance statement says of which that is not so."""
    assert {coding.syntax for coding in CODINGS.values()} == set(contexts.READABLE) - set(contexts.UNTRIED)
