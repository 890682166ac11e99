"""Logs: one event a line, static names, identifiers of objects only. No patient, no report text.

Exceptions are logged with their type and the places in the code: their messages may quote a data set.
"""

from __future__ import annotations

import logging
import sys
import traceback
import warnings
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

from agent.config import LogConfig


def set_up(config: LogConfig) -> None:
    """Send structlog and the standard library's loggers to stderr. Once per process."""
    as_json = config.format == "json" or (config.format == "auto" and not sys.stderr.isatty())
    renderer = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=False)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _exception_without_words,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(config.level.upper())
    for noisy in ("pynetdicom", "PIL", "kombu", "celery.utils", "uvicorn.access", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING if config.level != "debug" else logging.INFO)
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # its warnings quote what stands in a header
    warnings.filterwarnings("ignore", module="pydicom")


def _exception_without_words(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Replace exc_info by the type of the exception and the lines that it passed."""
    raised = event.pop("exc_info", None)
    if raised is True:
        raised = sys.exc_info()
    if isinstance(raised, BaseException):
        raised = (type(raised), raised, raised.__traceback__)
    if isinstance(raised, tuple) and raised[0] is not None:
        frames = traceback.extract_tb(raised[2])
        event["error"] = raised[0].__name__
        event["at"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-12:]]
    return event
