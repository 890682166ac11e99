"""The keys by which token servers know us (private_key_jwt): looked at when `send` starts, and by `wetread check`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import structlog

from agent.config import Config
from dicom_node.errors import ConfigurationError
from reports.rest.assertion import read_key

log = structlog.get_logger("send")


def examine(config: Config) -> Iterator[tuple[str, Literal["ok", "wrong"], str]]:
    """Setting, verdict and a sentence, for each."""
    for name, credential in sorted(config.delivery.credentials.items()):
        if credential.client_key is None:
            continue
        setting = f"delivery.credentials.{name}.client_key"
        try:
            found = read_key(credential.client_key)
        except ConfigurationError as error:
            yield setting, "wrong", str(error)
        else:
            yield setting, "ok", f"{credential.client_key}: {found.algorithm}, key {credential.client_key_id}"


def tell(config: Config) -> None:
    """Say which cannot be used. It stops nobody: only what it authorizes waits, and is tried again."""
    for setting, verdict, words in examine(config):
        if verdict == "wrong":
            log.error("client_key_unusable", setting=setting, explanation=words)
