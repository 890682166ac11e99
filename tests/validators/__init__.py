"""The validators of `reports.validators` as tests ask them: a missing one, or one that says nothing, is a failure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reports.validators import command_of, findings_in, pixelmed, program, said

_SECONDS = 500  # a hundred files, on a busy machine
_DRIVER = Path(__file__).with_name("Templates.java")
_IODS = ("BasicTextSR", "Comprehensive3DSR", "ComprehensiveSR", "KeyObjectSelectionDocument")
_MISSING = "is missing: apt-get install dcmtk dicom3tools libpixelmed-java default-jdk-headless"


def iod_findings(file: Path) -> list[str]:
    """Errors and warnings of dciodvfy: modules, types, value representations, enumerations, evidence."""
    lines = _said("dciodvfy", file)
    if not any(line.startswith((*_IODS, "Error")) for line in lines):
        raise AssertionError(f"dciodvfy did not recognize the file: {lines[:3]}")
    return list(findings_in("dciodvfy", lines))


def content_findings(file: Path) -> list[str]:
    """Errors and warnings of dsrdump: value types and relationships of the SOP Class."""
    return list(findings_in("dsrdump", _said("dsrdump", file)))


def as_page(file: Path) -> str:
    """HTML that dsr2html makes of a structured report."""
    found = program("dsr2html")
    assert found is not None, f"dsr2html {_MISSING}"
    return "\n".join(said([found, str(file)], seconds=_SECONDS))


def template_findings(files: Sequence[Path]) -> dict[Path, list[str]]:
    """Errors of PixelMed's DicomSRValidator by file: templates and codes. A start takes seconds, a file hardly any."""
    java = pixelmed()
    assert java is not None, f"PixelMed {_MISSING}"
    told: dict[Path, list[str]] = {}
    for line in said([*java, str(_DRIVER), *(str(file) for file in files)], seconds=_SECONDS):
        file, tab, message = line.partition("\t")
        if tab and Path(file) in files:
            told.setdefault(Path(file), []).append(message)
    silent = [file.name for file in files if file not in told]
    if silent:
        raise AssertionError(f"PixelMed said nothing about {silent}")
    return {file: list(findings_in("DicomSRValidator", messages)) for file, messages in told.items()}


def _said(tool: str, file: Path) -> list[str]:
    command = command_of(tool, file)
    assert command is not None, f"{tool} {_MISSING}"
    return said(command, seconds=_SECONDS)
