"""The certificates that the configuration names: how long they hold, for `wetread check` and the metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from agent.config import Config
from dicom_node import tls
from dicom_node.counted import counted
from dicom_node.errors import ConfigurationError

_WORDS: Final = MappingProxyType(
    {
        "expired": "has expired on {end}: renew it, and start the processes again",
        "not-yet-valid": "is not valid before {begin}: is this machine's clock right?",
        "expires-soon": "expires on {end}, in {days}: renew it, and start the processes again",
        "valid": "holds until {end}",
    }
)
_VERDICTS: Final[Mapping[str, Literal["ok", "warning", "wrong"]]] = MappingProxyType(
    {"expired": "wrong", "not-yet-valid": "wrong", "expires-soon": "warning", "valid": "ok"}
)
_ORDER: Final = ("expired", "not-yet-valid", "expires-soon", "valid")


def named(config: Config) -> Mapping[str, Path]:
    """Setting -> file, of those that are set."""
    files = {
        "node.tls_certificate": config.node.tls_certificate,
        "node.tls_ca": config.node.tls_ca,
        "hl7.tls_certificate": config.hl7.tls_certificate,
        "hl7.tls_ca": config.hl7.tls_ca,
        "web.tls_certificate": config.web.tls_certificate,
        "oidc.tls_ca": config.oidc.tls_ca,
    }
    return MappingProxyType({setting: path for setting, path in files.items() if path is not None})


def examine(config: Config, now: datetime) -> Iterator[tuple[str, Literal["ok", "warning", "wrong"], str]]:
    """Setting, verdict and a sentence, for each."""
    for setting, path in named(config).items():
        try:
            found = tls.read_certificates(path)
            _must_fit(config, setting, path)
        except ConfigurationError as error:
            yield setting, "wrong", str(error)
            continue
        yield setting, *_told(path, found, now, trusted=setting.endswith(".tls_ca"))
        if setting == "web.tls_certificate":
            yield from _foreign(config.web.hosts, found[0])


def _must_fit(config: Config, setting: str, path: Path) -> None:
    """Raises ConfigurationError."""
    section, _, name = setting.partition(".")
    keys = {"node": config.node.tls_key, "hl7": config.hl7.tls_key, "web": config.web.tls_key}
    if name == "tls_certificate":
        tls.must_fit(section, path, keys[section])


def _told(
    path: Path, found: Sequence[tls.Certificate], now: datetime, *, trusted: bool
) -> tuple[Literal["ok", "warning", "wrong"], str]:
    """Of the one that is worst. trusted: those whom we trust, of whom another may still hold: then it is a warning."""
    worst = min(found, key=lambda one: (_ORDER.index(one.standing(now)), one.not_after))
    standing = worst.standing(now)
    verdict = _VERDICTS[standing]
    if trusted and verdict == "wrong" and any(one.standing(now) in {"valid", "expires-soon"} for one in found):
        verdict = "warning"
    words = _WORDS[standing].format(
        begin=f"{worst.not_before:%Y-%m-%d}",
        end=f"{worst.not_after:%Y-%m-%d}",
        days=counted(int(worst.days_left(now)), "day"),
    )
    which = f", certificate {found.index(worst) + 1} of {len(found)}," if len(found) > 1 else ""
    return verdict, f"{path}{which} {words}"


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
    """Setting -> days until the first of the file expires, below 0 afterwards; what cannot be read is absent.

    Of those whom we trust (tls_ca) the last counts: one that has ended may stand beside its successor.
    """
    found = {}
    for setting, path in named(config).items():
        try:
            days = [one.days_left(now) for one in tls.read_certificates(path)]
            found[setting] = max(days) if setting.endswith(".tls_ca") else min(days)
        except ConfigurationError:
            continue
    return found
