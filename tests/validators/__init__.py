"""The three validators of structured reports, run as programs. A missing one is a failure, never a skip.

Exit codes are not used: dciodvfy and PixelMed answer 0 for files full of errors.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

_DRIVER = Path(__file__).with_name("Templates.java")
_JARS = (
    "pixelmed commons-codec commons-net hsqldb jaxb-api jmdns javax.json slf4j-api slf4j-simple vecmath".split()  # noqa: SIM905
)
# The stylesheet of the template validator has more operators than the JDK lets a stylesheet have, and is deep.
_JAVA = [
    "-Xss64m",
    "-Djdk.xml.xpathTotalOpLimit=0",
    "-Djdk.xml.xpathExprOpLimit=0",
    "-Djdk.xml.xpathExprGrpLimit=0",
]

# What these versions say of files that are right.
_IOD_NOISE = re.compile(
    r"defined term <99"  # private coding schemes are legal
    r"|needed to build DICOMDIR"  # type 2 attributes that the source lacks stay empty
    r"|Retired Person Name form"  # a source's single-component name is kept as it is
)
_IODS = ("BasicTextSR", "Comprehensive3DSR", "ComprehensiveSR", "KeyObjectSelectionDocument")
_CONTENT_NOISE = re.compile(r"VR checker does not support this Specific Character Set|Check for template constraints")


def iod_findings(file: Path) -> list[str]:
    """Errors and warnings of dciodvfy: modules, types, value representations, enumerations, evidence."""
    lines = _lines([_program("dciodvfy"), str(file)])
    if not any(line.startswith((*_IODS, "Error")) for line in lines):
        raise AssertionError(f"dciodvfy did not recognize the file: {lines[:3]}")
    return [line for line in lines if re.match("Error|Warning", line) and not _IOD_NOISE.search(line)]


def content_findings(file: Path) -> list[str]:
    """Errors and warnings of dsrdump: value types and relationships of the SOP Class."""
    lines = _lines([_program("dsrdump"), "-Dv", str(file)])
    return [line for line in lines if re.match("[EFW]: ", line) and not _CONTENT_NOISE.search(line)]


def as_page(file: Path) -> str:
    """HTML that dsr2html makes of a structured report."""
    return "\n".join(_lines([_program("dsr2html"), str(file)]))


def template_findings(files: Sequence[Path]) -> dict[Path, list[str]]:
    """Errors of PixelMed's DicomSRValidator by file: templates and codes. A start takes 20 seconds, a file one."""
    jars = [f"/usr/share/java/{name}.jar" for name in _JARS]
    if not Path(jars[0]).is_file():
        raise AssertionError("PixelMed is missing: apt-get install libpixelmed-java default-jdk-headless")
    command = [_program("java"), *_JAVA, "-cp", ":".join(jars), str(_DRIVER), *(str(file) for file in files)]
    findings: dict[Path, list[str]] = {}
    for line in _lines(command):
        file, tab, message = line.partition("\t")
        if tab and Path(file) in files:
            found = findings.setdefault(Path(file), [])
            if message.startswith("Error"):
                found.append(message)
    silent = [file.name for file in files if file not in findings]
    if silent:
        raise AssertionError(f"PixelMed said nothing about {silent}")
    return findings


def _program(name: str) -> str:
    found = shutil.which(name, path="/usr/bin:/usr/local/bin")
    if found is None:
        raise AssertionError(
            f"{name} is missing: apt-get install dcmtk dicom3tools libpixelmed-java default-jdk-headless"
        )
    return found


def _lines(command: list[str]) -> list[str]:
    done = subprocess.run(command, capture_output=True, timeout=500, check=False)
    return (done.stdout + b"\n" + done.stderr).decode("utf-8", "replace").splitlines()
