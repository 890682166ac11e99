"""What the system refuses is said in one sentence with the command to type, never as a traceback."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from agent import edge, schema
from agent.config import Config
from dicom_node.config import NodeConfig
from dicom_node.database import Database, clock
from dicom_node.errors import DatabaseNotReady
from tests.harness import command
from tests.harness.installation import install

USAGE = 2
TORCH = RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 40128 vs 40016")


def wetread(folder: Path, *words: str, prefix: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    config = folder / "wetread.toml"
    config.write_text(f'[node]\ndata_folder = "{folder / "data"}"\n[web]\nport = 8099\n')
    if not prefix:
        return command.run("--config", str(config), *words)
    whole = [*prefix, sys.executable, "-m", "agent", "--config", str(config), *words]
    return subprocess.run(whole, capture_output=True, text=True, check=False, timeout=60)


def configured(folder: Path) -> Config:
    return Config(node=NodeConfig(data_folder=folder / "data"))


def installed(folder: Path) -> Config:
    config = configured(folder)
    database = Database(config.node.database_url)
    install(database)
    database.close()
    return config


@pytest.fixture
def strange(tmp_path: Path) -> Iterator[tuple[Path, Sequence[str]]]:
    """A data folder that may not be entered, also not by root; and what stands before the command for that."""
    installed(tmp_path)
    data = tmp_path / "data"
    data.chmod(0o700)
    if os.getuid() == 0:
        shutil.chown(data, "nobody")
        yield tmp_path, ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
        return
    data.chmod(0)
    yield tmp_path, ()
    data.chmod(0o700)


@pytest.mark.parametrize("words", ["study list", "db upgrade", "listen", "queue", "db backup /nowhere/x.tar"])
def test_the_wrong_user_is_told_whose_folder_it_is(strange: tuple[Path, Sequence[str]], words: str) -> None:
    folder, prefix = strange

    told = wetread(folder, *words.split(), prefix=prefix)

    assert told.returncode == USAGE, told.stderr
    assert f"the folder {folder / 'data'}" in told.stderr
    assert told.stderr.startswith("wetread: you are ")
    assert "Traceback" not in told.stderr


def test_check_says_it_too(strange: tuple[Path, Sequence[str]]) -> None:
    folder, prefix = strange

    told = wetread(folder, "check", prefix=prefix)

    assert told.returncode != 0
    assert f"the folder {folder / 'data'}" in told.stdout + told.stderr
    assert "Traceback" not in told.stderr


def test_another_owner_is_named_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "owner", lambda _path: "wetread")

    sentence = edge.explain(PermissionError(errno.EACCES, "no", str(tmp_path / "wetread.db")), None)

    assert sentence is not None
    assert sentence.endswith(f"the folder {tmp_path} belongs to wetread; run: sudo -u wetread wetread ...")


def test_an_owner_without_a_name_is_given_by_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless(_path: Path) -> str:
        raise KeyError(4711)

    monkeypatch.setattr(Path, "owner", nameless)

    sentence = edge.explain(PermissionError(errno.EACCES, "no", str(tmp_path)), None)

    assert sentence is not None
    assert sentence.endswith(f"belongs to #{os.getuid()}; run: sudo -u '#{os.getuid()}' wetread ...")


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "is full"), (errno.EDQUOT, "is full"), (errno.EROFS, "read-only")]
)
def test_full_and_read_only_disks_are_named(number: int, words: str, tmp_path: Path) -> None:
    sentence = edge.explain(OSError(number, os.strerror(number)), configured(tmp_path))

    assert sentence is not None
    assert words in sentence
    assert str(tmp_path / "data") in sentence


def test_a_database_that_may_not_grow_is_a_full_disk(tmp_path: Path) -> None:
    config = installed(tmp_path)
    with sqlite3.connect(tmp_path / "data" / "wetread.db") as raw:
        raw.execute("PRAGMA max_page_count = 1")
        with pytest.raises(sqlite3.OperationalError) as raised:
            raw.execute("CREATE TABLE t AS SELECT zeroblob(9000000)")
    raw.close()

    assert edge.explain(raised.value, config) == f"the disk of {tmp_path / 'data'} is full; free some space"


def test_a_damaged_file_is_said_to_be_no_database(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "wetread.db").write_bytes(b"no database" * 1000)

    told = wetread(tmp_path, "study", "list")

    assert (told.returncode, "is no database" in told.stderr) == (USAGE, True)
    assert "wetread db restore" in told.stderr


def test_other_errors_keep_their_place_in_the_code() -> None:
    assert edge.explain(OSError(errno.ENOTCONN, "x"), None) is None
    assert edge.explain(ValueError("x"), None) is None


# --- a database that is gone ------------------------------------------------------------------------------------------


def test_a_folder_that_is_gone_is_told_apart_from_an_empty_database(tmp_path: Path) -> None:
    gone = wetread(tmp_path, "study", "list")
    (tmp_path / "data").mkdir()
    without = wetread(tmp_path, "study", "list")
    (tmp_path / "data" / "wetread.db").touch()
    empty = wetread(tmp_path, "study", "list")

    assert [told.returncode for told in (gone, without, empty)] == [USAGE] * 3
    assert f"the folder {tmp_path / 'data'} does not exist." in gone.stderr
    assert f"{tmp_path / 'data' / 'wetread.db'} does not exist." in without.stderr
    assert "is empty: it has no tables." in empty.stderr
    for told in (gone, without, empty):
        for way in ("is its disk mounted", "wetread db restore", "Only for a new installation", "wetread db upgrade"):
            assert way in told.stderr


def test_looking_makes_no_database(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()

    wetread(tmp_path, "check")
    database = Database(configured(tmp_path).node.database_url)
    with pytest.raises(Exception, match="unable to open"), database.write() as tx:
        clock(tx)
    database.close()

    assert list((tmp_path / "data").iterdir()) == []


def test_no_new_database_is_made_beside_objects_that_had_one(tmp_path: Path) -> None:
    config = installed(tmp_path)
    stored = config.node.store_folder / "ab" / f"{'ab' * 32}.dcm"
    stored.parent.mkdir(parents=True)
    stored.touch()
    (tmp_path / "data" / "wetread.db").unlink()

    told = wetread(tmp_path, "db", "upgrade")

    assert (told.returncode, "holds objects, so there was one" in told.stderr) == (USAGE, True)
    assert not (tmp_path / "data" / "wetread.db").exists()
    shutil.rmtree(config.node.store_folder)
    assert wetread(tmp_path, "db", "upgrade").returncode == 0


def test_an_upgrade_of_what_exists_never_makes_one(tmp_path: Path) -> None:
    database = Database(configured(tmp_path).node.database_url)

    with pytest.raises(DatabaseNotReady, match="does not exist"):
        schema.upgrade_existing(database)
    assert not (tmp_path / "data").exists()
    schema.upgrade(database)
    schema.upgrade_existing(database)
    assert schema.current(database) == schema.VERSION
    database.close()


@pytest.mark.parametrize("words", [("apply",), ("rule", "apply"), ("rule", "test", "--rules")])
def test_what_a_person_wrote_in_another_encoding_is_told_by_line(tmp_path: Path, words: tuple[str, ...]) -> None:
    installed(tmp_path)
    written = tmp_path / "site.toml"
    written.write_bytes("# peers\n# Röntgen\n".encode("latin-1"))
    rest = ("--since", "1h") if words[-1] == "--rules" else ()
    refused = wetread(tmp_path, *words, str(written), *rest)
    assert (refused.returncode, refused.stdout) == (USAGE, "")
    assert f"{written}, line 2: not in UTF-8; save the file as UTF-8" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    installed(tmp_path)
    written = tmp_path / "site.toml"
    written.write_bytes(b'\xef\xbb\xbf[[rules]]\nname = "a"\n')
    for words in (("apply", "--dry-run"), ("rule", "apply", "--dry-run")):
        done = wetread(tmp_path, *words, str(written))
        assert (done.returncode, done.stderr) == (0, "")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    installed(tmp_path)
    refused = wetread(tmp_path, "sheet", "--output", str(tmp_path / "nowhere" / "sheet.pdf"))
    assert refused.returncode == USAGE
    assert f"there is no folder {tmp_path / 'nowhere'}; make it, or name another" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        TORCH,
        ValueError("Error while serializing: I/O error: No space left on device (os error 28)"),  # safetensors'
    ],
)
def test_a_disk_that_gets_full_is_named_whoever_writes(
    tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write without a name was told of the data folder, where nothing was written."""
    monkeypatch.setattr(edge, "LITTLE", 1 << 62)
    with pytest.raises(edge.Refused) as refused, edge.writing(tmp_path, "and try again"):
        raise error
    assert str(refused.value) == f"the disk of {tmp_path} is full; free some space, and try again"


@pytest.mark.parametrize("error", [RuntimeError("CUDA out of memory"), TORCH], ids=["memory", "damaged archive"])
def test_other_errors_of_a_writer_stay_what_they_are(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(RuntimeError) as raised, edge.writing(tmp_path, "and try again"):
        raise error
    assert raised.value is error
