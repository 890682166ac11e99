"""The documents tell the truth of today: links, commands, settings and reason codes are held against the code."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path

import click
import pytest
from pydantic import BaseModel

from agent.cli import wetread
from agent.config import Config, read_config
from dicom_node.errors import StoreFailure
from dicom_node.tables import Base
from dicom_node.worklist import holds
from reports import source

ROOT = Path(__file__).parents[2]
ROOMS = ("agent", "reports", "dicom_node")
CONFIGURATION = ROOT / "deploy" / "wetread.toml"
MANUAL = ROOT / "deploy" / "docs" / "operate.md"
NOT_OURS = frozenset({"demo-output", "build", "dist"})


def documents() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.md") if is_ours(path.relative_to(ROOT).parts[:-1]))


def is_ours(folders: tuple[str, ...]) -> bool:
    return not any(folder in NOT_OURS or folder.startswith(".") for folder in folders)


def modules() -> list[Path]:
    return sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def where(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# --- links ------------------------------------------------------------------------------------------------------------


def test_every_relative_link_leads_somewhere() -> None:
    broken = [
        f"{where(document)}: {target}"
        for document in documents()
        for target in re.findall(r"\]\(([^)\s]+)\)", without_code(document.read_text(encoding="utf-8")))
        if not target.startswith(("http://", "https://", "mailto:")) and not leads_somewhere(document, target)
    ]

    assert broken == []


def test_every_decision_is_listed() -> None:
    index = (ROOT / "deploy" / "docs" / "README.md").read_text(encoding="utf-8")
    decisions = sorted((ROOT / "deploy" / "docs" / "decisions").glob("*.md"))

    assert [path.name[:4] for path in decisions] == [f"{number:04}" for number in range(1, len(decisions) + 1)]
    assert [path.name for path in decisions if f"decisions/{path.name}" not in index] == []


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def leads_somewhere(document: Path, target: str) -> bool:
    name, _, anchor = target.partition("#")
    path = (document.parent / name).resolve() if name else document
    if not path.exists():
        return False
    return not anchor or anchor in anchors(path)


def anchors(path: Path) -> set[str]:
    """What GitHub makes of headings."""
    headings = re.findall(r"^#+ +(.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# --- commands ---------------------------------------------------------------------------------------------------------


def test_every_command_in_a_document_exists() -> None:
    shown = [(document, line) for document in documents() for line in commands_in(document.read_text(encoding="utf-8"))]

    assert [f"{where(path)}: {line}: {mistake}" for path, line in shown if (mistake := mistake_in(line))] == []
    assert len(shown) > 40


def test_every_command_that_the_program_tells_people_exists() -> None:
    """Error messages, findings of `check` and the help itself name commands to type."""
    told = [(path, line) for path in modules() for text in strings(path) for line in commands_in_a_sentence(text)]

    assert [f"{where(path)}: {line}: {mistake}" for path, line in told if (mistake := mistake_in(line))] == []
    assert len(told) > 20


def test_every_command_is_explained_in_the_manual_or_readme() -> None:
    explained = MANUAL.read_text(encoding="utf-8") + (ROOT / "README.md").read_text(encoding="utf-8")

    assert [name for name in wetread.list_commands(click.Context(wetread)) if f"wetread {name}" not in explained] == [
        "demo"  # `sh deploy/demo` stands there
    ]


@pytest.mark.parametrize(
    "line", ["wetread fly", "wetread study vanish 4711", "wetread ae add X --no-such-option", "wetread check --bookz"]
)
def test_a_wrong_command_would_be_found(line: str) -> None:
    assert mistake_in(line)


def commands_in(text: str) -> Iterator[str]:
    """`wetread ...` in code, of one line or of many; prose may use the name freely."""
    code = re.findall(r"`([^`\n]+)`", text) + [
        line
        for block in re.findall(r"^```\w*\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
    ]
    for line in code:
        found = re.search(r"(?:^|sudo -u wetread )wetread( [^#|;)]*)?$", line.split("  ")[0].strip())
        if found and found[1] and not found[1].startswith(" ..."):
            yield f"wetread{found[1]}"


def commands_in_a_sentence(text: str) -> Iterator[str]:
    told = r"(?:^|[:;,(`/] ?|\bsee |\brun |\bthen |  )wetread (?!is\b|demonstration\b|chest findings\b)"  # prose
    for found in re.finditer(told + r"(?=[a-z])((?:[^`;,:()\n?{]|:(?=\S))+)", text):
        yield "wetread " + re.sub(r"[.'\"]+$", "", found[1].split(" and ")[0]).replace("'", "")


def strings(path: Path) -> Iterator[str]:
    """Every text in a module. What an f-string puts in is a letter."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.value


