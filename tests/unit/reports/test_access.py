"""Names, proxies and bodies: who may call the pages, and what is believed of a request."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.testclient import TestClient

from reports.web.access import Access, address_of, is_ours
from reports.web.doors import OnlyKnown, OpenHouse, Porter, door
from reports.web.guard import Guard
from reports.web.rights import NOBODY, Right, Visitor

NAME = "wetread.hospital.example"
PROXY = "10.0.0.3"
BEHIND = Access(frozenset({NAME}), is_loopback=False, proxies=(ipaddress.ip_network("10.0.0.3/32"),))
CERTIFIED = Access(frozenset({NAME}), is_loopback=False, has_certificate=True)


async def mirror(request: Request) -> Response:
    """What the pages believe of a request, and how much it carried."""
    assert request.client is not None
    body = await request.body()
    return JSONResponse({"client": request.client.host, "url": str(request.url), "bytes": len(body)})


def visit(access: Access, peer: str, *, scheme: str = "http", porter: Porter | None = None) -> TestClient:
    house = porter or OpenHouse()
    routes = [
        door(house, "/healthz", mirror, Right.OPEN),
        door(house, "/where", mirror, Right.OPEN, methods=("GET", "POST")),
        door(house, "/upload", mirror, Right.OPEN, methods=("POST",), largest=3 << 20),
        door(house, "/study", mirror, Right.SEE),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(Guard, error_page="broken", access=access)])
    return TestClient(app, base_url=f"{scheme}://{NAME}", client=(peer, 1234), follow_redirects=False)


@pytest.mark.parametrize(
    ("access", "host", "client", "expected"),
    [
        (CERTIFIED, NAME, "10.9.9.9", True),
        (CERTIFIED, f"{NAME.upper()}.:8443", "10.9.9.9", True),
        (CERTIFIED, "evil.example", "10.9.9.9", False),
        (CERTIFIED, f"{NAME}.evil.example", "10.9.9.9", False),
        (CERTIFIED, f"x@{NAME}", "10.9.9.9", False),
        (CERTIFIED, "", "10.9.9.9", False),
        (CERTIFIED, "localhost", "10.9.9.9", False),
        (CERTIFIED, "localhost", "127.0.0.1", True),
        (CERTIFIED, "[::1]:8080", "::ffff:127.0.0.1", True),
        (Access(), "127.0.0.1:8080", "127.0.0.1", True),
        (Access(), NAME, "127.0.0.1", False),
    ],
)
def test_host_header_must_name_us(access: Access, host: str, client: str, expected: bool) -> None:
    assert is_ours(access, host, client) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.3", "10.0.0.3"),
        (" 10.0.0.3:4711 ", "10.0.0.3"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:10.0.0.3", "10.0.0.3"),
        ("unknown", "None"),
        ("", "None"),
    ],
)
def test_addresses_are_read_as_proxies_write_them(text: str, expected: str) -> None:
    assert str(address_of(text)) == expected


def test_wrong_name_is_refused_before_anything_else() -> None:
    answer = visit(CERTIFIED, "10.9.9.9", scheme="https").get("/where", headers={"Host": "evil.example"})

    assert answer.status_code == 421
    assert answer.text == f"These pages answer to {NAME} only.\n"
    assert answer.headers["Content-Security-Policy"]
    assert "Strict-Transport-Security" not in answer.headers


@pytest.mark.parametrize(
    ("forwarded", "believed"),
    [
        (["192.0.2.7"], "192.0.2.7"),
        (["198.51.100.1, 192.0.2.7"], "192.0.2.7"),  # the first is what the client itself claimed
        (["198.51.100.1", "192.0.2.7"], "192.0.2.7"),
        (["192.0.2.7, 10.0.0.3"], "192.0.2.7"),  # two proxies of ours in a row
        (["192.0.2.7:5555"], "192.0.2.7"),
        (["198.51.100.1, <script>"], PROXY),
        ([], PROXY),
    ],
)
def test_declared_proxy_says_who_its_client_is(forwarded: Sequence[str], believed: str) -> None:
    headers = [("X-Forwarded-Proto", "https"), *(("X-Forwarded-For", line) for line in forwarded)]

    answer = visit(BEHIND, PROXY).get("/where", headers=headers)

    assert answer.json()["client"] == believed
    assert answer.json()["url"] == f"https://{NAME}/where"
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_others_than_the_proxy_are_refused_whatever_they_claim() -> None:
    claims = {"X-Forwarded-Proto": "https", "X-Forwarded-For": PROXY}

    answer = visit(BEHIND, "10.0.0.4").get("/where", headers=claims)

    assert (answer.status_code, answer.text) == (403, "These pages are reached through the proxy of this site only.\n")


def test_nobody_is_believed_where_no_proxy_is_declared() -> None:
    claims = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7", "Host": "localhost"}

    answer = visit(Access(), "127.0.0.1").get("/where", headers=claims)

    assert answer.json() == {"client": "127.0.0.1", "url": "http://localhost/where", "bytes": 0}
    assert "Strict-Transport-Security" not in answer.headers


def test_plain_http_through_the_proxy_is_sent_to_https_and_carries_nothing() -> None:
    web = visit(BEHIND, PROXY)

    looked = web.get("/where?q=a%2Fb", headers={"X-Forwarded-Proto": "http"})
    posted = web.post("/where", content=b"secret", headers={"X-Forwarded-Proto": "http"})

    assert (looked.status_code, looked.headers["Location"]) == (308, f"https://{NAME}/where?q=a%2Fb")
    assert (posted.status_code, "X-Forwarded-Proto" in posted.text) == (403, True)


@pytest.mark.parametrize("headers", [{}, {"X-Forwarded-Proto": "ftp"}, {"X-Forwarded-Proto": "https, http2"}])
def test_proxy_that_does_not_say_https_gets_words_and_no_loop(headers: Mapping[str, str]) -> None:
    answer = visit(BEHIND, PROXY).get("/where", headers=headers)

    assert (answer.status_code, "the proxy must speak it" in answer.text) == (403, True)


@pytest.mark.parametrize(("peer", "status"), [(PROXY, 200), ("127.0.0.1", 200), ("10.0.0.4", 403)])
def test_probes_of_the_proxy_and_of_this_machine_need_no_https(peer: str, status: int) -> None:
    assert visit(BEHIND, peer).get("/healthz").status_code == status


def test_beyond_this_machine_an_open_house_is_closed() -> None:
    web = visit(CERTIFIED, "10.9.9.9", scheme="https", porter=OnlyKnown(OpenHouse()))

    assert web.get("/where").status_code == 200
    assert web.get("/study").status_code == 401
    page = web.get("/study", headers={"Accept": "text/html"})
    assert (page.status_code, page.headers["Location"]) == (303, "/sign-in?next=%2Fstudy")


def test_who_has_signed_in_comes_in_beyond_this_machine() -> None:
    class Known:
        def visitor(self, request: Request) -> Visitor | None:
            return Visitor(1, "kim", NOBODY.rights) if request.headers.get("x-test") else NOBODY

    web = visit(CERTIFIED, "10.9.9.9", scheme="https", porter=OnlyKnown(Known()))

    assert web.get("/study", headers={"X-Test": "1"}).status_code == 200


@pytest.mark.parametrize(("path", "largest"), [("/where", 1 << 20), ("/upload", 3 << 20)])
def test_bodies_have_a_size_that_their_address_takes(path: str, largest: int) -> None:
    web = visit(CERTIFIED, "10.9.9.9", scheme="https")
    ours = {"Sec-Fetch-Site": "same-origin"}

    def dribble(size: int) -> list[bytes]:
        return [b"x" * 65_536] * (size // 65_536) + [b"x" * (size % 65_536)]

    assert web.post(path, content=b"x" * largest, headers=ours).json()["bytes"] == largest
    assert web.post(path, content=iter(dribble(largest)), headers=ours).json()["bytes"] == largest
    for content in (b"x" * (largest + 1), iter(dribble(largest + 1))):
        refused = web.post(path, content=content, headers=ours)
        assert refused.status_code == 413
        assert refused.headers["Connection"] == "close"
