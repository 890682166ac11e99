"""The worker: a Celery worker whose one child holds the model and reads whatever the worklist has due.

Celery runs `-P prefork -c 1`: the parent stays responsive, a child that dies is replaced at once, and torch is imported
only after the fork (loaded in the parent it hangs in the child, measured). In the child a thread for each
slot of the reader claims from the worklist whenever it is free, on the bell of a task or every two seconds; what they
read is written together, token by token. A thread or two more have the next films decoded and prepared before a slot is
free, and one claims urgent studies only, which do not wait for a free slot.
"""

from __future__ import annotations

import logging
import os
import queue
import secrets
import signal
import threading
import time
import warnings
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from importlib import import_module
from pathlib import Path

import structlog
from celery.platforms import SecurityWarning
from celery.signals import setup_logging, worker_process_init, worker_process_shutdown

from agent import loop, schema, tasks
from agent.company import Company, Occupied
from agent.config import Config, ReaderConfig
from agent.imaging.decoder import DecoderProcess
from agent.imaging.pixels import Film
from agent.loading import loading
from agent.questions import Answerer
from agent.readers.protocol import Reader, ReaderBroken, Serves
from agent.reading import Interrupted, Room, fail, read_study
from agent.routing import is_backlog_time
from dicom_node import files, mark, worklist
from dicom_node.beats import FEWER, STARTING
from dicom_node.database import Database, clock
from dicom_node.errors import LeaseLost, StoreAway, WetreadError
from dicom_node.owner import this_process

log = structlog.get_logger("work")

_IDLE_SECONDS = 2.0
_STOP_SECONDS = 20.0
_BOOKING_SECONDS = 5.0
_SLOTS_FOR_ONE_AHEAD = 8  # a film is decoded in 0.1 to 0.6 s, and a report takes seconds


class Decoders:
    """Several decoding processes, started as they are needed, for several threads."""

    def __init__(self, config: ReaderConfig, count: int) -> None:
        self._all = [
            DecoderProcess(timeout_seconds=config.decode_seconds, memory_mebibytes=config.decode_mebibytes)
            for _ in range(count)
        ]
        self._free: queue.LifoQueue[DecoderProcess] = queue.LifoQueue()  # the last used first: it runs already
        for decoder in self._all:
            self._free.put(decoder)

    def render(self, path: Path) -> Film:
        """See DecoderProcess.render; waits for a free one."""
        decoder = self._free.get()
        try:
            return decoder.render(path)
        finally:
            self._free.put(decoder)

    def close(self) -> None:
        """End them."""
        for decoder in self._all:
            decoder.close()


