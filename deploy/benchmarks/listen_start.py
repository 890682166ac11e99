"""How long until `wetread listen` has its port open, as a ratio to the bare import of what it is built on.

    python deploy/benchmarks/listen_start.py [ROUNDS]

Each round measures both, one after the other, so that a busy machine slows both. The limit is 1.6.
"""

from __future__ import annotations

import json
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BARE = "import pynetdicom, sqlalchemy"
LIMIT = 1.6


def bare_seconds() -> float:
    """Start Python and import pynetdicom and SQLAlchemy."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", BARE], check=True)  # noqa: S603
    return time.perf_counter() - began


def listen_seconds(config: Path, port: int) -> float:
    """Start the listener and wait until its port takes a connection."""
    began = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "agent", "--config", str(config), "listen"], stderr=subprocess.DEVNULL
    )
    try:
        while process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return time.perf_counter() - began
            time.sleep(0.002)
        raise SystemExit(f"listen ended with {process.returncode}")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def loaded_modules(config: Path) -> set[str]:
    """Which modules a listener's imports bring along."""
    code = f"""
import sys, json
from agent.commands import processes
from dicom_node.listener import Listener
from agent.config import read_config
from pathlib import Path
read_config(Path({str(config)!r}))
print(json.dumps(sorted(sys.modules)))
"""
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)  # noqa: S603
    return set(json.loads(found.stdout))


def main() -> None:
    """Measure and print a table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    with tempfile.TemporaryDirectory() as folder:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        config = Path(folder) / "wetread.toml"
        config.write_text(f'[node]\nbind_address = "127.0.0.1"\nport = {port}\ndata_folder = "{folder}/data"\n')
        command = [sys.executable, "-m", "agent", "--config", str(config), "db", "upgrade"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
        pairs = [(bare_seconds(), listen_seconds(config, port)) for _ in range(rounds)]
        modules = loaded_modules(config)
    ratio = statistics.median(listen / bare for bare, listen in pairs)
    print(f"Python {platform.python_version()}, {platform.machine()}, {rounds} rounds, medians")
    print(f"bare import          {statistics.median(bare for bare, _ in pairs):.2f} s")
    print(f"listen, port open    {statistics.median(listen for _, listen in pairs):.2f} s")
    print(f"ratio                {ratio:.2f}  (limit {LIMIT})")
    for heavy in ("torch", "highdicom", "celery"):
        print(f"{heavy:20} {'imported' if heavy in modules else 'not imported'}")
    sys.exit(0 if ratio <= LIMIT and "torch" not in modules else 1)


if __name__ == "__main__":
    main()
