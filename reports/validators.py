"""The three independent validators of structured reports, where they are installed, run as programs.

Their exit codes are not used: dciodvfy and PixelMed answer 0 for files full of errors. What their versions of 2022 say
of files that are right is left out.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
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
    "-XX:TieredStopAtLevel=1",  # a run of seconds: the second compiler costs more than it gains
    "-XX:+UseSerialGC",
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


_OF_CONTENT: Final = frozenset({"dsrdump", "DicomSRValidator"})


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one validator says of a file. installed: False where it could not be asked; findings are empty then."""

    tool: str
    installed: bool
    findings: tuple[str, ...] = ()


def opinions(file: Path, *, has_content_items: bool) -> Iterator[Opinion]:
    """Ask each validator in turn; the last one takes 10 to 20 seconds. Findings may quote what stands in the file.

    has_content_items: two of them know nothing else, and would find a fault in every other object.
    """
    for tool, ask in _TOOLS.items():
        if tool in _OF_CONTENT and not has_content_items:
            continue
        command = ask(file)
        if command is None:
            yield Opinion(tool, installed=False)
            continue
        try:
            lines = said(command, seconds=_SECONDS)
        except subprocess.TimeoutExpired:
            yield Opinion(tool, installed=True, findings=(f"Error - no answer within {_SECONDS} s",))
            continue
        yield Opinion(tool, installed=True, findings=findings_in(tool, lines))


def findings_in(tool: str, lines: Iterable[str]) -> tuple[str, ...]:
    """The errors and warnings among the lines that a validator printed; of DicomSRValidator the errors."""
    return tuple(line for line in lines if _is_finding(tool, line))


def command_of(tool: str, file: Path) -> list[str] | None:
    """The command line that asks one validator about a file; None where it is not installed."""
    return _TOOLS[tool](file)


def said(command: list[str], *, seconds: float) -> list[str]:
    """Run without a shell and return the lines of both outputs. A file's name is absolute: none is taken for an option.

    Raises subprocess.TimeoutExpired.
    """
    done = subprocess.run(command, capture_output=True, timeout=seconds, check=False)  # noqa: S603  a list of ours
    return (done.stdout + b"\n" + done.stderr).decode("utf-8", "replace").splitlines()


def pixelmed() -> list[str] | None:
    """The command line up to the name of a class of PixelMed; None where it is not installed."""
    jars = [Path(f"/usr/share/java/{name}.jar") for name in _JARS]
    java = program("java")
    return [java, *_JAVA, "-cp", ":".join(map(str, jars))] if java is not None and jars[0].is_file() else None


def program(name: str) -> str | None:
    """Where a program of the system lies; None where it is not installed."""
    return shutil.which(name, path=_FOLDERS)


def _is_finding(tool: str, line: str) -> bool:
    if tool == "dciodvfy":
        return re.match("Error|Warning", line) is not None and not _IOD_NOISE.search(line)
    if tool == "dsrdump":
        return re.match("[EFW]: ", line) is not None and not _CONTENT_NOISE.search(line)
    return line.startswith("Error") or "Exception" in line


def _iod(file: Path) -> list[str] | None:
    found = program("dciodvfy")
    return [found, str(file)] if found else None


def _content(file: Path) -> list[str] | None:
    found = program("dsrdump")
    return [found, "-Dv", str(file)] if found else None


def _templates(file: Path) -> list[str] | None:
    java = pixelmed()
    return [*java, "com.pixelmed.validate.DicomSRValidator", str(file)] if java else None


_TOOLS: Mapping[str, Callable[[Path], list[str] | None]] = MappingProxyType(
    {"dciodvfy": _iod, "dsrdump": _content, "DicomSRValidator": _templates}
)
