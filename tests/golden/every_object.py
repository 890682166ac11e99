"""Every object that goes out, for every film that the golden files show, at one moment that never passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cache
from types import MappingProxyType

from pydicom import Dataset

from dicom_node.kinds import Stage
from reports.findings import Laterality, Severity, State
from reports.messages.fhir import FhirSite, build_fhir, build_fhir_withdrawal
from reports.messages.oru import Parties, build_oru, build_oru_withdrawal
from reports.messages.outcome import Result, outcome_of, to_json
from reports.objects.basic_text import build_notice
from reports.objects.encapsulated_pdf import build_pdf
from reports.objects.measurement import as_comprehensive
from reports.objects.secondary_capture import build_captures
from reports.objects.signed import build_addendum, build_signed
from reports.objects.signer import Signature
from reports.source import normalize
from reports.text import DraftText, sections
from tests.unit.reports.coded import FOUND, coded, finding, note
from tests.unit.reports.films import CONFIG, MOMENT, as_received, draft, film, in_charset, ordered_cr, provenance
from tests.unit.reports.page.narratives import fonts
from tests.unit.reports.test_signed import FIRST, SECOND

# A DX, a CR with everything that a film may carry, and the five scripts that are hard.
SOURCES: MappingProxyType[str, Callable[[], Dataset]] = MappingProxyType(
    {
        "dx": lambda: as_received(film()),
        "cr": ordered_cr,
        "korean": lambda: in_charset("korean"),
        "arabic": lambda: in_charset("arabic"),
        "chinese": lambda: in_charset("chinese-gb18030"),
        "japanese": lambda: in_charset("japanese"),
        "cyrillic": lambda: in_charset("cyrillic"),
    }
)
REASON = "Describes a tube that is not there."
# Words with a Present, an Absent and an Undetermined, and the findings that are in them: not asked of the extractor, so
# that golden files change with objects only.
DRAFTED = sections(
    "FINDINGS: The heart is mildly enlarged (ratio ≥ 0.5). Severe left pleural effusion. "
    "Right pneumonia cannot be excluded.\nNo left pneumothorax; the mediastinum is not widened.\n"
    "IMPRESSION: Left effusion – “large”. Possible pneumonia."
)
SIGNED = DraftText("Severe left pleural effusion. No pneumothorax. The heart is normal.", "Left effusion.")
FOUND_SIGNED = (
    finding("Pleural Effusion", State.PRESENT, Laterality.LEFT, Severity.SEVERE),
    finding("Pneumothorax", State.ABSENT),
    finding("Cardiomegaly", State.ABSENT),
)
PARTIES = Parties("WETREAD", "AI", "RIS", "HOSPITAL")
SITE = FhirSite(
    {"": "https://hospital.example/patients", "HOSPITAL": "urn:oid:1.2.3"}, "https://hospital.example/orders"
)


@cache
def structured(name: str) -> MappingProxyType[str, Dataset]:
    """Structured reports and notes for one of SOURCES. They depend on no font and on no clock."""
    return MappingProxyType(made_for(SOURCES[name]()))


def made_for(source: Dataset) -> dict[str, Dataset]:
    """Structured reports and notes for one film, by name."""
    master = draft(source, text=DRAFTED)
    report = _signed(master, FIRST, number=1)
    cosigned = _signed(report, FIRST, SECOND, number=2)
    added = build_addendum(
        report, "Compared with CT.", SECOND, number=2, not_before=FIRST.at, config=CONFIG, predecessor=report
    )
    first = coded(master, films=[normalize(source, CONFIG)])
    second = coded(report, FOUND_SIGNED, predecessor=first)
    return {
        "draft": master,
        "notice": build_notice(
            [source], "The film is a lateral.", provenance(), revision=1, content_at=MOMENT, config=CONFIG
        ),
        "signed": report,
        "cosigned": cosigned,
        "addendum": added,
        "coded-draft": first,
        "coded-draft-comprehensive": as_comprehensive(first),
        "coded-signed": second,
        "coded-cosigned": coded(cosigned, FOUND_SIGNED, predecessor=second),
        "coded-addendum": coded(added, FOUND_SIGNED, predecessor=second),
        "rejection": note(master, first, words=REASON),
        "withdrawal": note(report, safety=True, words=REASON),
    }


def _signed(document: Dataset, *signatures: Signature, number: int) -> Dataset:
    return build_signed(
        document, SIGNED, signatures, number=number, not_before=MOMENT, config=CONFIG, predecessor=document
    )


@cache
def pages(name: str) -> MappingProxyType[str, Dataset]:
    """PDF and Secondary Capture for one of SOURCES."""
    return MappingProxyType(pages_of(structured(name)))


def pages_of(made: Mapping[str, Dataset]) -> dict[str, Dataset]:
    """PDF and Secondary Capture of a draft and of a signed report: fonts and libraries have a part in their bytes."""
    found = {}
    for stage in ("draft", "signed"):
        found[f"pdf-{stage}"] = build_pdf(made[stage], fonts=fonts(), config=CONFIG)
        (found[f"sc-{stage}"],) = build_captures(made[stage], fonts=fonts(), config=CONFIG)
    return found


def hl7(name: str) -> dict[str, bytes]:
    """ORU^R01 for one of SOURCES: R, F, C, and what takes a draft and a report back."""
    made, site = structured(name), (PARTIES, CONFIG)
    back, both = (REASON, MOMENT + timedelta(hours=1), *site), [made["signed"], made["draft"]]
    return {
        "draft": build_oru(made["draft"], *site, findings=FOUND),
        "signed": build_oru(made["signed"], *site, findings=FOUND_SIGNED, formerly=FOUND, replaced=[made["draft"]]),
        "cosigned": build_oru(made["cosigned"], *site, findings=FOUND_SIGNED, replaced=both),
        "addendum": build_oru(made["addendum"], *site, findings=FOUND_SIGNED, replaced=both),
        "rejection": build_oru_withdrawal(made["draft"], Stage.REJECTION, *back, findings=FOUND),
        "withdrawal": build_oru_withdrawal(made["signed"], Stage.WITHDRAWAL, *back, findings=FOUND_SIGNED),
    }


def json_messages(name: str) -> dict[str, bytes]:
    """FHIR bundles and outcomes for one of SOURCES."""
    made, later = structured(name), MOMENT + timedelta(hours=1)
    master, report, back = made["draft"], made["signed"], (REASON, later, SITE, CONFIG)
    drafted = outcome_of(master, drafted_at=MOMENT, at=MOMENT, result=Result.DRAFTED)
    rejected = outcome_of(master, drafted_at=MOMENT, at=later, result=Result.REJECTED, reason="wrong-finding")
    return {
        "fhir-draft": build_fhir(master, SITE, CONFIG, findings=FOUND),
        "fhir-signed": build_fhir(report, SITE, CONFIG, findings=FOUND_SIGNED, formerly=FOUND),
        "fhir-addendum": build_fhir(made["addendum"], SITE, CONFIG, findings=FOUND_SIGNED),
        "fhir-rejection": build_fhir_withdrawal(master, Stage.REJECTION, *back, findings=FOUND),
        "fhir-withdrawal": build_fhir_withdrawal(report, Stage.WITHDRAWAL, *back, findings=FOUND_SIGNED),
        "outcome-drafted": to_json(drafted),
        "outcome-modified": to_json(outcome_of(master, drafted_at=MOMENT, at=later, signed=report)),
        "outcome-rejected": to_json(rejected),
    }
