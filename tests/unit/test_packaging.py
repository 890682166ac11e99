"""What `pip install .` installs: the three packages with everything they need at run time, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("agent", "reports", "dicom_node")
LARGEST_WHEEL = 8 << 20  # bytes; the demonstration checkpoint is at most 4 MB of it


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """A wheel of a copy of this checkout: building in place would leave folders in it."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in (*ROOMS, "deploy", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "reference"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    command += ["-w", str(target), str(copy)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (file,) = target.glob("wetread-*.whl")
    return zipfile.ZipFile(file)


def kept_files() -> set[str]:
    """All files of the three packages in this checkout."""
    return {
        path.relative_to(ROOT).as_posix()
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    top = {name.split("/")[0] for name in wheel.namelist()}

    assert {name for name in top if not name.endswith(".dist-info")} == set(ROOMS)


def test_every_file_of_the_packages_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}

    assert sorted(kept_files() - packed) == []
    assert sorted(packed - kept_files()) == []


@pytest.mark.parametrize(
    "name",
    [
        "agent/migrations/env.py",
        "agent/migrations/versions/v0001_first_release.py",
        "agent/readers/demo_checkpoint/config.json",
        "agent/readers/demo_checkpoint/tokenizer.model",
        "agent/readers/demo_checkpoint/wetread.json",
        "agent/readers/demo_checkpoint/learned-from.txt",
        "agent/readers/demo_checkpoint/learned-signs.txt",
        "agent/readers/demo_checkpoint/films.txt",
        "agent/py.typed",
        "reports/web/templates/base.html",
        "reports/web/static/wetread.css",
    ],
)
def test_what_is_no_python_is_packed_as_well(wheel: zipfile.ZipFile, name: str) -> None:
    assert wheel.getinfo(name).file_size == (ROOT / name).stat().st_size


def test_the_demonstration_model_is_whole_and_small(wheel: zipfile.ZipFile) -> None:
    weights = [item for item in wheel.infolist() if item.filename.endswith(".safetensors")]

    assert weights
    assert sum(item.file_size for item in weights) <= 4 << 20
    assert sum(item.compress_size for item in wheel.infolist()) <= LARGEST_WHEEL


def test_the_wheel_gives_the_command_and_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    (folder,) = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name}

    about = Parser().parsestr(wheel.read(f"{folder}/METADATA").decode())
    entry_points = wheel.read(f"{folder}/entry_points.txt").decode()

    assert "wetread = agent.cli:main" in entry_points
    assert about["License-Expression"] == "Apache-2.0"
    assert about.get_all("License-File") == ["LICENSE"]
    assert about["Requires-Python"] == ">=3.11"
    assert "Private :: Do Not Upload" in about.get_all("Classifier", [])
    assert any(name.endswith("/LICENSE") for name in wheel.namelist())


def test_heavy_libraries_are_core_and_cuda_is_an_extra(wheel: zipfile.ZipFile) -> None:
    (folder,) = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    required = Parser().parsestr(wheel.read(f"{folder}/METADATA").decode()).get_all("Requires-Dist", [])

    core = {line.split(";")[0].split(">")[0].split("<")[0].strip() for line in required if "extra ==" not in line}

    assert {"torch", "transformers", "bitsandbytes", "celery", "redis"} <= core
    assert not [name for name in core if name.startswith(("nvidia", "cuda"))]
