"""A stand-in of the Hugging Face hub: the two addresses that a download needs, over a real socket on this machine."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

REPOSITORY = "ECOFRI/CXR-LLAVA-v2"
REVISION = "b2224786bb90d54b1e1291171866706cfbb44e2b"


@dataclass
class Repository:
    """What it offers and how it misbehaves. `requests` grows: (method, path, Range)."""

    files: dict[str, bytes]
    sha: str = REVISION
    license: str = "cc-by-nc-4.0"
    served: dict[str, bytes] = field(default_factory=dict)  # other bytes than it states, by name
    cut: dict[str, int] = field(default_factory=dict)  # every answer for the name ends after so many bytes
    missing: set[str] = field(default_factory=set)  # stated, but 404
    stated_digests: bool = True
    knows_ranges: bool = True
    busy: list[int] = field(default_factory=list)  # statuses of the next answers, before it does its work
    requests: list[tuple[str, str, str]] = field(default_factory=list)

    def fetched(self) -> set[str]:
        """Names of the files that somebody asked for."""
        return {path.rsplit("/", 1)[1] for _, path, _ in self.requests if "/resolve/" in path}

    def ranges(self, name: str) -> list[str]:
        """The Range header of each request that got bytes of the file."""
        return [
            asked for _, path, asked in self.requests if path == f"/cdn/{name}" or path.endswith(f"/{REVISION}/{name}")
        ]

    def siblings(self) -> list[dict]:
        """The list of files as /api/models states it: large ones with their SHA-256, small ones with git's name."""
        found = []
        for name, content in self.files.items():
            blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            one: dict = {"rfilename": name, "size": len(content), "blobId": blob}
            if is_large(name):
                one["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
            if not self.stated_digests:
                one = {"rfilename": name}
            found.append(one)
        return found


def is_large(name: str) -> bool:
    return name.endswith((".safetensors", ".bin", "tokenizer.model"))


def published(folder: Path) -> dict[str, bytes]:
    """The files of a folder, and beside them what the real repository holds as well: programs and pickles."""
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
    return files | {
        "CXR_LLAVA_HF.py": b"raise SystemExit('remote code')\n",
        "pytorch_model-00001-of-00003.bin": b"\x80\x04\x95pickle",
        "README.md": b"# model card\n",
        "subfolder/config.json": b"{}",
        ".gitattributes": b"*.bin filter=lfs\n",
    }


class Server(ThreadingHTTPServer):
    """A server of one repository."""

    def __init__(self, repository: Repository) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repository = repository


class Handler(BaseHTTPRequestHandler):
    """Answers as the hub does: small files at once, large ones by a redirection to where they lie."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, *, body: bool) -> None:
        repository = self.server.repository
        path = urlsplit(self.path).path
        repository.requests.append((self.command, path, self.headers.get("Range", "")))
        name = path.rsplit("/", 1)[1]
        if repository.busy and path.startswith("/cdn/"):
            self._send(repository.busy.pop(), b"", {}, body=body)
            return
        there = name in repository.files.keys() - repository.missing
        if path == f"/api/models/{REPOSITORY}/revision/{REVISION}":
            card = {"license": repository.license}
            document = {"id": REPOSITORY, "sha": repository.sha, "cardData": card, "siblings": repository.siblings()}
            self._send(200, json.dumps(document).encode(), {"Content-Type": "application/json"}, body=body)
        elif path == f"/{REPOSITORY}/resolve/{REVISION}/{name}" and there and is_large(name):
            self._send(302, b"", {"Location": f"/cdn/{name}"}, body=body)
        elif path in {f"/{REPOSITORY}/resolve/{REVISION}/{name}", f"/cdn/{name}"} and there:
            self._send_file(name, body=body)
        else:
            self._send(404, b"{}", {"X-Error-Code": "EntryNotFound"}, body=body)

    def _send_file(self, name: str, *, body: bool) -> None:
        repository = self.server.repository
        content = repository.served.get(name, repository.files[name])
        asked = self.headers.get("Range", "") if repository.knows_ranges else ""
        start = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "Accept-Ranges": "bytes"}
        if asked:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._send(206 if asked else 200, content[start:], headers, body=body, cut=repository.cut.get(name))

    def _send(
        self, status: int, content: bytes, headers: Mapping[str, str], *, body: bool, cut: int | None = None
    ) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("X-Repo-Commit", self.server.repository.sha)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content[:cut])
        if cut is not None and cut < len(content):
            self.close_connection = True


@contextmanager
def hub(repository: Repository) -> Iterator[str]:
    """Serve it; gives the endpoint."""
    server = Server(repository)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
