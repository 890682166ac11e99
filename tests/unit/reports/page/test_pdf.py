"""The PDF of a report: what stands on its pages, read back by another program, in the scripts of the world."""

from __future__ import annotations

import re
import subprocess
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from reports.objects.content import read_content
from reports.page.fonts import FontMissing, Fonts, find_fonts
from reports.page.pdf import MOST_PAGES, Paper, TooManyPages, as_pdf
from reports.page.picture import as_pictures, texts
from reports.page.sheet import NO_DRAFT, compose, person
from reports.provenance import NOTICE
from reports.text import MAXIMUM_BYTES, DraftText
from tests.unit.reports.films import CHARSETS, MOMENT, draft, film, in_charset, ordered_cr
from tests.unit.reports.page.narratives import (
    ADDENDUM,
    FINDINGS,
    FIRST,
    SECOND,
    added,
    every_stage,
    fonts,
    long_draft,
    notice,
    signed,
)

STAGES = every_stage()


def pdf_of(master: Dataset, paper: Paper = Paper.A4) -> bytes:
    return as_pdf(compose(master), fonts=fonts(), paper=paper, created=MOMENT)


def read(pdf: bytes, folder: Path) -> list[str]:
    """Text of each page as poppler reads it, one blank between words, in the order of writing."""
    (folder / "report.pdf").write_bytes(pdf)
    done = subprocess.run(
        ["/usr/bin/pdftotext", "-enc", "UTF-8", str(folder / "report.pdf"), "-"], capture_output=True, check=True
    )
    return [plain(page) for page in done.stdout.decode().split("\f")[:-1]]


def plain(text: str) -> str:
    """One blank between words, without the marks of direction that poppler adds, letters in their usual form."""
    kept = "".join(character for character in text if unicodedata.category(character) != "Cf")
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", kept)).strip()


def squeezed(text: str) -> str:
    return plain(text).replace(" ", "")


@pytest.mark.parametrize("stage", STAGES)
def test_pages_hold_every_word_of_the_narrative_in_its_order(stage: str, tmp_path: Path) -> None:
    content = read_content(STAGES[stage])
    (page,) = read(pdf_of(STAGES[stage]), tmp_path)

    words = [content.warning, content.title, content.findings, content.impression, *content.addenda]
    places = [page.find(plain(part)) for part in words if part]
    assert -1 not in places
    assert places == sorted(places)


def test_both_papers_hold_the_same_words(tmp_path: Path) -> None:
    assert read(pdf_of(draft()), tmp_path) == read(pdf_of(draft(), Paper.LETTER), tmp_path)
    assert as_pictures(pdf_of(draft()))[0].shape == (1754, 1240)
    assert as_pictures(pdf_of(draft(), Paper.LETTER))[0].shape == (1650, 1275)


def test_banner_key_and_number_stand_on_every_page_of_a_draft(tmp_path: Path) -> None:
    pages = read(pdf_of(long_draft()), tmp_path)

    assert len(pages) == 3
    for number, page in enumerate(pages, 1):
        assert page.index(NOTICE) < 60
        assert "EX-0001" in page
        assert "ACC0001" in page
        assert f"Page {number} of 3" in page
        assert page.count(NOTICE) == 2  # banner and foot


def test_verified_report_has_no_banner_and_says_who_verified_it(tmp_path: Path) -> None:
    (page,) = read(pdf_of(signed(FIRST, SECOND)), tmp_path)

    assert NOTICE not in page
    assert "VERIFIED REPORT - COSIGNED" in page
    assert "Reader Rita Example Hospital 2025-03-01 23:35:05 +0000" in page
    assert "Chief Carl Example Hospital 2025-03-01 23:39:05 +0000" in page


def test_addendum_stands_below_what_was_signed(tmp_path: Path) -> None:
    (page,) = read(pdf_of(added()), tmp_path)

    assert page.index(plain(FINDINGS)) < page.index("Addendum 1") < page.index(ADDENDUM)


def test_notice_says_that_there_is_no_draft_and_shows_no_findings(tmp_path: Path) -> None:
    (page,) = read(pdf_of(notice()), tmp_path)

    assert page.startswith(f"{NO_DRAFT} No AI draft: The film is a lateral.")
    assert "Findings" not in page


def test_page_names_order_images_reader_and_narrative(tmp_path: Path) -> None:
    master = draft(ordered_cr())
    (page,) = read(pdf_of(master), tmp_path)

    assert "HOSPITAL" in page
    assert "2025-03-01 10:15:00 +0900" in page
    assert f"Document {master.SOPInstanceUID}" in page
    assert read_content(master).films[0][1] in page
    assert page.count("Drafted by CXR-LLaVA demo 1.0 (fp32, greedy, digest 0123456789ab)") == 1


@pytest.mark.parametrize("charset", CHARSETS)
def test_name_in_every_character_set_is_found_in_the_text(charset: str, tmp_path: Path) -> None:
    (page,) = read(pdf_of(draft(in_charset(charset))), tmp_path)

    assert squeezed(person(CHARSETS[charset][1])) in page.replace(" ", "")


def test_two_directions_in_one_report_keep_their_words(tmp_path: Path) -> None:
    arabic = "صورة الصدر سليمة"
    (page,) = read(pdf_of(draft(text=DraftText(f"The lungs are clear.\n{arabic}\n两肺野清晰", "दिल सामान्य"))), tmp_path)

    assert plain(arabic) in page
    assert "两肺野清晰" in page.replace(" ", "")


