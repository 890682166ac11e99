"""What one peer has of its own: how long it may take, and how long a PDU may be. Zero is always: as the node has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dicom_node.errors import ConfigurationError

LONGEST_SECONDS: Final = 3600.0
SHORTEST_PDU, LONGEST_PDU = 4096, 16 << 20
_AROUND_SECONDS: Final = 30.0  # to connect, to part, and for what we do ourselves


@dataclass(frozen=True, slots=True)
class Terms:
    """Of the associations with one peer, whoever asks for them.

    dimse_timeout_seconds: for an answer, or the next part of a message. idle_timeout_seconds: without any traffic.
    acse_timeout_seconds: for the answer to our request for an association, and to a release.
    maximum_pdu_size: bytes that it may send us at once; what we send follows the limit that it names.
    """

    dimse_timeout_seconds: float = 0
    idle_timeout_seconds: float = 0
    acse_timeout_seconds: float = 0
    maximum_pdu_size: int = 0

    def seconds_for(self, answers: int, *, usual: float) -> float:
        """How long an association may take in which so many answers are waited for. usual: the node's time-out."""
        answer = self.dimse_timeout_seconds or usual
        return (self.acse_timeout_seconds or answer) + answers * answer + _AROUND_SECONDS

    def check(self) -> None:
        """Raises ConfigurationError."""
        for option, seconds in (
            ("--dimse-timeout", self.dimse_timeout_seconds),
            ("--idle-timeout", self.idle_timeout_seconds),
            ("--acse-timeout", self.acse_timeout_seconds),
        ):
            if not 0 <= seconds <= LONGEST_SECONDS:  # NaN is neither
                raise ConfigurationError(f"{option} is up to {LONGEST_SECONDS:g} seconds, or 0 for what the node has")
        if self.maximum_pdu_size and not SHORTEST_PDU <= self.maximum_pdu_size <= LONGEST_PDU:
            raise ConfigurationError(
                f"--maximum-pdu is {SHORTEST_PDU} to {LONGEST_PDU} bytes, or 0 for what the node has"
            )


AS_THE_NODE: Final = Terms()
