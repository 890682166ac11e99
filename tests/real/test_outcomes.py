"""All 96 real and hostile files go to one running node: each has an outcome, and nothing breaks.

The table of outcomes is deploy/docs/outcomes.md; WETREAD_WRITE_DOCS=1 writes it anew.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.filereader import read_file_meta_info
from pydicom.uid import DigitalXRayImageStorageForPresentation, ImplicitVRLittleEndian
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from agent.imaging.attributes import BROKEN, value
from dicom_node import worklist
from dicom_node.loopback import LoopbackPacs
from dicom_node.tables import Book, Instance, Outcome, ProcessBeat, Reception, Role, Study, Workitem
from reports.tables import Report
from tests.harness.node import OWN, Node, wait_until
from tests.harness.raw_sender import Request, data_set_of, send_raw

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

DOCUMENT = Path(__file__).parents[2] / "deploy" / "docs" / "outcomes.md"
QUIET_SECONDS = 15.0  # more than all the sending takes: files of one study meet in its first revision
# Of two objects with one UID the first is used: the film, not the copy with the wrong tag.
FIRST = ("SIIM_CR_jpegbaseline.dcm", "cxr.dcm")

MEANING = {
    "drafted": "the draft is in the PACS",
    "held": "waits for a person: `wetread study confirm`, or a corrected Patient ID",
    "excluded": "not for this reader; the reason stands in the books",
    "conflict": "another object under a UID that is taken: kept, shown, not used",
    "duplicate": "the same object again: success, nothing new",
    "refused": "an error on the wire; what came is kept in quarantine",
}

TEMPLATE = """# What becomes of {number} real and hostile files

Sent one after another to one running node, {dcmsend} with dcmtk's `dcmsend`, {raw} as raw bytes in a C-STORE because
`dcmsend` does not take them. `tests/real/test_outcomes.py` makes this table, and fails when it is no longer true
(`WETREAD_WRITE_DOCS=1` writes it anew). No process ended, the books balanced.

| outcome | files | meaning |
|---|---|---|
{summary}

A study has one outcome; files of one study share it. The two films that were sent first are
`SIIM_CR_jpegbaseline.dcm` and `cxr.dcm`: of two objects under one UID the first is used.

