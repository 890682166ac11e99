"""The two commands say what to do where a machine cannot run them, never bring CUDA by accident, and install once.

A stub stands in for Python, so that nothing is installed: it answers with a version and writes down its calls.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from agent.commands.demo import demo

ROOT = Path(__file__).parents[3]
SCRIPTS = ["deploy/demo", "deploy/test", "deploy/environment.sh"]
TOOLS = ("awk", "cat", "chmod", "cksum", "cp", "date", "df", "dirname", "grep", "ls", "mkdir", "rm", "sh", "sleep")
TOOLS += ("tail", "touch", "tr", "uname")

FAKE_PYTHON = r"""#!/bin/sh
echo "$*" >>"$CALLS"
case "$*" in
*"%d.%d"*) echo "$FAKE_VERSION" ;;
"-m venv "*)
    mkdir -p "$3/bin"
    cp "$0" "$3/bin/python"
    printf '#!/bin/sh\necho wetread "$@"\n' >"$3/bin/wetread"
    cp "$3/bin/wetread" "$3/bin/pip"
    chmod +x "$3"/bin/*
    ;;
*" -e "*) [ -z "$FAKE_PIP_SAYS" ] || { echo "$FAKE_PIP_SAYS" >&2; exit 1; } ;;
*"pip install"*)
    echo "$FAKE_TORCH_SAYS" >&2
    case "$*" in *"$FAKE_PIP_TAKES"*) touch "$CALLS.torch" ;; *) exit 1 ;; esac
    ;;
"-c import torch") [ -e "$CALLS.torch" ] ;;
"-") exit "${FAKE_CUDA:-0}" ;;
esac
"""


class Machine:
    """A copy of the scripts, a PATH that holds little, and a stub of Python."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "clone with a blank"
        self.bin = folder / "bin"
        self.bin.mkdir()
        (self.root / "deploy").mkdir(parents=True)
        for name in [*SCRIPTS, "setup.cfg", "pyproject.toml"]:
            shutil.copy(ROOT / name, self.root / name)
        for tool in TOOLS:
            found = shutil.which(tool)
            if found:
                (self.bin / tool).symlink_to(found)
        self.command("fake-python", FAKE_PYTHON)
        self.command("nvidia-smi", "#!/bin/sh\nexit 9\n")
        self.environment = {
            "PATH": str(self.bin),
            "PYTHON": "fake-python",
            "CALLS": str(folder / "calls"),
            "FAKE_VERSION": "3.12",
            "FAKE_PIP_TAKES": "--no-index",
            "FAKE_PIP_SAYS": "",
            "FAKE_TORCH_SAYS": "",
        }

    def command(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def run(self, script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", str(self.root / script), *arguments],
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def installs(self) -> list[str]:
        """The calls of pip since the last time that this was asked."""
        calls = Path(self.environment["CALLS"])
        lines = calls.read_text().splitlines() if calls.exists() else []
        calls.unlink(missing_ok=True)
        return [line for line in lines if "pip install" in line]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_scripts_are_posix_sh(script: str) -> None:
    checked = subprocess.run(["/bin/sh", "-n", ROOT / script], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "[[" not in (ROOT / script).read_text()


def test_the_ci_script_is_bash_and_executable() -> None:
    assert subprocess.run(["bash", "-n", ROOT / ".ci/run"], check=False).returncode == 0
    assert os.access(ROOT / ".ci/run", os.X_OK)


@pytest.mark.parametrize("version", ["3.9", "3.10", "2.7"])
def test_an_old_python_is_named_with_what_to_do(machine: Machine, version: str) -> None:
    result = machine.run("deploy/demo", FAKE_VERSION=version)
    assert result.returncode == 2
    assert "Python 3.11 or newer is needed" in result.stderr
    assert f"fake-python is {version}" in result.stderr
    assert "apt-get install" in result.stderr
    assert "PYTHON=" in result.stderr
    assert not (machine.root / ".venv").exists()


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.20"])
def test_a_new_python_is_taken(machine: Machine, version: str) -> None:
    assert machine.run("deploy/demo", FAKE_VERSION=version).returncode == 0


def test_a_python_that_is_not_there_is_said_to_be_missing(machine: Machine) -> None:
    result = machine.run("deploy/demo", PYTHON="/nowhere/python3")
    assert result.returncode == 2
    assert "No Python was found at /nowhere/python3" in result.stderr


def test_a_full_disk_is_found_before_anything_is_installed(machine: Machine) -> None:
    result = machine.run("deploy/demo", WETREAD_NEEDED_MIB="999999999")
    assert result.returncode == 2
    assert "needs 999999999 MiB" in result.stderr
    assert "MiB are free" in result.stderr
    assert not (machine.root / ".venv").exists()


def test_a_disk_that_fills_up_during_the_installation_is_named(machine: Machine) -> None:
    result = machine.run("deploy/demo", FAKE_PIP_SAYS="ERROR: [Errno 28] No space left on device")
    assert result.returncode == 2
    assert "the disk is full" in result.stderr
    assert "TMPDIR" in result.stderr


def test_a_full_disk_is_not_tried_again_from_another_index(machine: Machine) -> None:
    full = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
    result = machine.run("deploy/demo", FAKE_TORCH_SAYS=full, FAKE_PIP_TAKES="nothing")
    assert result.returncode == 2
    assert "the disk is full" in result.stderr
    assert len(machine.installs()) == 1


def test_another_failure_of_pip_shows_its_words_and_the_log(machine: Machine) -> None:
    result = machine.run("deploy/demo", FAKE_PIP_SAYS="ERROR: no route to the index")
    assert result.returncode == 2
    assert "no route to the index" in result.stderr
    assert "install.log" in result.stderr
    assert "disk" not in result.stderr


def test_the_folder_is_named_as_it_can_be_typed_anywhere(machine: Machine, tmp_path: Path) -> None:
    assert f"Installing into {machine.root}/.venv (once" in machine.run("deploy/demo").stdout
    there = str(tmp_path / "there")
    assert f"Installing into {there} (once" in machine.run("deploy/demo", WETREAD_VENV=there).stdout
    result = machine.run("deploy/demo", WETREAD_VENV=f"{there}2", FAKE_PIP_SAYS="no such package")
    assert f"the log is {there}2/install.log" in result.stderr


def test_the_second_run_installs_nothing_and_passes_the_arguments_on(machine: Machine) -> None:
    first = machine.run("deploy/demo", "--image", "my film.dcm")
    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines()[-1] == "wetread demo --image my film.dcm"
    assert len(machine.installs()) == 2
    second = machine.run("deploy/demo", "--keep")
    assert second.stdout == "wetread demo --keep\n"
    assert machine.installs() == []


def test_another_requirement_or_another_folder_installs_again(machine: Machine) -> None:
    machine.run("deploy/demo")
    machine.installs()
    with (machine.root / "setup.cfg").open("a") as settings:
        settings.write("# changed\n")
    machine.run("deploy/demo")
    assert len(machine.installs()) == 1  # torch is there
    machine.root = machine.root.rename(machine.root.with_name("moved"))
    machine.run("deploy/demo")
    assert len(machine.installs()) == 1


def test_a_folder_that_is_no_environment_is_never_deleted(machine: Machine, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "letter").write_text("dear")
    result = machine.run("deploy/demo", WETREAD_VENV=str(precious))
    assert result.returncode == 2
    assert "no virtual environment" in result.stderr
    assert [path.name for path in precious.iterdir()] == ["letter"]


def test_without_a_gpu_only_a_build_without_cuda_is_ever_asked_for(machine: Machine) -> None:
    assert machine.run("deploy/demo").returncode == 0
    torch, rest = machine.installs()
    assert "--no-index torch==" in torch
    assert torch.endswith("+cpu")
    assert "constraints.txt" in rest
    assert (machine.root / ".venv/constraints.txt").read_text().endswith("+cpu\n")


def test_what_pip_is_configured_for_is_tried_before_the_public_index(machine: Machine) -> None:
    assert machine.run("deploy/demo", FAKE_PIP_TAKES="--extra-index-url").returncode == 0
    offline, configured, public, _ = machine.installs()
    assert "--no-index" in offline
    assert "index" not in configured
    assert "--extra-index-url https://download.pytorch.org/whl/cpu" in public
    assert all(line.endswith("+cpu") for line in (offline, configured, public))


def test_a_named_torch_index_is_the_only_one(machine: Machine) -> None:
    result = machine.run("deploy/demo", WETREAD_TORCH_INDEX="https://mirror.example/cpu", FAKE_PIP_TAKES="nothing")
    assert result.returncode == 2
    (only,) = machine.installs()
    assert "--index-url https://mirror.example/cpu" in only


def test_with_a_gpu_the_default_build_is_taken(machine: Machine) -> None:
    machine.command("nvidia-smi", "#!/bin/sh\necho 'GPU 0: H200'\n")
    assert machine.run("deploy/demo", FAKE_PIP_TAKES="torch>=", WETREAD_NEEDED_MIB="1").returncode == 0
    assert "+cpu" not in machine.installs()[0]
    shutil.rmtree(machine.root / ".venv")
    assert machine.run("deploy/demo", WETREAD_CPU="1").returncode == 0


def test_cuda_on_a_machine_without_gpu_is_an_error_that_stays(machine: Machine) -> None:
    for _ in range(2):
        result = machine.run("deploy/demo", FAKE_CUDA="1")
        assert result.returncode == 2
        assert "brings CUDA" in result.stderr
        assert "WETREAD_TORCH_INDEX=" in result.stderr


def test_missing_programs_are_named_to_who_is_not_root(machine: Machine) -> None:
    machine.command("id", "#!/bin/sh\necho 1000\n")
    result = machine.run("deploy/test")
    assert result.returncode == 2
    assert "sudo apt-get install" in result.stderr
    assert "dicom3tools" in result.stderr
    assert machine.installs() == []


def test_root_installs_the_missing_packages_without_starting_services(machine: Machine, tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    machine.command("id", "#!/bin/sh\necho 0\n")
    machine.command("apt-get", f"#!/bin/sh\nexec >>'{tmp_path}/apt'\necho $*\n'{policy}' || echo denied with $?\n")
    result = machine.run("deploy/test", "-k", "one", POLICY_RC_D=str(policy))
    called = (tmp_path / "apt").read_text()
    assert "install -y --no-install-recommends" in called
    assert "dicom3tools" in called
    assert "denied with 101" in called
    assert not policy.exists()
    assert result.returncode == 0, result.stderr
    calls = Path(machine.environment["CALLS"]).read_text().splitlines()
    assert calls[-1] == "-m pytest -k one"


@pytest.mark.parametrize(
    ("faulty", "code", "is_tested"),
    [("", 0, True), ("mypy", 2, True), ("ruff", 1, False), ("lint-imports", 1, False)],
)
def test_faults_of_style_and_types_fail_the_whole_run(
    machine: Machine, faulty: str, code: int, is_tested: bool
) -> None:
    machine.command("id", "#!/bin/sh\necho 0\n")
    machine.command("apt-get", "#!/bin/sh\n")
    machine.run("deploy/test", "-k", "one")  # makes the environment
    for tool in ("ruff", "lint-imports", "mypy"):
        program = machine.root / ".venv/bin" / tool
        program.write_text(f"#!/bin/sh\nexit {int(tool == faulty)}\n")
        program.chmod(0o755)

    result = machine.run("deploy/test")

    assert result.returncode == code, result.stderr
    calls = Path(machine.environment["CALLS"]).read_text()
    assert ("--dist loadfile" in calls) == is_tested


def test_a_policy_that_was_there_stays(machine: Machine, tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text("of the administrator")
    machine.command("id", "#!/bin/sh\necho 0\n")
    machine.command("apt-get", "#!/bin/sh\nexit 1\n")
    result = machine.run("deploy/test", POLICY_RC_D=str(policy))
    assert result.returncode == 2
    assert "apt-get could not install" in result.stderr
    assert policy.read_text() == "of the administrator"


@pytest.mark.parametrize("script", ["deploy/demo", "deploy/test"])
@pytest.mark.parametrize("words", [["--help"], ["-h"], ["--image", "real", "--help"]])
def test_help_is_given_before_anything_is_installed(machine: Machine, script: str, words: list[str]) -> None:
    told = machine.run(script, *words)

    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith(f"sh {script}")
    assert machine.installs() == []


def test_the_help_of_the_demonstration_names_every_option(machine: Machine) -> None:
    told = machine.run("deploy/demo", "--help").stdout

    assert [option for parameter in demo.params for option in parameter.opts if option not in told] == []