class Engine:
    """Claims and reads in threads of the worker's child process, as many studies at once as the reader has slots."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._stop = threading.Event()
        self._bell = threading.Event()
        self._parent = os.getppid()
        self._threads: list[threading.Thread] = []
        self._company = Company()
        self._broken = threading.Event()
        self._resources = ExitStack()
        self._pulse = loop.Pulse(patience_seconds=max(60, config.node.lease_seconds))

    def start(self) -> None:
        """Load the model, then begin to claim: nothing is claimed that cannot be read."""
        database = Database(self._config.node.database_url)
        self._resources.callback(database.close)
        schema.check(database)
        self._heart = loop.Heart("work", database, self._stop, self._pulse)
        self._heart.start(f"{STARTING}: loads its model")
        self._resources.callback(self._heart.end)
        with self._heart.starting():
            reader = load(self._config)
        count, ahead = 1, 0
        if isinstance(reader, Serves):
            self._resources.enter_context(reader.serving())
            count = reader.slots
            ahead = 1 + count // _SLOTS_FOR_ONE_AHEAD
        decoder = Decoders(self._config.reader, min(count, os.cpu_count() or 1))
        self._resources.callback(decoder.close)
        self._room = Room(self._config, database, decoder, reader, stopping=self._stop.is_set, pulse=self._pulse.beat)
        self._pulse.beat()
        self._slots = self._told = count
        self._heart.say(self._name)
        log.info("model_loaded", reader=reader.identity.name, digest=reader.identity.digest[:12])
        spare = DecoderProcess(self._config.reader.decode_seconds, self._config.reader.decode_mebibytes)
        self._resources.callback(spare.close)
        self._answerer = Answerer(self._room, self._company, spare)
        urgent = [False] * (count + ahead) + [True] * bool(ahead)
        self._threads = [
            threading.Thread(target=self._run, args=(one,), daemon=True, name=f"engine-{i}")
            for i, one in enumerate(urgent)
        ]
        self._threads.append(threading.Thread(target=self._answer, daemon=True, name="engine-questions"))
        for thread in self._threads:
            thread.start()

    def ring(self) -> None:
        """Something is due."""
        self._bell.set()

    def stop(self) -> None:
        """Give the studies at hand back, or, where one is past interruption, let it finish."""
        self._stop.set()
        self._bell.set()
        until = time.monotonic() + _STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self._resources.close()

    def _run(self, urgent: bool) -> None:
        step = partial(self._step, urgent=urgent)
        loop.run("work", step, self._stop, idle_seconds=_IDLE_SECONDS, bell=self._bell, pulse=self._pulse)
        if self._broken.is_set():
            for thread in self._threads:  # they were told of it as well, and book it
                if thread is not threading.current_thread():
                    thread.join(_BOOKING_SECONDS)
            os._exit(1)

    def _answer(self) -> None:
        loop.run("work", self._answer_one, self._stop, idle_seconds=_IDLE_SECONDS)

    @property
    def _name(self) -> str:
        identity = self._room.reader.identity
        return f"{identity.name} {identity.precision}"

    def _tell_of_slots(self) -> None:
        """Say beside the name of the process where the device lacks memory for as many studies as configured."""
        reader = self._room.reader
        count = reader.slots if isinstance(reader, Serves) else self._told
        if count == self._told:
            return
        self._told = count
        few = f"; {FEWER}, {count} of {self._slots}: the device lacked memory" if count < self._slots else ""
        self._heart.say(self._name + few)

    def _answer_one(self) -> bool:
        self._tell_of_slots()
        try:
            return self._answerer.step()
        except ReaderBroken:
            log.exception("answering_failed")
            self._broken.set()
            self._stop.set()
            self._bell.set()
            return False

    def _step(self, *, urgent: bool) -> bool:
        if os.getppid() != self._parent:  # the Celery parent was killed; its successor has a child of its own
            os._exit(1)
        if not self._company.is_open:
            return False
        node = self._config.node
        with self._room.database.read() as tx:
            files.require(node.store_folder, mark.named(tx))
            if not worklist.is_due(tx, clock(tx), reader=self._config.reader.name):
                return False
        with self._room.database.write() as tx:
            now = clock(tx)
            claim = worklist.claim(
                tx,
                worker=this_process(),
                token=secrets.token_hex(16),
                lease=timedelta(seconds=node.lease_seconds),
                now=now,
                urgent=urgent,
                reader=self._config.reader.name,
                backlog=is_backlog_time(self._config, now),
            )
        if claim is None:
            return False
        try:
            with self._company.reading(lambda: self._hold_on(claim), alone=claim.attempt > 1):
                ended = self._read(claim)
            log.info("study_read", workitem=claim.uid, attempt=claim.attempt, ended=ended)
        except LeaseLost:
            log.warning("lease_lost", workitem=claim.uid)
        except (Interrupted, Occupied, StoreAway):
            with self._room.database.write() as tx:
                worklist.release(tx, claim, clock(tx))
            log.info("given_back", workitem=claim.uid)
            return False
        except Exception as error:
            log.exception("reading_failed", workitem=claim.uid)
            self._give_back(claim, error)
            if isinstance(error, ReaderBroken):
                self._broken.set()
                self._stop.set()
                self._bell.set()
        return True

    def _read(self, claim: worklist.Claim) -> str:
        try:
            return read_study(self._room, claim)
        except OSError:  # of a file that was there a moment ago, or of its folder
            files.require(self._config.node.store_folder)
            raise

    def _hold_on(self, claim: worklist.Claim) -> None:
        """Keep a claim whose reading has to wait for others. Raises LeaseLost or Interrupted."""
        self._pulse.beat()
        if self._stop.is_set():
            raise Interrupted("the worker stops")
        with self._room.database.write() as tx:
            worklist.renew(tx, claim, lease=timedelta(seconds=self._config.node.lease_seconds), now=clock(tx))

    def _give_back(self, claim: worklist.Claim, error: Exception) -> None:
        """Book the failed attempt; where that fails as well, the lease does it."""
        words = f"the reading failed with {type(error).__name__}; the log of `work` says where"
        explanation = str(error) if isinstance(error, WetreadError) else words
        fail(self._room, claim, reason="reading-failed", explanation=explanation)


def load(config: Config) -> Reader:
    """Load the configured reader; the only line outside agent.readers that leads to torch."""
    with loading():
        from agent.readers import READERS, demonstration_checkpoint, load_reader

        if config.reader.name in READERS:
            import_module(READERS[config.reader.name])
    checkpoint = config.reader.checkpoint or demonstration_checkpoint()
    reader = config.reader
    return load_reader(
        reader.name,
        Path(checkpoint),
        reader.precision,
        device=reader.device,
        slots=reader.slots,
        memory_gibibytes=reader.memory_gibibytes,
        framing=reader.framing,
        seconds=reader.seconds,
    )


def run(config: Config) -> None:
    """Be the Celery worker until SIGTERM."""
    engines: list[Engine] = []

    def ring() -> None:
        for engine in engines:
            engine.ring()

    app = tasks.make_app(config.broker_url, on_ring=ring)

    def child_started(**_: object) -> None:
        engine = Engine(config)
        try:
            engine.start()
            engines.append(engine)
        except WetreadError as error:
            log.error("cannot_start", explanation=str(error))
        finally:
            # Celery would only log it and keep a worker that never reads: end, and be started again, ever later.
            if not engines:
                engine.stop()
                os.kill(os.getppid(), signal.SIGQUIT)

    def child_stops(**_: object) -> None:
        for engine in engines:
            engine.stop()

    def keep_our_log(**_: object) -> None:
        """Celery would set the root logger to WARNING, and how each study ended would stand nowhere."""
        for noisy in ("celery", "kombu", "amqp"):
            logging.getLogger(noisy).setLevel(logging.WARNING)

    setup_logging.connect(keep_our_log, weak=False)
    worker_process_init.connect(child_started, weak=False)
    worker_process_shutdown.connect(child_stops, weak=False)
    # Root is no danger here: only JSON is accepted, and a message's content is not even looked at.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    options = ["--pool=prefork", "--concurrency=1", "--without-gossip", "--without-mingle", "--loglevel=WARNING"]
    app.worker_main(["--quiet", "worker", *options])
