"""kill -9 over the five processes: nothing that was acknowledged is lost, nothing is doubled.

WETREAD_KILL_RUNS sets how many runs (2; `make kill` makes 20), WETREAD_KILL_SEED the chance (printed).
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from agent.demo import phantom
from agent.supervisor import Supervisor
from dicom_node import books
from dicom_node.aet import RemoteAddress
from dicom_node.errors import SendFailure
from dicom_node.loopback import LoopbackPacs, send
from dicom_node.tables import Book
from tests.harness.node import OWN, Node, wait_until
from tests.kill.books import assert_one_draft_each
from tests.kill.killer import STATES, campaign

pytestmark = [pytest.mark.kill, pytest.mark.timeout(1500)]

RUNS = int(os.environ.get("WETREAD_KILL_RUNS", "2"))
SEED = int(os.environ.get("WETREAD_KILL_SEED", random.SystemRandom().randrange(10**6)))
STUDIES, KILLS = 20, 6
PACS = "PACS"


class EarlySupervisor(Supervisor):
    """Runs the listener with the planted bug."""

    def command(self, name: str) -> list[str]:
        """As the real one, but for `listen`."""
        real = super().command(name)
        return [sys.executable, "-m", "tests.kill.answers_early", *real[3:]] if name == "listen" else real


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("films")
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    paths = []
    for number in range(STUDIES):
        film = phantom.film(number, now=moment, new_uid=lambda: str(generate_uid(prefix=None)), rows=256, columns=224)
        paths.append(folder / f"{number}.dcm")
        film.save_as(paths[-1], enforce_file_format=True)
    return paths


def _send_until_acknowledged(node: Node, film: Path, acknowledged: set[str]) -> None:
    """As a PACS does: keep it, and send it again until it is taken."""
    for _ in range(200):
        try:
            send(film, RemoteAddress(OWN, "127.0.0.1", node.port), PACS)
        except SendFailure:
            time.sleep(0.1)
            continue
        acknowledged.add(str(dcmread(film, stop_before_pixels=True).StudyInstanceUID))
        return
    raise AssertionError("the listener never came back")


def _run(node: Node, films: list[Path], chance: random.Random, histogram: Counter[str], *, seconds: float) -> set[str]:
    """Send all films while processes are killed; return the acknowledged studies once nothing moves any more."""
    acknowledged: set[str] = set()

    def send_all() -> None:
        for film in films:
            _send_until_acknowledged(node, film, acknowledged)
            time.sleep(chance.uniform(0.1, 0.6))

    sender = threading.Thread(target=send_all, daemon=True)
    sender.start()

    def delivered() -> int:
        with node.database.read() as tx:
            return books.balance(tx).revisions[Book.DELIVERED]

    campaign(node, chance, histogram, kills=KILLS, is_over=lambda: delivered() == len(films))
    sender.join(120)
    wait_until(lambda: delivered() == len(films), f"{len(films)} drafts to be proven", seconds=seconds)
    return acknowledged


@pytest.mark.parametrize("run", range(RUNS))
def test_every_acknowledged_study_ends_with_exactly_one_draft(
    run: int, films: list[Path], tmp_path: Path, histogram: Counter[str]
) -> None:
    print(f"\nseed {SEED} run {run}")
    with (
        LoopbackPacs(PACS, 0, tmp_path / "pacs") as pacs,
        Node(tmp_path / "node", node="maximum_attempts = 99") as node,
    ):
        node.add_peer(PACS, pacs.port, send_to=True)

        acknowledged = _run(node, films, random.Random(SEED + run), histogram, seconds=180)

        assert len(acknowledged) == STUDIES
        assert_one_draft_each(node, pacs, acknowledged)


@pytest.fixture(scope="module")
def histogram() -> Counter[str]:
    return Counter()


def test_kills_hit_every_state(histogram: Counter[str]) -> None:
    """Prints where the kills fell; each state must have been hit in proportion to the runs (5 of 20)."""
    print(f"\nkills over {RUNS} runs, seed {SEED}")
    for name in sorted(histogram, key=lambda name: (name.startswith(" "), name)):
        print(f"{name:16} {histogram[name]:4} {'#' * histogram[name]}")
    for state in STATES:
        assert histogram[state] >= max(1, RUNS // 4)


@pytest.mark.parametrize(("supervisor", "noticed"), [(EarlySupervisor, True), (Supervisor, False)])
def test_an_answer_before_the_commit_is_noticed(
    supervisor: type[Supervisor], noticed: bool, films: list[Path], tmp_path: Path
) -> None:
    """The planted bug must turn the assertion red, and the real listener must not, else the test proves nothing."""
    with (
        LoopbackPacs(PACS, 0, tmp_path / "pacs") as pacs,
        Node(tmp_path / "node", node="maximum_attempts = 99", supervisor=supervisor) as node,
    ):
        node.add_peer(PACS, pacs.port, send_to=True)
        acknowledged: set[str] = set()
        for film in films[:3]:
            _send_until_acknowledged(node, film, acknowledged)
        os.kill(node.supervisor.process_ids()["listen"], signal.SIGKILL)

        def nothing_moves() -> bool:
            with node.database.read() as tx:
                counts = books.balance(tx).revisions
                return counts[Book.IN_FLIGHT] == 0 and (noticed or counts[Book.DELIVERED] == len(acknowledged))

        wait_until(nothing_moves, "what was booked to be delivered")
        if noticed:
            with pytest.raises(AssertionError, match="have no draft"):
                assert_one_draft_each(node, pacs, acknowledged)
        else:
            assert_one_draft_each(node, pacs, acknowledged)