def test_number_behind_a_word_from_right_to_left_stays_with_its_unit(tmp_path: Path) -> None:
    (tmp_path / "report.pdf").write_bytes(
        pdf_of(draft(text=DraftText("Word \u05e9\u05dc\u05d5\u05dd 4321 mm.", "None.")))
    )
    command = ["/usr/bin/pdftotext", "-bbox", str(tmp_path / "report.pdf"), "-"]
    boxes = subprocess.run(command, capture_output=True, check=True).stdout.decode()

    found = re.findall(r'xMin="([\d.]+)".*xMax="([\d.]+)".*>(Word|[^<]*\u05e9[^<]*|4321|mm\.)<', boxes)
    places = [(float(left), float(right), plain(word)) for left, right, word in found]
    assert [word for *_, word in sorted(places)] == ["Word", "\u05dd\u05d5\u05dc\u05e9", "4321", "mm."]  # as seen


def test_groups_of_a_name_keep_their_order_whatever_their_direction() -> None:
    name = "Ahmad^Example=\u0623\u062d\u0645\u062f=\u0645\u062b\u0627\u0644"
    sheet = compose(draft(film(PatientName=name, SpecificCharacterSet="ISO_IR 192")))

    assert sheet.key[0].value == "Ahmad Example = \u0623\u062d\u0645\u062f\u200e = \u0645\u062b\u0627\u0644"


def test_same_narrative_gives_the_same_bytes() -> None:
    master = draft(in_charset("korean"))

    assert pdf_of(master) == pdf_of(master)


def test_pdf_stays_small_with_a_font_of_twenty_megabytes() -> None:
    assert len(pdf_of(draft())) < 40_000
    assert len(pdf_of(draft(in_charset("korean")))) < 60_000


def test_words_that_stand_for_the_number_of_pages_stay_words(tmp_path: Path) -> None:
    (page,) = read(pdf_of(draft(text=DraftText("The word {nb} stays.", "None."))), tmp_path)

    assert "The word {nb} stays." in page


def test_markup_and_endless_words_are_only_words(tmp_path: Path) -> None:
    hostile = "**bold** [link](http://example.org) (x) Tj \\n " + "W" * 300
    (page,) = read(pdf_of(draft(text=DraftText(hostile, "None."))), tmp_path)

    assert squeezed(hostile) in page.replace(" ", "")


def test_characters_that_turn_the_direction_are_not_on_the_page() -> None:
    sheet = compose(draft(film(PatientName="Example\u202e^Film\u2066", SpecificCharacterSet="ISO_IR 192")))

    assert sheet.key[0].value == "Example Film"


def test_missing_font_is_an_error_that_names_script_and_package() -> None:
    latin = Fonts({name: path for name, path in fonts().files.items() if name in {"NotoSans-Regular", "NotoSans-Bold"}})

    with pytest.raises(FontMissing, match=r"NotoSansCJK-Regular.*fonts-noto-cjk"):
        as_pdf(compose(draft(in_charset("korean-without-escapes"))), fonts=latin, created=MOMENT)
    with pytest.raises(FontMissing, match=r"NotoSansArabic-Regular.*fonts-noto-core"):
        as_pdf(compose(draft(in_charset("arabic"))), fonts=latin, created=MOMENT)


@pytest.mark.parametrize(("text", "script"), [("\U00013000", "symbols"), ("\U000e0001\U0001fbfa", "symbols")])
def test_character_that_no_font_shows_is_an_error_without_the_character(text: str, script: str) -> None:
    with pytest.raises(FontMissing) as refused:
        fonts().needed(f"Words {text}")
    assert script in str(refused.value)
    assert text not in str(refused.value)


def test_machine_without_fonts_is_told_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(FontMissing, match="fonts-noto-core"):
        find_fonts([tmp_path]).needed("A")


def test_country_of_a_chinese_character_is_that_of_the_script_beside_it() -> None:
    faces = {text: fonts().needed(text)[-1].number for text in ("小東 홍", "山田 やまだ", "张小东")}

    assert list(faces.values()) == [1, 0, 2]


def test_longest_text_that_a_reader_may_write_fits() -> None:
    words = DraftText("The heart is not enlarged and the lungs are clear. " * (MAXIMUM_BYTES // 52), "None.")

    pages = texts(pdf_of(draft(text=words)))
    assert 15 < len(pages) < MOST_PAGES
    assert [f"Page {number} of {len(pages)}" in page for number, page in enumerate(pages, 1)] == [True] * len(pages)


@pytest.mark.filterwarnings("ignore:The value length")
@pytest.mark.parametrize("hostile", [{"text": DraftText("a\n" * 20_000, "None.")}, {"name": "W" * 12_000}])
def test_text_or_name_without_end_is_refused(hostile: dict[str, Any]) -> None:
    name = hostile.pop("name", "Example^Film")

    with pytest.raises(TooManyPages):
        pdf_of(draft(film(PatientName=name), **hostile))


def test_pages_are_read_by_many_threads_at_once() -> None:
    pdf = pdf_of(draft())
    expected = texts(pdf)

    with ThreadPoolExecutor(8) as threads:
        assert all(found == expected for found in threads.map(texts, [pdf] * 400))


def test_text_is_read_from_pictures_of_nothing_else() -> None:
    with pytest.raises(ValueError, match="no PDF"):
        texts(b"no pdf")