def mistake_in(line: str) -> str:
    """Why this command line cannot be typed; empty where it can. Arguments are not looked at, options are."""
    words = shlex.split(line)[1:]
    command: click.Command = wetread
    context = click.Context(wetread)
    while isinstance(command, click.Group):
        while words and words[0].startswith("-"):
            if words[0].partition("=")[0] not in options_of(command, context):
                return f"no option {words[0]}"
            words = words[2:] if words[0] == "--config" else words[1:]
        if not words:
            return ""
        found = command.get_command(context, words[0])
        if found is None:
            return f"no command {words[0]}"
        command, words = found, words[1:]
    unknown = {word.partition("=")[0] for word in words if word.startswith("--")} - options_of(command, context)
    return f"no option {', '.join(sorted(unknown))}" if unknown else ""


def options_of(command: click.Command, context: click.Context) -> set[str]:
    declared = {"--help", "-h"}
    for parameter in command.get_params(context):
        declared |= {*parameter.opts, *parameter.secondary_opts}
    return declared


# --- settings ---------------------------------------------------------------------------------------------------------


def settings() -> list[tuple[str, str, object]]:
    """Section, key and default of every setting."""
    found = []
    for section, field in Config.model_fields.items():
        assert isinstance(field.default, BaseModel)
        found += [(section, key, getattr(field.default, key)) for key in type(field.default).model_fields]
    return found


@pytest.fixture
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("WETREAD_"):
            monkeypatch.delenv(name)


@pytest.mark.usefixtures("_no_environment")
def test_the_configuration_file_holds_the_defaults() -> None:
    assert read_config(CONFIGURATION) == Config()


def test_the_configuration_file_has_every_setting_and_no_other() -> None:
    written = [(section, key) for section, key, _ in explanations()]

    assert written == [(section, key) for section, key, _ in settings()]


def test_only_settings_without_a_value_are_commented_out() -> None:
    """TOML has no null: such a key stands there as a comment, and everything else as what is in force."""
    content = tomllib.loads(CONFIGURATION.read_text(encoding="utf-8"))

    missing = {(section, key) for section, key, _ in settings() if key not in content[section]}

    assert missing == {(section, key) for section, key, default in settings() if default is None}


def test_every_setting_is_explained() -> None:
    silent = [f"{section}.{key}" for section, key, explanation in explanations() if len(explanation.split()) < 2]

    assert silent == []


def explanations() -> list[tuple[str, str, str]]:
    """Section, key and the comment right above it, in the order of the file."""
    found, section, comment = [], "", ""
    for line in CONFIGURATION.read_text(encoding="utf-8").splitlines():
        if heading := re.fullmatch(r"\[(\w+)\]", line):
            section = heading[1]
        elif key := re.fullmatch(r"(?:# )?([a-z_]+) = .+", line):
            found.append((section, key[1], comment.strip()))
        comment = f"{comment} {line[1:].strip()}" if line.startswith("#") else ""
    return found


def test_settings_named_in_documents_and_messages_exist() -> None:
    known = {f"{section}.{key}" for section, key, _ in settings()}
    sections = "|".join(Config.model_fields)
    pattern = re.compile(rf"(?<![\w./-])(?:{sections})\.[a-z]+_?[a-z_]+(?![\w./(-])")
    texts = [(path, text) for path in documents() for text in re.findall(r"`([^`\n]+)`", path.read_text("utf-8"))]
    texts += [(path, text) for path in modules() for text in strings(path)]

    named = {(where(path), name) for path, text in texts for name in pattern.findall(text)}
    code = {f"{path.parent.name}.{path.stem}" for path in modules()}  # such as reports.check
    code |= {f"{path.parent.parent.name}.{path.parent.name}" for path in modules()}  # such as reports.web

    code |= {f"{table.name}.{column.name}" for table in Base.metadata.tables.values() for column in table.columns}

    assert sorted(f"{place}: {name}" for place, name in named if name not in known | code) == []
    assert len({name for _, name in named} & known) > 10


