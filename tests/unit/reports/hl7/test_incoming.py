"""Messages from elsewhere: what they mean, and that nothing in them can break the reader."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import pytest
from hl7apy.parser import parse_message
from hypothesis import example, given
from hypothesis import strategies as st

from reports.hl7.er7 import escape, unescape
from reports.hl7.incoming import Ack, Code, Meaning, Reported, acknowledge, parse
from reports.hl7.reader import NotUnderstood
from reports.messages.characters import readable
from reports.messages.identity import PatientId

NOW = datetime(2025, 3, 2, 9, 0, 1, tzinfo=UTC)
HEAD = "MSH|^~\\&|RIS|HOSP|WETREAD|AI|20250302||{}|C-17|P|2.5.1"
PID = "PID|1||EX-1^^^HOSPITAL&1.2.3&ISO~EX-9^^^OTHER||Secret^Name"


def message(kind: str, *segments: str, charset: str = "") -> bytes:
    head = HEAD.format(kind) + (f"||||||{charset}" if charset else "")
    return ("\r".join((head, *segments)) + "\r").encode("utf-8")


def obr(status: str, accession: str = "ACC1") -> str:
    fields = [""] * 25
    fields[0], fields[1], fields[2], fields[17], fields[24] = "1", "PL-1^X", "FI-1", accession, status
    return "OBR|" + "|".join(fields)


def test_final_report_names_patient_order_and_study() -> None:
    incoming = parse(message("ORU^R01^ORU_R01", PID, obr("F"), "OBX|1|ST|113014^DICOM Study^DCM||1.2.840.1||||||O"))

    assert incoming.meaning is Meaning.REPORT_FINAL
    assert incoming.patient == (PatientId("EX-1", "HOSPITAL", "1.2.3", "ISO"), PatientId("EX-9", "OTHER", "", ""))
    assert incoming.reported == (Reported("F", "ACC1", "PL-1", "FI-1"),)
    assert incoming.study_instance_uid == "1.2.840.1"
    assert (incoming.control_id, incoming.trigger) == ("C-17", "ORU^R01")
    assert (incoming.sending_application, incoming.sending_facility) == ("RIS", "HOSP")


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        ("F", Meaning.REPORT_FINAL),
        ("C", Meaning.REPORT_CORRECTION),
        ("R", Meaning.OTHER),
        ("P", Meaning.OTHER),
        ("", Meaning.OTHER),
        ("X", Meaning.OTHER),
    ],
)
def test_only_what_a_person_signed_is_a_report(status: str, meaning: Meaning) -> None:
    assert parse(message("ORU^R01", PID, obr(status))).meaning is meaning


@pytest.mark.parametrize(
    ("texts", "meaning"),
    [
        (["F"], Meaning.REPORT_FINAL),
        (["F", "C"], Meaning.REPORT_CORRECTION),
        (["F", "D"], Meaning.REPORT_FINAL),
        (["F", "P"], Meaning.OTHER),
        (["R"], Meaning.OTHER),
        (["D"], Meaning.OTHER),
        ([], Meaning.OTHER),
    ],
)
def test_an_order_without_a_status_has_that_of_its_texts(texts: list[str], meaning: Meaning) -> None:
    said = [f"OBX|{number}|TX|59776-5^Findings^LN||Words||||||{status}" for number, status in enumerate(texts, 1)]
    code = "OBX|9|CE|36118008^Pneumothorax^SCT||52101004^Present^SCT||||||F"

    assert parse(message("ORU^R01", PID, obr(""), *said, code)).meaning is meaning
    assert parse(message("ORU^R01", PID, obr("P"), *said, code)).meaning is Meaning.OTHER


def test_each_order_has_its_own_texts_and_section() -> None:
    first, second = obr("", "ACC1"), obr("", "ACC2")
    text = "OBX|1|FT|59776-5^Findings^LN||Words||||||F"
    incoming = parse(message("ORU^R01", PID, first, "ORC|RE", second.removesuffix("|") + "LAB|", text))

    assert [(one.accession, one.status, one.section) for one in incoming.reported] == [
        ("ACC1", "", ""),
        ("ACC2", "F", "LAB"),
    ]


def test_several_orders_are_told_apart_and_the_common_order_fills_gaps() -> None:
    incoming = parse(message("ORU^R01", PID, obr("R"), "ORC|RE|PL-2|FI-2", "OBR|2||||||||||||||||||||||||F"))

    assert incoming.meaning is Meaning.REPORT_FINAL
    assert [one.status for one in incoming.reported] == ["R", "F"]
    assert (incoming.reported[1].placer, incoming.reported[1].filler) == ("PL-2", "FI-2")


@pytest.mark.parametrize("event", ["A40", "A18"])
def test_merge_names_both_identifiers_of_every_pair(event: str) -> None:
    incoming = parse(message(f"ADT^{event}", PID, "MRG|OLD-1^^^HOSPITAL", "PID|2||EX-2", "MRG|OLD-2~OLD-3"))

    assert incoming.meaning is Meaning.MERGE
    first, second = incoming.merges
    assert [one.value for one in first.prior] == ["OLD-1"]
    assert [one.value for one in first.into] == ["EX-1", "EX-9"]
    assert [one.value for one in second.prior] == ["OLD-2", "OLD-3"]


def test_update_is_one_and_everything_else_means_nothing_to_us() -> None:
    assert parse(message("ADT^A08", PID)).meaning is Meaning.UPDATE
    assert parse(message("ADT^A01", PID)).meaning is Meaning.OTHER
    assert parse(message("SIU^S12")).meaning is Meaning.OTHER


@pytest.mark.parametrize(
    ("charset", "codec", "identifier"),
    [
        ("UNICODE UTF-8", "utf-8", "환자-1"),
        ("8859/1", "iso8859_1", "Ä-1"),
        ("8859/6", "iso8859_6", "مريض"),
        ("GB 18030-2000", "gb18030", "病人"),
        ("KS X 1001", "euc_kr", "환자"),
        ("BIG-5", "big5", "功許"),  # the second byte of both is a backslash
        ("ASCII~ISO IR87", "iso2022_jp_ext", "患者"),
    ],
)
def test_characters_are_read_as_declared(charset: str, codec: str, identifier: str) -> None:
    text = message("ADT^A08", f"PID|1||{identifier}^^^H", charset=charset).decode("utf-8")

    assert parse(text.encode(codec)).patient[0].value == identifier


def test_undeclared_letters_are_no_trouble_in_names_and_refused_in_identifiers() -> None:
    assert parse(message("ADT^A08", "PID|1||EX-1||Müster^Name")).patient[0].value == "EX-1"
    with pytest.raises(NotUnderstood, match="declares no character set"):
        parse(message("ADT^A08", "PID|1||환자-1"))


def test_other_delimiters_and_line_ends_are_understood() -> None:
    odd = b"MSH#*!$%#RIS#H#W#A#2025##ADT*A08#C-18#P#2.3\nPID#1##EX$F$1***NS%1.2%ISO\n"

    incoming = parse(odd)

    assert incoming.patient == (PatientId("EX#1", "NS", "1.2", "ISO"),)
    assert incoming.control_id == "C-18"


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"hello",
        b"MSH",
        b"MSH||||",
        b"MSH|^~\\&",
        b"MSH|^~\\&|a",
        b"\x00" * 100,
        message("ORU^R01", obr("F")),
        message("ADT^A08", 'PID|1||""'),
        message("ADT^A40", PID),
        message("ADT^A40", PID, "MRG|"),
        message("ADT^A08", PID, charset="EBCDIC"),
        message("ADT^A08", "PID|1||환자", charset="ASCII"),
        message("", PID),
    ],
)
def test_what_cannot_be_understood_is_refused_without_its_values(bad: bytes) -> None:
    with pytest.raises(NotUnderstood) as refused:
        parse(bad)

    answer = acknowledge(bad, Ack(Code.REJECT, str(refused.value)), NOW)
    assert b"\rMSA|AR|" in answer
    assert not any(secret in answer for secret in (b"Secret", b"EX-1", "환자".encode()))


def test_refusal_of_unreadable_characters_still_names_the_message() -> None:
    answer = acknowledge(message("ADT^A08", PID, charset="EBCDIC"), Ack(Code.REJECT, "x"), NOW)

    assert b"MSA|AR|C-17|x\r" in answer


def test_acknowledgment_goes_back_to_the_sender_and_is_read_by_another_library() -> None:
    answer = parse_message(acknowledge(message("ADT^A08", PID), Ack(Code.ACCEPT), NOW).decode("utf-8"))

    assert (answer.msh.msh_3.value, answer.msh.msh_4.value) == ("WETREAD", "AI")
    assert (answer.msh.msh_5.value, answer.msh.msh_6.value) == ("RIS", "HOSP")
    assert answer.msh.msh_9.value == "ACK^A08^ACK"
    assert (answer.msa.msa_1.value, answer.msa.msa_2.value) == ("AA", "C-17")
    assert len(answer.msh.msh_10.value) <= 20


def test_enhanced_mode_is_answered_in_its_own_codes() -> None:
    enhanced = message("ADT^A08", PID).replace(b"|P|2.5.1", b"|P|2.5.1|||AL|NE")

    assert b"\rMSA|CA|C-17" in acknowledge(enhanced, Ack(Code.ACCEPT), NOW)


_SEEDS = [
    message("ORU^R01", PID, obr("F")),
    message("ADT^A40", PID, "MRG|OLD"),
    message("ADT^A08", PID, charset="8859/6"),
]


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """A good message with bytes replaced, cut and put in."""
    found = bytearray(draw(st.sampled_from(_SEEDS)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(found)))
        found[at : at + draw(st.integers(0, 9))] = draw(
            st.binary(max_size=9) | st.sampled_from([b"|", b"\r", b"^", b"\\"])
        )
    return bytes(found)


@given(st.binary(max_size=300) | spoiled())
@example(b"MSH|^~\\&|||||||ADT^A08|\\|P|2.5\rPID|||\\X\\")
@example(b"MSH|^~\\&|a\r\r\r|||\rPID")
def test_no_bytes_break_the_reader_or_the_answer(junk: bytes) -> None:
    with contextlib.suppress(NotUnderstood):
        parse(junk)
    answer = acknowledge(junk, Ack(Code.REJECT, "words"), NOW)
    assert answer.count(b"\r") == 2
    assert answer.startswith(b"MSH|^~\\&|")


@given(st.text())
def test_any_text_survives_the_escapes(words: str) -> None:
    written = escape(words)

    assert not set(written) & set("|^~&\r\n")
    assert unescape(written) == readable(words)
