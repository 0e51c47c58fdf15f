"""Logs and metrics. Nothing leaves the machine, and no secret reaches either.

Logs go to stderr: lines for people on a terminal, JSON elsewhere. Metrics are Prometheus's; the
workers of one server share a directory, so that any of them can answer for all.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, multiprocess

LEVELS: Mapping[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
FORMATS = ("auto", "console", "json")
REDACTED = "***"

_SECRET_NAMES = re.compile(
    r"authorization|secret|password|cookie|security-token|^signature$|x-amz-signature"
    r"|^token$|access_token|session_token",
    re.IGNORECASE,
)
_QUERY_SECRETS = re.compile(
    r"(?i)\b(signature|x-amz-signature|x-amz-security-token|secret[^=&]*|password|token)=[^&\s]+"
)

Event = MutableMapping[str, Any]


def redact_query(query: str) -> str:
    """Return a query string without the values of signatures and tokens."""
    return _QUERY_SECRETS.sub(rf"\1={REDACTED}", query)


def _redact(_logger: object, _method: str, event: Event) -> Event:
    for name, value in event.items():
        if _SECRET_NAMES.search(name):
            event[name] = REDACTED
        elif isinstance(value, str) and "=" in value:
            event[name] = redact_query(value)
    return event


def configure_logs(*, level: str, format: str, process: str) -> None:
    """Send structured logs, and those of libraries, to stderr; `process` is in every line.

    `level` is one of LEVELS; `format` one of FORMATS, auto being console on a terminal.
    """
    is_console = format == "console" or (format == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _redact,
    ]
    ending: list[Any] = (
        [structlog.dev.ConsoleRenderer(colors=True)]
        if is_console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)
    handler = logging.StreamHandler(sys.stderr)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
    )
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries say much that is of no use to whoever runs a server.
    root.setLevel(max(LEVELS[level], logging.WARNING))


def logger(name: str) -> Any:
    """Return a logger: `logger("jobs").info("swept", tokens=3)`."""
    return structlog.get_logger().bind(part=name)


class Metrics:
    """The numbers of one process, or of all workers of a server when they share a directory.

    `is_shared` wants PROMETHEUS_MULTIPROC_DIR in the environment from the process's start on.
    """

    def __init__(self, *, is_shared: bool = False) -> None:
        self._is_shared = is_shared
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "anabranch_http_requests",
            "HTTP requests answered.",
            ("surface", "method", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "anabranch_http_request_seconds",
            "Time from a request's headers to the end of its answer.",
            ("surface",),
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
            registry=self._registry,
        )
        self._jobs = Counter(
            "anabranch_job_items",
            "Things that background jobs dealt with.",
            ("job",),
            registry=self._registry,
        )
        self._by_labels: dict[tuple[str, str, int], Any] = {}
        self._by_surface: dict[str, Any] = {}

    def count_request(self, surface: str, method: str, status: int, seconds: float) -> None:
        """Count one answered request; `surface` is one of few names."""
        labels = (surface, method, status)
        counter = self._by_labels.get(labels)
        if counter is None:
            # A client may invent methods: only known ones get a series of their own.
            known = method if method in _METHODS else "other"
            counter = self._requests.labels(surface, known, str(status))
            if known == method:
                self._by_labels[labels] = counter
        counter.inc()
        histogram = self._by_surface.get(surface)
        if histogram is None:
            histogram = self._by_surface[surface] = self._seconds.labels(surface)
        histogram.observe(seconds)

    def count_job(self, job: str, items: int) -> None:
        """Count what a background job dealt with."""
        self._jobs.labels(job).inc(items)

    def text(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        if not self._is_shared:
            return generate_latest(self._registry)
        collected = CollectorRegistry()
        multiprocess.MultiProcessCollector(collected)  # type: ignore[no-untyped-call]  # untyped there
        return generate_latest(collected)


_METHODS = frozenset(("GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"))
