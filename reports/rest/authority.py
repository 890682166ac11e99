"""What authorizes us at web services, made into headers."""

from __future__ import annotations

from collections.abc import Mapping

from dicom_node.credentials import Credential, authorization
from dicom_node.transports import Destination


class Authority:
    """Knows the headers for each destination; may be used by several threads at once."""

    def __init__(self, credentials: Mapping[str, Credential]) -> None:
        """credentials: by the name that a destination has for its own."""
        self._credentials = credentials

    def headers(self, to: Destination) -> dict[str, str]:
        """The header that authorizes us there; none where it wants none. Raises SendFailure."""
        return authorization(to, self._credentials)
