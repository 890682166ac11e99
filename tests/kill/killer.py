"""Kills processes with SIGKILL when a study is seen in a given state, and counts what it hit."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable

import psutil
from sqlalchemy import select

from dicom_node.tables import Delivery, DeliveryState, Study, StudyState, Workitem, WorkitemState
from tests.harness.node import Node

STATES = ("RECEIVING", "IN PROGRESS", "QUEUED", "SENT")
VICTIMS = {
    "RECEIVING": ("listen", "dispatch"),
    "IN PROGRESS": ("work", "work's child"),
    "QUEUED": ("send", "dispatch"),
    "SENT": ("send", "web"),
}


def observed(node: Node, state: str) -> bool:
    """Is a study in this state now?"""
    with node.database.read() as tx:
        if state == "RECEIVING":
            return tx.scalar(select(Study.id).where(Study.state == StudyState.RECEIVING).limit(1)) is not None
        if state == "IN PROGRESS":
            running = Workitem.state == WorkitemState.IN_PROGRESS
            return tx.scalar(select(Workitem.id).where(running).limit(1)) is not None
        return tx.scalar(select(Delivery.id).where(Delivery.state == DeliveryState(state)).limit(1)) is not None


def campaign(
    node: Node, chance: random.Random, histogram: Counter[str], *, kills: int, is_over: Callable[[], bool]
) -> None:
    """So many kills, each when a study is seen in a state that was not hit more often than the others."""
    for _ in range(kills):
        state = _next_state(node, chance, histogram, is_over)
        if state is None:
            return
        victim = chance.choice(VICTIMS[state])
        if _kill(node, victim):
            histogram[state] += 1
            histogram[f"  {victim}"] += 1
        time.sleep(chance.uniform(0.1, 0.8))


def _next_state(node: Node, chance: random.Random, histogram: Counter[str], is_over: Callable[[], bool]) -> str | None:
    """Watch until a study is in one of the states that are due; None once all is over."""
    fewest = min(histogram[state] for state in STATES)
    due = [state for state in STATES if histogram[state] == fewest]
    while not is_over():
        seen = [state for state in due if observed(node, state)]
        if seen:
            return chance.choice(seen)
        time.sleep(0.002)
    return None


def _kill(node: Node, victim: str) -> bool:
    """SIGKILL; False where the victim has just ended by itself or is being started."""
    name = victim.removesuffix("'s child")
    number = node.supervisor.process_ids().get(name)
    if number is None:
        return False
    try:
        if victim.endswith("'s child"):
            children = psutil.Process(number).children()
            number = next(child.pid for child in children if "decoder" not in " ".join(child.cmdline()))
        os.kill(number, signal.SIGKILL)
    except (psutil.Error, ProcessLookupError, StopIteration):
        return False
    return True