# --- codes ------------------------------------------------------------------------------------------------------------

RAISES_CODES = frozenset({"UndecodableImage", "UnreadableText", "TextRefused", "SourceUnusable"})
CODE_AT = {"_exclude": 0, "_confirm": 0, "_refuse": 1, "Ending": 1, "Refusal": 3} | dict.fromkeys(RAISES_CODES, 0)


def test_every_reason_code_is_explained_in_the_manual() -> None:
    assert sorted(codes_in_the_code() - codes_in_the_manual()) == []


def test_the_manual_explains_no_code_that_is_gone() -> None:
    assert sorted(codes_in_the_manual() - codes_in_the_code()) == []


def test_manual_says_of_a_hold_what_the_command_and_the_page_say() -> None:
    manual = MANUAL.read_text(encoding="utf-8")

    assert {code: words for code, words in holds.HOLDS.items() if f"| `{code}` | {words}" not in manual} == {}


def test_codes_are_found_where_they_are_given() -> None:
    some = {"child", "blank-image", "decoder-crashed", "bad-patient-id", "patients-differ", "worker-lost", "disk-full"}

    assert some <= codes_in_the_code()


def codes_in_the_manual() -> set[str]:
    """Codes in the first column of the tables of section 5, and in the second of the rejections."""
    text = MANUAL.read_text(encoding="utf-8")
    section = text[text.index("\n## 5.") : text.index("\n## 7.")]
    rows = re.findall(r"^\| (?!code|C-STORE|association)(.+?) \| (.+?) \|", section, flags=re.MULTILINE)
    return {code for row in rows for cell in row[:1] for code in re.findall(r"`([a-z-]+)`", cell)} | {
        code for first, second in rows if "`" not in first for code in re.findall(r"`([a-z]+(?:-[a-z]+)+)`", second)
    }


def codes_in_the_code() -> set[str]:
    found = set(holds.HOLDS)
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found |= set(codes_given(node))
    found |= {f"no-{source._words(keyword)}" for keyword in source.UIDS}
    found |= {f"bad-{source._words(keyword)}" for keyword in source.KEYS}
    return {code for code in found if re.fullmatch(r"[a-z]+(?:-[a-z0-9]+)*", code)}  # a sentence is no code


def codes_given(node: ast.AST) -> Iterator[str]:
    """Codes that a syntax node gives to an error, a verdict, an ending, a reason or a loop over such."""
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        place = CODE_AT.get(name)
        if place is not None and place < len(node.args):
            yield from constant(node.args[place])
        for keyword in node.keywords:
            if keyword.arg in {"reason", "code"}:
                yield from constant(keyword.value)
    if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "reason" for t in node.targets):
        yield from constant(node.value)
    if isinstance(node, ast.Tuple) and len(node.elts) == 2:
        yield from (code for code in constant(node.elts[1]) if code.endswith("-differ"))


