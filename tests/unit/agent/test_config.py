"""Mistakes in the configuration are named where they were made, and no value is quoted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import BaseModel

from agent.config import read_config, unread_variables
from agent.environment import unknown, unparsable
from dicom_node.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("WETREAD_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "wetread.toml"
    path.write_text("[node]\nport = 104\n")
    return path


def mistake(file: Path) -> str:
    with pytest.raises(ConfigurationError) as raised:
        read_config(file)
    return str(raised.value)


@pytest.mark.parametrize("value", ["30,60", "[7, 8", "abc"])
def test_a_list_that_is_none_is_named_with_its_form(file: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("WETREAD_NODE__RETRY_SECONDS", value)

    told = mistake(file)

    assert told.startswith("environment (WETREAD_NODE__RETRY_SECONDS): this is a list, such as [30, 60, 120]")
    assert value not in told


def test_a_list_that_is_one_is_taken(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WETREAD_NODE__RETRY_SECONDS", "[1, 2]")

    assert read_config(file).node.retry_seconds == (1, 2)


def test_a_mistake_in_the_environment_is_not_blamed_on_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WETREAD_NODE__PORT", "many")
    file.write_text("[node]\nquiet_seconds = -1\n")

    told = mistake(file).splitlines()

    assert [line.split(": ")[:2] for line in told] == [
        ["environment (WETREAD_NODE__PORT)", "node.port"],
        [str(file), "node.quiet_seconds"],
    ]


def test_a_mistake_in_a_secret_names_its_file(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wetread_node__port").write_text("many")
    monkeypatch.setenv("WETREAD_SECRETS", str(tmp_path))

    assert mistake(file).startswith(f"{tmp_path / 'wetread_node__port'}: node.port: ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[node]\nprot = 21112", "node.prot: unknown key; did you mean port?"),
        ("[noed]\nport = 21112", "noed: unknown key; did you mean node?"),
        ('[node]\nport = "abc"', "node.port: must be a whole number, written without quotes, such as 104"),
        ("[node]\nport = 99999", "node.port: must be at most 65535"),
        ("[node]\nae_title = 5", "node.ae_title: must be a text in quotes"),
        ("node = 5", "node: must be a section with keys of its own"),
        ('[log]\nlevel = "loud"', "log.level: must be one of: "),
    ],
)
def test_a_mistake_is_told_in_words_with_what_to_write(file: Path, text: str, words: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        read_config(file)
    assert f"{file}: {words}" in str(refused.value)


def test_a_session_that_is_left_alone_lasts_half_an_hour_at_most(file: Path) -> None:
    file.write_text("[web]\nidle_minutes = 30\n")
    assert read_config(file).web.idle_minutes == 30

    file.write_text("[web]\nidle_minutes = 31\n")
    assert "web.idle_minutes" in mistake(file)


def test_variables_that_nobody_reads_are_told_with_the_right_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WETREAD_NODE_PORT", "104")
    monkeypatch.setenv("WETREAD_NOWHERE", "1")
    monkeypatch.setenv("WETREAD_NODE__PORT", "104")
    monkeypatch.setenv("WETREAD_CONFIG", "x")

    assert unread_variables() == [
        "WETREAD_NODE_PORT in the environment is read by nobody; did you mean WETREAD_NODE__PORT?",
        "WETREAD_NOWHERE in the environment is read by nobody; wetread config show lists the settings",
    ]


class _Section(BaseModel):
    secrets: dict[str, dict[str, str]] = {}


class _Model(BaseModel):
    section: _Section = _Section()


def test_keys_of_a_table_are_free() -> None:
    variables = {"WETREAD_SECTION__SECRETS__PACS__TOKEN": "x", "WETREAD_SECTION__SECRET__PACS": "x"}

    assert [sentence.split()[0] for sentence in unknown(_Model, variables)] == ["WETREAD_SECTION__SECRET__PACS"]
    assert unparsable(_Model, {"WETREAD_SECTION__SECRETS__PACS__TOKEN": "x"}) == []
    assert len(unparsable(_Model, {"WETREAD_SECTION__SECRETS": "x"})) == 1
