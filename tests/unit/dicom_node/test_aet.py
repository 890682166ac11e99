"""AE titles and addresses as administrators write them."""

from __future__ import annotations

import shlex
import string
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.aet import RemoteAddress, ae_title, likely_cause
from dicom_node.errors import ConfigurationError, InvalidAETitle

ALLOWED = "".join(character for character in map(chr, range(32, 127)) if character != "\\")
TITLES = st.text(ALLOWED, min_size=1, max_size=16).filter(lambda title: title.strip(" "))
HOSTS = st.one_of(st.from_regex(r"[a-z][a-z0-9.-]{0,20}", fullmatch=True), st.ip_addresses().map(str))


@given(TITLES)
def test_every_allowed_title_is_taken_without_its_outer_blanks(title: str) -> None:
    assert ae_title(title) == title.strip(" ")
    assert ae_title(f" {ae_title(title)} ") == ae_title(title)


@given(st.text(max_size=40))
def test_a_title_is_taken_or_refused_and_never_changed_inside(text: str) -> None:
    try:
        title = ae_title(text)
    except InvalidAETitle:
        bare = text.strip(" ")
        assert not bare or len(bare) > 16 or any(character not in ALLOWED for character in bare)
    else:
        assert 1 <= len(title) <= 16
        assert title in text


@pytest.mark.parametrize("wrong", ["", " ", "A" * 17, "A\\B", "PÄCS", "A\tB", "A\nB", "A\x7f"])
def test_refused(wrong: str) -> None:
    with pytest.raises(InvalidAETitle):
        ae_title(wrong)


def test_case_is_kept() -> None:
    assert ae_title("Pacs") != ae_title("PACS")


@given(TITLES, HOSTS, st.integers(1, 65535))
def test_address_survives_writing_and_reading(title: str, host: str, port: int) -> None:
    address = RemoteAddress(title.strip(" "), host, port)
    assert RemoteAddress.parse(str(address)) == address


@pytest.mark.parametrize(
    "wrong", ["PACS", "PACS@host", "PACS@host:", "@host:104", "PACS@:104", "PACS@host:0", "PACS@host:65536", ""]
)
def test_wrong_address_is_refused_with_an_example_or_the_reason(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match=r"PACS@10\.0\.0\.5:104|between 1 and 65535"):
        RemoteAddress.parse(wrong)


@given(st.text(string.printable, max_size=30))
def test_address_is_parsed_or_refused(text: str) -> None:
    with suppress(ConfigurationError):
        assert str(RemoteAddress.parse(text))


@pytest.mark.parametrize(
    ("seen", "known", "cause"),
    [
        ("pacs", ["PACS"], "only the case differs"),
        ("PACS_1", ["PACS1"], "blanks, hyphens or underscores"),
        ("XYZ", ["PACS"], "wetread ae add 'XYZ@HOST:PORT' --may-send"),
        ("XYZ", [], "no AE title is known yet"),
    ],
)
def test_likely_cause(seen: str, known: list[str], cause: str) -> None:
    assert cause in likely_cause(seen, known)


@pytest.mark.parametrize("title", ["XYZ", "';reboot;'", "$(reboot)", "a b", '"', "`id`"])
def test_a_command_to_paste_runs_nothing_that_a_stranger_chose(title: str) -> None:
    command = likely_cause(title, ["PACS"]).partition("with: ")[2]
    assert shlex.split(command) == ["wetread", "ae", "add", f"{title}@HOST:PORT", "--may-send"]
    assert command.split(" ", 3)[3].startswith("'")  # a dollar or backtick is not looked at either