def constant(node: ast.expr) -> Iterator[str]:
    """A text that stands there, under a name of a module, or as one of two."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Name):
        yield from named_texts().get(node.id, ())
    elif isinstance(node, ast.IfExp):
        yield from constant(node.body)
        yield from constant(node.orelse)


@cache
def named_texts() -> Mapping[str, tuple[str, ...]]:
    """Texts that modules give an upper-case name."""
    found: dict[str, tuple[str, ...]] = {}
    for path in modules():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(node.value, ast.Constant):
                continue
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name) and target.id.isupper() and isinstance(node.value.value, str):
                    found[target.id] = (*found.get(target.id, ()), node.value.value)
    return found


def test_every_status_that_we_answer_is_in_the_manual() -> None:
    answered = {0x0000, StoreFailure.status, *(kind.status for kind in StoreFailure.__subclasses__())}
    table = re.findall(r"^\| `0x([0-9A-F]{4})`", MANUAL.read_text(encoding="utf-8"), flags=re.MULTILINE)

    assert {int(status, 16) for status in table} == answered


def test_the_two_commands_of_the_readme_are_there() -> None:
    named = re.findall(r"^sh (deploy/\w+)", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)

    assert named == ["deploy/demo", "deploy/test"]
    assert all((ROOT / name).is_file() for name in named)


def test_each_variable_of_the_installing_scripts_is_in_the_manual() -> None:
    head = (ROOT / "deploy" / "environment.sh").read_text(encoding="utf-8").partition("\n\n")[0]
    names = re.findall(r"^#   ([A-Z_]+)(?:=1)? {2,}", head, flags=re.MULTILINE)
    manual = MANUAL.read_text(encoding="utf-8")

    assert "WETREAD_TORCH_INDEX" in names
    assert [name for name in names if not re.search(rf"`{name}\b", manual)] == []


def test_the_example_for_one_file_of_tests_selects_some() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"`sh deploy/test (\S+ -k \w+)`", guide)
    collect = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--collect-only", *shlex.split(example)]

    found = subprocess.run(collect, cwd=ROOT, capture_output=True, text=True, check=False)

    assert found.returncode == 0, found.stdout + found.stderr


def test_readme_and_guides_stay_short() -> None:
    """One screen, and two pages each: whoever adds a line takes one away."""
    budgets = {"README.md": 75, "ARCHITECTURE.md": 130, "CONTRIBUTING.md": 130}

    lines = {name: len((ROOT / name).read_text(encoding="utf-8").splitlines()) for name in budgets}

    assert {name: count for name, count in lines.items() if count > budgets[name]} == {}


def test_headings_do_not_skip_a_level() -> None:
    skipped = []
    for document in documents():
        levels = [len(mark) for mark in re.findall(r"^(#+) ", without_code(document.read_text("utf-8")), re.MULTILINE)]
        skipped += [where(document) for above, below in pairwise(levels) if below > above + 1]

    assert skipped == []


# --- architecture -----------------------------------------------------------------------------------------------------


def test_the_straight_line_names_functions_that_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    block = text[text.index("## One study") : text.index("## Processes")]

    named = set(re.findall(r"(?<![\w.])([A-Za-z]\w*(?:\.\w+)*)\.(\w+)", block))
    known = defined()

    assert len(named) > 25
    assert sorted(f"{owner}.{name}" for owner, name in named if (owner.split(".")[-1], name) not in known) == []


def test_places_to_change_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    places = re.findall(r"`((?:agent|dicom_node|reports|deploy|tests)/[\w./]*)`", text)

    assert len(places) > 20
    assert [place for place in places if not (ROOT / place).exists()] == []


def defined() -> set[tuple[str, str]]:
    """(module, package or class; function, method or class in it) of the whole program. `reader` is any reader."""
    found = {("reader", "report")}
    for path in modules():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            owners = [node.name] if isinstance(node, ast.ClassDef) else [path.stem, path.parent.name]
            inside = node.body if isinstance(node, ast.ClassDef | ast.Module) else []
            names = [part.name for part in inside if isinstance(part, ast.FunctionDef | ast.ClassDef)]
            found |= {(owner, name) for owner in owners for name in names}
    return found


# --- systemd ----------------------------------------------------------------------------------------------------------


def test_each_process_has_a_unit_that_starts_it() -> None:
    for name in ("listen", "dispatch", "work", "send", "web"):
        unit = (ROOT / "deploy" / "systemd" / f"wetread-{name}.service").read_text(encoding="utf-8")

        start = re.search(r"^ExecStart=/opt/wetread/bin/(.+)$", unit, flags=re.MULTILINE)

        assert start is not None
        assert mistake_in(start[1]) == ""
        assert start[1].split()[-1] == name
        assert "\nRequires=" not in unit
        assert ("KillMode=mixed" in unit) == (name == "work")
