"""What people are refused, as sentences for them. None holds a login, a password or a name."""

from __future__ import annotations

from dicom_node.errors import ConfigurationError, WetreadError


class SignInRefused(WetreadError):
    """Nobody is told whether the name or the password was wrong, or whether the account is off."""

    def __init__(self, sentence: str = "") -> None:
        super().__init__(
            sentence or "This name and password do not fit. Try again; an administrator can give you a new password."
        )


class ProofRefused(WetreadError):
    """A signed-in person's password or PIN was wrong."""


class PasswordNeeded(ProofRefused):
    """A PIN does not do now: the password must come first."""


class TooSoon(WetreadError):
    """Too many failed tries: the next one is looked at after a while."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Too many tries failed. Wait {seconds} seconds, then try again.")
        self.seconds = seconds


class WeakPassword(ConfigurationError):
    """Easily guessed, or no PIN of digits. The message says what to do."""


class LinkRefused(WetreadError):
    """A one-time link that was used, is too old, or never was."""

    def __init__(self) -> None:
        super().__init__("This link was used, is too old, or is not whole. Ask the administrator for a new one.")
