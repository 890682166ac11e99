"""What whoever works on reports needs, in every process: the configuration and the database."""

from __future__ import annotations

from dataclasses import dataclass

from agent.config import Config
from dicom_node.database import Database


@dataclass(frozen=True, slots=True)
class Desk:
    """Passed down; holds nothing that changes."""

    config: Config
    database: Database
