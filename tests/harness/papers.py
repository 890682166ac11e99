"""Certificates for tests of TLS, made by the openssl command: an authority, and who shows one that it signed."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paper:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """Signs certificates; kept in a folder of the test."""

    folder: Path
    own: Paper

    @classmethod
    def founded(cls, folder: Path, name: str = "ca") -> Authority:
        paper = Paper(folder / f"{name}.pem", folder / f"{name}.key")
        _openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"),
            *("-subj", f"/CN={name}", "-keyout", str(paper.key), "-out", str(paper.certificate)),
        )
        return cls(folder, paper)

    def sign(self, name: str, *, host: str = "IP:127.0.0.1") -> Paper:
        """A certificate for both ends. host: its Subject Alternative Name."""
        paper = Paper(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={host}\nextendedKeyUsage=serverAuth,clientAuth\n")
        _openssl(
            *("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-subj", f"/CN={name}", "-keyout", str(paper.key), "-out", str(request)),
        )
        _openssl(
            *("x509", "-req", "-in", str(request), "-CA", str(self.own.certificate), "-CAkey", str(self.own.key)),
            *("-CAcreateserial", "-days", "2", "-extfile", str(extensions), "-out", str(paper.certificate)),
        )
        return paper


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
