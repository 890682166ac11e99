"""Providers at which people sign in: one that others wrote, and one that lies."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx

from tests.harness import npm
from tests.harness.node import free_port

CLIENT = "wetread"
SECRET = "correct horse / battery+staple"
SCRIPT = Path(__file__).with_name("oidc_provider.mjs")


@contextmanager
def provider(people: Mapping[str, Mapping[str, Any]], *, pages: str) -> Iterator[str]:
    """The issuer: `oidc-provider` on Node.js, with these people. pages: how the addresses of our pages begin."""
    client = {
        "client_id": CLIENT,
        "client_secret": SECRET,
        "redirect_uris": [f"{pages}/oidc/callback"],
        "post_logout_redirect_uris": [f"{pages}/sign-in"],
    }
    with _running([client], people) as issuer:
        yield issuer


@contextmanager
def token_server(keys: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """The issuer; tokens are had at /token by clients with these public keys (JWK), and judged at /token/introspection.

    Who has the tokens judged is CLIENT with SECRET.
    """
    common = {"grant_types": ["client_credentials"], "redirect_uris": [], "response_types": []}
    clients: list[dict[str, Any]] = [
        {
            **common,
            "client_id": name,
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": key["alg"],
            "jwks": {"keys": [key]},
        }
        for name, key in keys.items()
    ]
    with _running([*clients, {**common, "client_id": CLIENT, "client_secret": SECRET}], {}) as issuer:
        yield issuer


@contextmanager
def _running(clients: Sequence[Mapping[str, Any]], people: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    node = shutil.which("node")
    assert node is not None, "install Debian's package nodejs"
    port = free_port()
    library = npm.modules() / "oidc-provider" / "lib" / "index.js"
    settings = json.dumps({"port": port, "clients": clients, "people": people})
    command = [node, str(SCRIPT), str(library), settings]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        ready = process.stdout.readline()
        try:
            assert ready == "ready\n"
            yield f"http://localhost:{port}"
        finally:
            process.terminate()


def sign_in_there(browser: httpx.Client, address: str, login: str) -> httpx.URL:
    """Do what a person does at the provider; the address at which it sends the browser back."""
    answer = browser.get(address)
    for _ in range(12):
        if answer.is_redirect:
            place = httpx.URL(urljoin(str(answer.url), answer.headers["Location"]))
            if place.path == "/oidc/callback":
                return place
            answer = browser.get(place)
            continue
        assert answer.status_code == 200, answer.text
        form = re.search(r'<form[^>]*action="([^"]+)"', answer.text)
        assert form is not None, answer.text
        fields = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', answer.text)) | {"login": login, "password": "x"}
        answer = browser.post(urljoin(str(answer.url), unescape(form[1])), data=fields)
    raise AssertionError("the provider sends the browser round in circles")
