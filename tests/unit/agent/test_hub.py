"""Fetching the model from a hub, over real sockets, by the command itself in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.readers.weights import origin
from tests.harness.hub import REPOSITORY, REVISION, Repository, hub, published

CHECKPOINT = Path(__file__).parents[2] / "reference" / "cxr_llava" / "ckpt"
SHARD = "model-00001-of-00002.safetensors"
SMALL = (55, 775_808)  # tensors and bytes of CHECKPOINT, which stands for the published model here
OTHER_SHARD = "model-00002-of-00002.safetensors"

# Writes down every address that the process looks up or connects to.
PROGRAM = """
import json, sys
seen = []
def watch(event, args):
    if event == "socket.connect":
        seen.append(str(args[1][0] if isinstance(args[1], tuple) else args[1]))
    elif event == "socket.getaddrinfo":
        seen.append(str(args[0]))
sys.addaudithook(watch)
from agent.cli import Surroundings, main
try:
    main(Surroundings(None, {published!r}))
finally:
    with open({log!r}, "w") as log:
        json.dump(sorted(set(seen)), log)
"""


@pytest.fixture
def repository() -> Repository:
    return Repository(published(CHECKPOINT))


def pull(
    endpoint: str,
    target: Path,
    *options: str,
    environment: dict[str, str] | None = None,
    published: tuple[int, int] | None = SMALL,
) -> subprocess.CompletedProcess[str]:
    """Run `wetread model pull`; what it contacted is in `contacted.json` beside the target."""
    log = target.parent / "contacted.json"
    clean = {key: value for key, value in os.environ.items() if not key.upper().endswith("_PROXY")}
    clean |= {"HF_HOME": str(target.parent / "hf"), "WETREAD_NODE__DATA_FOLDER": str(target.parent / "var")}
    arguments = ["model", "pull", "--endpoint", endpoint, "--to", str(target), "--accept-licence", *options]
    program = PROGRAM.replace("{log!r}", repr(str(log))).replace("{published!r}", repr(published))
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=clean | (environment or {}),
        stdin=subprocess.DEVNULL,
    )


def test_the_files_are_there_and_proved_and_nothing_else_is(repository: Repository, tmp_path: Path) -> None:
    target = tmp_path / "model"
    with hub(repository) as endpoint:
        done = pull(endpoint, target, "--json")
    assert done.returncode == 0, done.stderr
    names = {path.name for path in CHECKPOINT.iterdir()}
    assert {path.name for path in target.iterdir()} == names | {origin.ORIGIN}
    assert all((target / name).read_bytes() == (CHECKPOINT / name).read_bytes() for name in names)
    said = json.loads(done.stdout)
    assert (said["revision"], set(said["files"])) == (REVISION, names)
    made = origin.read(target)
    assert made is not None
    assert (made.repository, made.revision) == (REPOSITORY, REVISION)
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name or "lock" in path.name] == []


def test_programs_and_pickles_are_never_asked_for(repository: Repository, tmp_path: Path) -> None:
    with hub(repository) as endpoint:
        done = pull(endpoint, tmp_path / "model")
    assert done.returncode == 0, done.stderr
    assert repository.fetched() == {path.name for path in CHECKPOINT.iterdir()}
    assert not any(path.endswith((".py", ".bin", ".md")) for _, path, _ in repository.requests)
    assert "CXR_LLAVA_HF.py" in done.stderr


def test_only_the_endpoint_is_contacted(repository: Repository, tmp_path: Path) -> None:
    with hub(repository) as endpoint:
        done = pull(endpoint, tmp_path / "model")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "contacted.json").read_text()) == ["127.0.0.1"]
    asked = {path for _, path, _ in repository.requests}
    assert all(path.startswith((f"/api/models/{REPOSITORY}/", f"/{REPOSITORY}/resolve/", "/cdn/")) for path in asked)


def test_a_proxy_of_the_environment_is_used(repository: Repository, tmp_path: Path) -> None:
    with hub(repository) as proxy:
        done = pull("http://hub.invalid", tmp_path / "model", environment={"HTTP_PROXY": proxy})
    assert json.loads((tmp_path / "contacted.json").read_text()) == ["127.0.0.1"]
    assert done.returncode == 0, done.stderr


def test_a_broken_connection_is_taken_up_where_it_broke(repository: Repository, tmp_path: Path) -> None:
    target = tmp_path / "model"
    size = len(repository.files[SHARD])
    repository.cut = {SHARD: 200_000}
    with hub(repository) as endpoint:
        done = pull(endpoint, target)
    assert done.returncode == 0, done.stderr
    assert size == 571_536
    assert repository.ranges(SHARD)[1::2] == ["", "bytes=200000-", "bytes=400000-"]  # each after its redirection
    assert (target / SHARD).read_bytes() == repository.files[SHARD]


def test_another_run_goes_on_where_the_last_one_was_killed(repository: Repository, tmp_path: Path) -> None:
    stage = tmp_path / "model.partial"
    stage.mkdir()
    (stage / f"{SHARD}.part").write_bytes(repository.files[SHARD][:300_000])
    (stage / "config.json").write_bytes(repository.files["config.json"])
    with hub(repository) as endpoint:
        done = pull(endpoint, tmp_path / "model")
    assert done.returncode == 0, done.stderr
    assert repository.ranges(SHARD) == ["bytes=300000-", "bytes=300000-"]
    assert "config.json" not in repository.fetched()
    assert (tmp_path / "model" / SHARD).read_bytes() == repository.files[SHARD]
    assert not stage.exists()


def test_a_damaged_beginning_of_an_older_attempt_is_thrown_away(repository: Repository, tmp_path: Path) -> None:
    stage = tmp_path / "model.partial"
    stage.mkdir()
    (stage / f"{SHARD}.part").write_bytes(b"x" * 300_000)
    with hub(repository) as endpoint:
        done = pull(endpoint, tmp_path / "model")
    assert done.returncode == 0, done.stderr
    assert repository.ranges(SHARD) == ["bytes=300000-", "bytes=300000-", "", ""]
    assert (tmp_path / "model" / SHARD).read_bytes() == repository.files[SHARD]


@pytest.mark.parametrize("name", [SHARD, "config.json"])
def test_other_bytes_than_stated_never_become_a_model(repository: Repository, tmp_path: Path, name: str) -> None:
    content = repository.files[name]
    repository.served = {name: content[:-1] + bytes([content[-1] ^ 1])}
    with hub(repository) as endpoint:
        done = pull(endpoint, tmp_path / "model")
    assert done.returncode == 2
    assert f"{name} is not the file that it should be, also when fetched twice" in done.stderr
    assert "Try --endpoint" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "model").exists()
    assert not (tmp_path / "model.partial" / name).exists()


def test_a_missing_shard_is_named_and_what_came_is_kept(repository: Repository, tmp_path: Path) -> None:
    target = tmp_path / "model"
    repository.missing = {OTHER_SHARD}
    with hub(repository) as endpoint:
        failed = pull(endpoint, target)
        assert failed.returncode == 2
        assert f"does not give {OTHER_SHARD} (status 404)" in failed.stderr
        assert "run the same command again" in failed.stderr
        assert "Traceback" not in failed.stderr
        assert not target.exists()
        repository.missing = set()
        repository.requests.clear()
        assert pull(endpoint, target).returncode == 0
    assert SHARD not in repository.fetched()


def test_what_is_missing_or_changed_is_mended_and_only_that_is_fetched(repository: Repository, tmp_path: Path) -> None:
    target = tmp_path / "model"
    with hub(repository) as endpoint:
        assert pull(endpoint, target).returncode == 0
        (target / "tokenizer.model").unlink()
        changed = bytearray((target / SHARD).read_bytes())
        changed[-1] ^= 1
        (target / SHARD).write_bytes(changed)
        repository.requests.clear()
        assert pull(endpoint, target).returncode == 0
    assert repository.fetched() == {"tokenizer.model", SHARD}
    assert (target / SHARD).read_bytes() == repository.files[SHARD]


def test_a_small_model_under_the_published_name_is_refused(repository: Repository, tmp_path: Path) -> None:
    with hub(repository) as endpoint:
        done = pull(endpoint, tmp_path / "model", published=None)
    assert done.returncode == 2
    assert "has 589 tensors of 14092742656 bytes, and config.json makes 55 of 775808" in done.stderr
    assert not (tmp_path / "model").exists()


def test_a_mirror_with_another_revision_is_refused(repository: Repository, tmp_path: Path) -> None:
    repository.sha = "0" * 40
    with hub(repository) as endpoint:
        done = pull(endpoint, tmp_path / "model")
    assert done.returncode == 2
    assert "no faithful mirror" in done.stderr
    assert repository.fetched() == set()


def test_a_mirror_without_digests_is_refused(repository: Repository, tmp_path: Path) -> None:
    repository.stated_digests = False
    with hub(repository) as endpoint:
        done = pull(endpoint, tmp_path / "model")
    assert done.returncode == 2
    assert "states no size and digest" in done.stderr


def test_a_server_without_ranges_begins_again(repository: Repository, tmp_path: Path) -> None:
    stage = tmp_path / "model.partial"
    stage.mkdir()
    (stage / f"{SHARD}.part").write_bytes(repository.files[SHARD][:300_000])
    repository.knows_ranges = False
    with hub(repository) as endpoint:
        done = pull(endpoint, tmp_path / "model")
    assert done.returncode == 0, done.stderr
    assert repository.ranges(SHARD) == ["bytes=300000-"] * 2
    assert (tmp_path / "model" / SHARD).read_bytes() == repository.files[SHARD]


def test_a_connection_that_gives_nothing_is_given_up(repository: Repository, tmp_path: Path) -> None:
    repository.cut = {SHARD: 0}
    with hub(repository) as endpoint:
        done = pull(endpoint, tmp_path / "model")
    assert done.returncode == 2
    assert f"does not give {SHARD} (RemoteProtocolError)" in done.stderr
    assert len(repository.ranges(SHARD)) == 2 * 5


def test_a_busy_hub_is_asked_again(repository: Repository, tmp_path: Path) -> None:
    repository.busy = [503, 429]
    with hub(repository) as endpoint:
        done = pull(endpoint, tmp_path / "model")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "model" / SHARD).read_bytes() == repository.files[SHARD]


def test_more_bytes_than_stated_are_not_taken(repository: Repository, tmp_path: Path) -> None:
    repository.served = {"config.json": repository.files["config.json"] + b" " * 100}
    with hub(repository) as endpoint:
        done = pull(endpoint, tmp_path / "model")
    assert done.returncode == 2
    assert "config.json (more bytes than it had stated)" in done.stderr


def test_nobody_answering_is_one_sentence(tmp_path: Path) -> None:
    done = pull("http://127.0.0.1:9", tmp_path / "model")
    assert done.returncode == 2
    assert "http://127.0.0.1:9 does not give the list of files (ConnectError)" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_consent_nothing_is_contacted(repository: Repository, tmp_path: Path) -> None:
    with hub(repository) as endpoint:
        done = subprocess.run(
            [sys.executable, "-m", "agent", "model", "pull", "--endpoint", endpoint, "--to", str(tmp_path / "model")],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    assert done.returncode == 2
    assert "CC-BY-NC-4.0" in done.stderr
    assert "Llama 2" in done.stderr
    assert "--accept-licence" in done.stderr
    assert repository.requests == []


def test_another_licence_at_the_hub_is_pointed_out(repository: Repository, tmp_path: Path) -> None:
    repository.license = "other"
    with hub(repository) as endpoint:
        done = pull(endpoint, tmp_path / "model")
    assert "the hub names the licence other" in done.stderr