| file | sent with | answer | outcome | reason | in words |
|---|---|---|---|---|---|
{rows}
"""

# What a file must come to, by outcome and reason.
EXPECTED = {
    # A human chest in a CR or a secondary capture that says so. Without a body part it is held below.
    ("drafted", ""): "RG1_J2KI.dcm SIIM_CR_jpegbaseline.dcm",
    # Nobody knows whose film it is.
    ("held", "no-patient-id"): "cxr.dcm ColorTestMalaterre.dcm MultiframeWindowing.dcm SC_rgb_jpeg_app14_dcmd.dcm "
    "emri_small_jpeg_2k_lossless_too_short.dcm image_dfl.dcm",
    # A chest without a body part; a jaw, a hand and a pelvis ("B?cken") look the same to a header.
    ("held", "body-part-unknown"): "NIH_DX_no_finding.dcm CR-ModalitySequenceLUT.dcm CR_pelvis_nopixeldata.dcm "
    "agfa_hand_voilut_blank.dcm",
    # Secondary captures without a word on what they show; two frames beside one image of the same study.
    ("held", "secondary-capture"): "chrArab.dcm chrFren.dcm chrH31.dcm chrHbrw.dcm chrI2.dcm chrX1.dcm chrX2.dcm "
    "1403-OB.dcm 2022-11-14-RLEPlanarConfiguration.dcm 2026-05-26-oob-monochrome-65535.dcm Issue140.dcm "
    "imageForPrLUTs.dcm mlut_18.dcm SC_rgb_rle_2frame.dcm SC_ybr_full_422_uncompressed.dcm",
    # Hips and shins.
    ("excluded", "not-a-chest"): "RG2_J2KR.dcm RG2_JPLY.dcm RG3_J2KI.dcm RG3_JLSL.dcm RG3_JLSN.dcm RG3_JPLL.dcm "
    "RG3_RLE.dcm",
    # Cervical spines; the first of them is a lateral, and one reason stands for the study.
    ("excluded", "lateral"): "cspine_CR1_6154.dcm cspine_CR3_6278.dcm",
    # The header of a chest film without its film.
    ("excluded", "no-pixels"): "chrJapMulti.dcm",
    # CT, MR, PET, US, NM, MG, RF, photographs.
    ("excluded", "not-a-projection-image"): "ISO_IR13.dcm 2023-04-21-RLEPlanarConfigurationYBR_FULL.dcm 693_J2KI.dcm "
    "D_CLUNIE_CT1_RLE_FRAGS.dcm GH133.dcm GH178.dcm Image2.dcm Image3.dcm Issue146.dcm Issue22-NoPixelData.dcm "
    "J2K_pixelrep_mismatch.dcm JPEG2000-embedded-sequence-delimiter.dcm JPEGwithIcon.dcm JPGExtended.dcm "
    "KarstenHilbertRF.dcm MR_small_RLE.dcm OutOfBoundsOverlay.dcm eCT_Supplemental.dcm examples_jpeg2k.dcm "
    "examples_palette.dcm suyashkumar_1.dcm",
    # SR, SEG, GSPS, RT, ECG, STL, private classes.
    ("excluded", "no-image"): "MarekLatin2.dcm ExplVR_LitEndNoMeta.dcm Issue1097_FailToOpenDeflatedFileWithSQ.dcm "
    "Issue137.dcm PR000000.dcm UnknownSopClassUid.dcm badVR.dcm liver_1frame.dcm reportsi_with_empty_number_tags.dcm "
    "rtplan_truncated.dcm rtstruct.dcm seg_image_cr_binary.dcm waveform_ecg.dcm",
    # Copies of another file here with other bytes; the wrong photometric tag came second.
    ("conflict", "same-uid"): "CR-MONO1-10-chest_nopreamble.dcm Fake_MONOHR1.dcm chrJapMultiExplicitIR6.dcm "
    "GH177_D_CLUNIE_CT1_IVRLE_BigEndian_undefined_length.dcm GH179A.dcm MR_small_padded.dcm MR_truncated.dcm "
    "SC_rgb_rle_32bit_2frame.dcm",
    # Cut or senseless bytes, and objects that name no study.
    ("refused", "cannot-understand"): "chrSQEncoding1.dcm 2026-05-06-Deeply-Nested-Sequence.dcm.gz GH220.dcm GH487.dcm "
    "HTJ2KLossless_08_RGB.dcm JLSL_16_15_1_1F.dcm SC_rgb_jls_lossy_line.dcm UN_sequence.dcm meta_missing_tsyntax.dcm "
    "nested_priv_SQ.dcm no_meta.dcm no_preamble_dicm_in_data.dcm priv_SQ.dcm zipMR.gz",
    ("refused", "dataset-mismatch"): "Issue111.dcm",  # names no SOP class
    ("refused", "not-accepted"): "DICOMDIR NeurosurgeryPlan.dcm",  # belong to no study
}


@dataclass(frozen=True, slots=True)
class Sent:
    """One file on the wire. reception: the row that booked it, 0 where it came to no C-STORE."""

    file: str
    by: str
    answer: str
    reception: int


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one file, and why, in a code and in words."""

    sent: Sent
    outcome: str
    code: str
    words: str


@dataclass(frozen=True, slots=True)
class Campaign:
    """Everything that was sent, and what the node was like before and after."""

    node: Node
    pacs: LoopbackPacs
    fates: tuple[Fate, ...]
    processes: tuple[dict[str, int], dict[str, int]]
    beats: tuple[set[tuple[str, int]], set[tuple[str, int]]]
    listener_mebibytes: tuple[float, float]


@pytest.fixture(scope="module")
def campaign(
    dicom: Path, start_site: Callable[[float], AbstractContextManager[tuple[Node, LoopbackPacs]]]
) -> Iterator[Campaign]:
    files = sorted(dicom.glob("*/*"), key=lambda file: (file.name not in FIRST, file.parent.name, file.name))
    with start_site(QUIET_SECONDS) as (node, pacs):
        processes, beats, before = node.supervisor.process_ids(), beats_of(node), listener_mebibytes(node)
        sent = [send(node, file) for file in files]
        after = listener_mebibytes(node)
        wait_until(lambda: nothing_moves(node), "all files to come to an end", seconds=150)
        with node.database.read() as tx:
            fates = tuple(fate_of(tx, one, node.logs()) for one in sent)
        yield Campaign(
            node,
            pacs,
            fates,
            (processes, node.supervisor.process_ids()),
            (beats, beats_of(node)),
            (before, after),
        )


# --- sending ----------------------------------------------------------------------------------------------------------


def send(node: Node, file: Path) -> Sent:
    """With dcmsend; where it does not even ask, as raw bytes."""
    before = last_reception(node)
    command = ["/usr/bin/dcmsend", "-d", "+f", "-nh", "-nuc", "-to", "20", "-td", "30", "-aet", "MODALITY", "-aec", OWN]
    done = subprocess.run(
        [*command, "127.0.0.1", str(node.port), str(file)], capture_output=True, timeout=60, check=False
    )
    told = (done.stdout + done.stderr).decode("latin-1")
    by, answer = "dcmsend", "SOP class not accepted"
    if "C-STORE Response" not in told and "No Acceptable Presentation Contexts" not in told:
        by, answer = "raw bytes", send_bytes(node, file)
    after = last_reception(node)
    assert after - before in {0, 1}
    if after == before:
        return Sent(file.name, by, answer, 0)
    if by == "dcmsend":
        (status,) = re.findall(r"DIMSE Status +: 0x([0-9a-f]{4})", told)
        answer = f"0x{status.upper()}"
    return Sent(file.name, by, answer, after)


