"""An OpenID provider that says what a test wants it to say."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey


@dataclass
class Liar:
    """Serves from `with` on. claims: of the next ID token; its defaults are true. nonce: what was asked with.

    about: what it says of itself beside the truth. key, header: with which it signs.
    """

    now: float
    nonce: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    id_token: str | None = None  # in place of one that is made of the claims
    asked: list[tuple[str, dict[str, list[str]], str]] = field(default_factory=list)  # path, form, Authorization

    def __post_init__(self) -> None:
        self.key: Any = ECKey.generate_key("P-256", {"kid": "one", "use": "sig"})
        self.published: list[dict[str, Any]] = [self.key.as_dict(private=False)]

    @property
    def issuer(self) -> str:
        """As it writes itself."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        liar = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer({})

            def do_POST(self) -> None:
                self._answer(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))

            def _answer(self, form: dict[str, list[str]]) -> None:
                liar.asked.append((self.path, form, self.headers.get("Authorization", "")))
                content = json.dumps(liar.answer(self.path)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *words: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str) -> dict[str, Any]:
        """What it says at an address."""
        if path == "/.well-known/openid-configuration":
            places = {"authorization": "auth", "token": "token", "userinfo": "me"}
            told = {f"{name}_endpoint": f"{self.issuer}/{place}" for name, place in places.items()}
            return {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/jwks", **told, **self.about}
        if path == "/jwks":
            return {"keys": self.published}
        if path == "/token":
            return {"access_token": "access", "token_type": "Bearer", "id_token": self.id_token or self.signed()}
        return self.userinfo

    def signed(self) -> str:
        """An ID token."""
        now = int(self.now)
        truth = {
            "iss": self.issuer,
            "sub": "kim-17",
            "aud": "wetread",
            "iat": now,
            "exp": now + 300,
            "auth_time": now,
            "nonce": self.nonce,
            "groups": "rads",
            "preferred_username": "kim",
            "family_name": "Kim",
        }
        claims = {name: value for name, value in (truth | self.claims).items() if value is not None}
        algorithm = "RS256" if isinstance(self.key, RSAKey) else "ES256"
        return jwt.encode({"alg": algorithm, "kid": self.key.kid} | self.header, claims, self.key)
