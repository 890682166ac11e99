"""The three independent validators of structured reports, where they are installed, run as programs.

Their exit codes are not used: dciodvfy and PixelMed answer 0 for files full of errors. What their versions of 2022 say
of files that are right is left out.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

_FOLDERS: Final = "/usr/bin:/usr/local/bin"
_SECONDS: Final = 150
_JARS: Final = (
    *("pixelmed", "commons-codec", "commons-net", "hsqldb", "jaxb-api"),
    *("jmdns", "javax.json", "slf4j-api", "slf4j-simple", "vecmath"),
)
# The stylesheet of the template validator has more operators than the JDK lets a stylesheet have, and is deep.
_JAVA: Final = (
    "-Xss64m",
    "-Djdk.xml.xpathTotalOpLimit=0",
    "-Djdk.xml.xpathExprOpLimit=0",
    "-Djdk.xml.xpathExprGrpLimit=0",
)
_IOD_NOISE: Final = re.compile(
    r"defined term <99"  # private coding schemes are legal
    r"|needed to build DICOMDIR"  # type 2 attributes that the source lacks stay empty
    r"|Retired Person Name form"  # a source's single-component name is kept as it is
)
_CONTENT_NOISE: Final = re.compile(
    r"VR checker does not support this Specific Character Set|Check for template constraints"
)
PACKAGES: Final = MappingProxyType(
    {
        "dciodvfy": "dicom3tools",
        "dsrdump": "dcmtk",
        "DicomSRValidator": "libpixelmed-java default-jre-headless",
    }
)


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one validator says of a file. installed: False where it could not be asked; findings are empty then."""

    tool: str
    installed: bool
    findings: tuple[str, ...] = ()


def opinions(file: Path) -> Iterator[Opinion]:
    """Ask each validator in turn; the last one takes 10 to 20 seconds. Findings may quote what stands in the file."""
    for tool, ask in _TOOLS.items():
        command = ask(file)
        if command is None:
            yield Opinion(tool, installed=False)
            continue
        try:
            lines = _lines(command)
        except subprocess.TimeoutExpired:
            yield Opinion(tool, installed=True, findings=(f"Error - no answer within {_SECONDS} s",))
            continue
        yield Opinion(tool, installed=True, findings=tuple(line for line in lines if _is_finding(tool, line)))


def _is_finding(tool: str, line: str) -> bool:
    if tool == "dciodvfy":
        return re.match("Error|Warning", line) is not None and not _IOD_NOISE.search(line)
    if tool == "dsrdump":
        return re.match("[EFW]: ", line) is not None and not _CONTENT_NOISE.search(line)
    return line.startswith("Error") or "Exception" in line


def _iod(file: Path) -> list[str] | None:
    program = _program("dciodvfy")
    return [program, str(file)] if program else None


def _content(file: Path) -> list[str] | None:
    program = _program("dsrdump")
    return [program, "-Dv", str(file)] if program else None


def _templates(file: Path) -> list[str] | None:
    jars = [Path(f"/usr/share/java/{name}.jar") for name in _JARS]
    program = _program("java")
    if program is None or not jars[0].is_file():
        return None
    return [program, *_JAVA, "-cp", ":".join(map(str, jars)), "com.pixelmed.validate.DicomSRValidator", str(file)]


_TOOLS: Mapping[str, Callable[[Path], list[str] | None]] = MappingProxyType(
    {"dciodvfy": _iod, "dsrdump": _content, "DicomSRValidator": _templates}
)


def _program(name: str) -> str | None:
    return shutil.which(name, path=_FOLDERS)


def _lines(command: list[str]) -> list[str]:
    """Run without a shell. A file's name is absolute, so that none is taken for an option."""
    done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)  # noqa: S603  a list of ours
    return (done.stdout + b"\n" + done.stderr).decode("utf-8", "replace").splitlines()