def send_bytes(node: Node, file: Path) -> str:
    """The data set alone, under the names that it has itself, or under generated ones. Returns the answer."""
    content = file.read_bytes()
    if file.name.endswith(".dcm.gz"):
        content = gzip.decompress(content)
    header = header_of(file)
    request = Request(
        sop_class_uid=str(header.get("SOPClassUID", DigitalXRayImageStorageForPresentation)),
        sop_instance_uid=str(header.get("SOPInstanceUID", f"2.25.{len(content)}")),
        transfer_syntax_uid=str(header.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian)),
    )
    answer = send_raw(data_set_of(content), request, port=node.port, called=OWN, calling="MODALITY")
    return answer.comment if answer.status is None else f"0x{answer.status:04X}"


def header_of(file: Path) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return dcmread(file, force=True, stop_before_pixels=True)
        except BROKEN:
            header, meta = Dataset(), read_file_meta_info(file)
            header.file_meta, header.SOPClassUID = meta, meta.MediaStorageSOPClassUID
            header.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
            return header


# --- what became of it ------------------------------------------------------------------------------------------------


def last_reception(node: Node) -> int:
    with node.database.read() as tx:
        return tx.scalar(select(func.max(Reception.id))) or 0


def nothing_moves(node: Node) -> bool:
    """In flight is only what waits for a person."""
    listed = node.ask("study", "list", "--book", Book.IN_FLIGHT.value, "--limit", "1000")
    return all(study["where"].startswith("held: ") for study in listed)


def fate_of(tx: Session, sent: Sent, logs: str) -> Fate:
    if not sent.reception:
        return Fate(sent, "refused", "not-accepted", "no object of a study: the association has no place for it")
    reception = tx.get_one(Reception, sent.reception)
    if reception.outcome is Outcome.QUARANTINED:
        lines = (json.loads(line) for line in logs.splitlines() if reception.digest[:12] in line)
        comments = {line["comment"] for line in lines if line["event"] == "object_quarantined"}
        return Fate(sent, "refused", reception.reason, f"{', '.join(comments)}; the bytes are kept in quarantine")
    instance = tx.get_one(Instance, reception.instance_id)
    outcome, code, words = fate_of_study(tx, tx.get_one(Study, instance.study_id))
    where = f"its study: {outcome}{code and f' ({code})'}"
    if reception.outcome is Outcome.DUPLICATE:
        return Fate(sent, "duplicate", "same-bytes", f"these bytes were there already; {where}")
    if reception.outcome is Outcome.CONFLICT:
        return Fate(sent, "conflict", "same-uid", f"other bytes came first under this SOP Instance UID; {where}")
    if instance.role is Role.OTHER and code != "no-image":
        return Fate(sent, "excluded", "no-image", f"no image, kept beside one; {where}")
    return Fate(sent, outcome, code, words)


def fate_of_study(tx: Session, study: Study) -> tuple[str, str, str]:
    revision = worklist.current_revision(tx, study)
    if revision.book is Book.IN_FLIGHT:
        workitem = tx.scalar(select(Workitem).where(Workitem.revision_id == revision.id))
        assert workitem is not None
        words = "The patient has no Patient ID." if study.hold_reason == "no-patient-id" else workitem.last_error
        return "held", study.hold_reason or workitem.hold_reason, words
    if revision.book is Book.DELIVERED:
        assert tx.scalar(select(func.count(Report.id)).where(Report.revision_id == revision.id)) == 1
        return "drafted", "", "The draft is in the PACS, proven by C-FIND."
    return str(revision.book), revision.reason, revision.explanation


def beats_of(node: Node) -> set[tuple[str, int]]:
    with node.database.read() as tx:
        return {(beat.name, beat.pid) for beat in tx.scalars(select(ProcessBeat))}


def listener_mebibytes(node: Node) -> float:
    """The most memory that `listen` ever had."""
    status = Path(f"/proc/{node.supervisor.process_ids()['listen']}/status").read_text(encoding="ascii")
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(peak) / 1024


# --- the document -----------------------------------------------------------------------------------------------------


