"""`wetread eval reader-study serve` as a process: an answered grade survives SIGKILL, and Ctrl-C ends it well."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from reports.grading import raters
from reports.grading.tables import Given, Turn
from tests.harness.grading_room import Study, add_rater, make_study
from tests.harness.node import free_port, wait_until

OURS = {"Sec-Fetch-Site": "same-origin"}


@contextmanager
def serving(study: Study, port: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "agent", "eval", "reader-study", "serve", str(study.folder), "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(port), "the study is served", seconds=120)
        yield process
    finally:
        process.kill()
        process.wait()


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.timeout(400)
def test_a_grade_that_was_answered_survives_a_kill(tmp_path: Path) -> None:
    study, port = make_study(tmp_path, 2), free_port()
    with raters.open_grades(study.package) as database:
        link = add_rater(database, study.package, "ann")
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=OURS, timeout=60)
    with serving(study, port) as process:
        assert client.post(link).status_code == 303
        for position in (1, 2):
            sheet = {"grade": "C", "version": "0", "seconds": "1", "comment": "kept"}
            answer = client.post(f"/item/{position}", json=sheet, headers={"Accept": "application/json"})
            assert answer.status_code == 200
        process.kill()

    with serving(study, port) as process:
        assert "2 of 4 graded" in client.get("/").text  # in the same browser
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    with raters.open_grades(study.package) as database, database.read() as tx:
        assert [turn.grade for turn in tx.query(Turn).order_by(Turn.position)] == ["C", "C", "", ""]
        assert [one.comment for one in tx.query(Given)] == ["kept", "kept"]
