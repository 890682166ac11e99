"""The certificates that the configuration names: how long they hold, for `wetread check` and the metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from agent.config import Config
from dicom_node import tls
from dicom_node.errors import ConfigurationError

_WORDS: Final = MappingProxyType(
    {
        "expired": "has expired on {end}: renew it, and start the processes again",
        "not-yet-valid": "is not valid before {begin}: is this machine's clock right?",
        "expires-soon": "expires on {end}, in {days} days: renew it, and start the processes again",
        "valid": "holds until {end}",
    }
)
_VERDICTS: Final[Mapping[str, Literal["ok", "warning", "wrong"]]] = MappingProxyType(
    {"expired": "wrong", "not-yet-valid": "wrong", "expires-soon": "warning", "valid": "ok"}
)


def named(config: Config) -> Mapping[str, Path]:
    """Setting -> file, of those that are set."""
    files = {
        "node.tls_certificate": config.node.tls_certificate,
        "node.tls_ca": config.node.tls_ca,
        "hl7.tls_certificate": config.hl7.tls_certificate,
        "hl7.tls_ca": config.hl7.tls_ca,
        "web.tls_certificate": config.web.tls_certificate,
    }
    return MappingProxyType({setting: path for setting, path in files.items() if path is not None})


def examine(config: Config, now: datetime) -> Iterator[tuple[str, Literal["ok", "warning", "wrong"], str]]:
    """Setting, verdict and a sentence, for each."""
    for setting, path in named(config).items():
        try:
            found = tls.read_certificate(path)
        except ConfigurationError as error:
            yield setting, "wrong", str(error)
            continue
        standing = found.standing(now)
        words = _WORDS[standing].format(
            begin=f"{found.not_before:%Y-%m-%d}", end=f"{found.not_after:%Y-%m-%d}", days=int(found.days_left(now))
        )
        yield setting, _VERDICTS[standing], f"{path} {words}"
        if setting == "web.tls_certificate":
            yield from _foreign(config.web.hosts, found)


def _foreign(hosts: tuple[str, ...], found: tls.Certificate) -> Iterator[tuple[str, Literal["warning"], str]]:
    """A name that the certificate is not for: every browser would refuse it."""
    missing = [host for host in hosts if not any(_covers(name.lower(), host) for name in found.names)]
    if missing:
        words = f"is not for {', '.join(missing)}: browsers will refuse it; name what it carries, or have it made anew"
        yield "web.hosts", "warning", f"the certificate of web.tls_certificate {words}"


def _covers(name: str, host: str) -> bool:
    """RFC 9525 6.3: a star stands for the leftmost label, and for nothing less or more."""
    return name == host or (name.startswith("*.") and name[2:] == host.partition(".")[2])


def days_left(config: Config, now: datetime) -> Mapping[str, float]:
    """Setting -> days until it expires, below 0 afterwards; those that cannot be read are absent."""
    found = {}
    for setting, path in named(config).items():
        try:
            found[setting] = tls.read_certificate(path).days_left(now)
        except ConfigurationError:
            continue
    return found