def as_document(fates: Sequence[Fate]) -> str:
    counts = Counter(fate.outcome for fate in fates)
    ways = Counter(fate.sent.by for fate in fates)
    summary = "\n".join(f"| {outcome} | {counts[outcome]} | {MEANING[outcome]} |" for outcome in MEANING)
    rows = "\n".join(
        f"| {fate.sent.file} | {fate.sent.by} | {fate.sent.answer} | {fate.outcome} | {fate.code} | {fate.words} |"
        for fate in sorted(fates, key=lambda fate: (list(MEANING).index(fate.outcome), fate.sent.file.lower()))
    )
    return TEMPLATE.format(number=len(fates), summary=summary, rows=rows, **{way.split()[0]: ways[way] for way in ways})


# --- the tests --------------------------------------------------------------------------------------------------------


def test_every_file_ends_as_expected(campaign: Campaign) -> None:
    expected = {name: ending for ending, names in EXPECTED.items() for name in names.split()}
    assert len(expected) == 96
    assert {fate.sent.file: (fate.outcome, fate.code) for fate in campaign.fates} == expected


def test_whatever_was_acknowledged_is_booked_and_whatever_was_not_is_refused(campaign: Campaign) -> None:
    for fate in campaign.fates:
        assert (fate.sent.answer == "0x0000") == (fate.outcome != "refused"), fate
        assert fate.words, fate
    assert {fate.sent.answer for fate in campaign.fates} == {"0x0000", "0xA900", "0xC000", "SOP class not accepted"}


def test_the_drafts_are_in_the_pacs_and_nothing_else_is(campaign: Campaign) -> None:
    drafted = [fate.sent.file for fate in campaign.fates if fate.outcome == "drafted"]
    assert len(campaign.pacs.received) == len(drafted)
    with campaign.node.database.read() as tx:
        for report in tx.scalars(select(Report)):
            first = select(func.min(Reception.id)).where(Reception.digest == report.film_digest)
            assert tx.scalar(first) in {fate.sent.reception for fate in campaign.fates if fate.outcome == "drafted"}


def test_no_process_ended(campaign: Campaign) -> None:
    assert campaign.processes[0] == campaign.processes[1]
    assert campaign.beats[0] == campaign.beats[1]
    assert len(campaign.beats[0]) == 5  # of `work` it is the child that reads
    assert '"reading_failed"' not in campaign.node.logs()
    assert '"step_failed"' not in campaign.node.logs()
    assert '"store_broken"' not in campaign.node.logs()


def test_the_books_balance_and_nothing_is_wrong(campaign: Campaign) -> None:
    found = campaign.node.ask("check")
    assert [finding for finding in found if finding["verdict"] == "wrong"] == []
    (books,) = (finding["words"] for finding in found if finding["subject"] == "books")
    assert books.startswith("balanced;")
    booked = sum(1 for fate in campaign.fates if fate.sent.reception)
    assert f"objects: {booked} =" in books


def test_the_listener_needs_no_memory_for_hostile_files(campaign: Campaign) -> None:
    before, after = campaign.listener_mebibytes
    assert after - before < 64, f"{before:.0f} MiB before, {after:.0f} MiB at most"


def test_a_refused_sop_class_is_told_in_the_log(campaign: Campaign) -> None:
    refused = [line for line in campaign.node.logs().splitlines() if '"contexts_refused"' in line]
    told = {uid for line in refused for uid in json.loads(line)["sop_classes"]}
    assert told == {"1.2.840.10008.1.3.10", "1.2.840.10008.5.1.4.38.1"}  # DICOMDIR, Hanging Protocol


def test_no_name_and_no_id_of_a_patient_is_in_the_logs(campaign: Campaign, dicom: Path) -> None:
    logs = campaign.node.logs()
    words = set()
    for file in dicom.glob("*/*"):
        header = header_of(file)
        for keyword in ("PatientName", "PatientID"):
            words.add(str(value(header, keyword) or ""))
    telling = {word for word in words if len(word) >= 6 and not re.fullmatch(r"[0-9.]+", word)}
    assert len(telling) > 40
    assert {word for word in telling if word in logs} == set()


def test_the_document_is_current(campaign: Campaign) -> None:
    document = as_document(campaign.fates)
    if os.environ.get("WETREAD_WRITE_DOCS") == "1":
        DOCUMENT.write_text(document, encoding="utf-8")
    assert DOCUMENT.read_text(encoding="utf-8") == document, "WETREAD_WRITE_DOCS=1 writes it anew"


def test_bytes_that_end_inside_a_sequence_are_not_asked_for_again(campaign: Campaign, dicom: Path) -> None:
    """The file that dcmsend mends on its way, as it is: pydicom raises an OSError, which is no trouble of the disk."""
    file = dicom / "odd" / "GH177_D_CLUNIE_CT1_IVRLE_BigEndian_undefined_length.dcm"
    assert send_bytes(campaign.node, file) == "0xC000"
