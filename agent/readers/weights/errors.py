"""What can go wrong with the files of a model. Each message names the file and the command that mends it."""

from __future__ import annotations

from agent.readers.checkpoint import CheckpointError


class HubUnreachable(CheckpointError):
    """The hub, or the proxy before it, does not answer or does not have what is asked for."""


class NotEnoughSpace(CheckpointError):
    """The disk has no room for the files that are still to come."""


class WrongContent(CheckpointError):
    """A file is not the one that its origin names: another digest, size or layout."""
