"""Settings from the environment.

Every mistake is reported at once, with what to do about it. Nothing here connects to anything: which MongoDB is
meant is an address, the environment's or the one that the bundled MongoDB left in its data directory.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from os import environ
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from feedmirror import data_lock
from feedmirror.errors import ConfigError

_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that the environment decides. Each default carries its reason; README has them in one table."""

    # Only this machine can look at the page until somebody decides otherwise.
    host: str = "127.0.0.1"
    port: int = 8080
    mongodb_uri: str | None = None
    broker_url: str | None = None
    sources_path: Path = _ROOT / "sources.toml"
    data_dir: Path = _ROOT / "data"
    # Of the site; standard error unless there is one. The worker has --logfile.
    log_path: Path | None = None
    # A publisher that needs longer for a whole feed is down for all that a reader can tell.
    fetch_deadline_s: float = 20
    # The largest genuine feeds seen are below 10 MB; the rest is a mistake or an attack.
    fetch_max_bytes: int = 15 * 1024 * 1024
    # Of a source seen for the first time, the older pages too, where its feed leads to them: enough to fill a page of
    # ours, and no more requests than a reader's browser makes for one article.
    first_pages: int = 10
    # Of one group (a host and port, or what sources call one): fewer than the six that a browser opens to a host.
    group_in_flight: int = 4
    # One a second is no more than a reader who clicks, whatever number of feeds the host has.
    group_per_minute: int = 60
    # Long enough for any real poll; a process that dies is noticed sooner, by its heartbeat.
    lease_s: float = 120
    # Of each worker process: requests under way at once. Ten thousand sources every five minutes are 33 a second; at a
    # third of a second each, and with 2 % that hang for the whole deadline, that is 24.
    threads: int = 32
    # Where data sets are asked for by their codes: Nasdaq Data Link, which was Quandl.
    datasets_url: str | None = None
    datasets_key: str | None = field(default=None, repr=False)
    # The longest series are some ten megabytes, which a slow line takes a minute for.
    datasets_deadline_s: float = 60
    datasets_max_bytes: int = 200_000_000
    # Most series get a row a day: asking again within an hour brings the same.
    datasets_fresh_s: float = 3600
    # How a job went is asked for by whoever began it, that day.
    jobs_kept_s: float = 86_400
    # Of `make serve`: so that one goes on where the other is started anew. Each answers some thousand polls a second.
    processes: int = 2
    # Of each web process: the newest items, kept in memory so that a poll need not ask the database. Half an hour of a
    # stream that brings three a second.
    window_items: int = 5_000
    # What they may take: as many of ordinary length are a third of it.
    window_bytes: int = 100_000_000

    @classmethod
    def from_environ(cls, env: Mapping[str, str] = environ) -> "Settings":
        """Read the settings; raises ConfigError with every mistake in it."""
        values: dict[str, Any] = {}
        mistakes: list[str] = []
        for name, (variable, read) in _VARIABLES.items():
            text = env.get(variable, "").strip()
            if not text:
                continue
            try:
                values[name] = read(text)
            except ValueError as error:
                shown = "" if name in _SECRETS else f"={text[:80]!r}"
                mistakes.append(f"{variable}{shown}: {error}")
        if mistakes:
            raise ConfigError(mistakes)
        return cls(**values)

    @property
    def database_uri(self) -> str:
        """The MongoDB that is meant: MONGODB_URI, else where the bundled one was last started."""
        if self.mongodb_uri:
            return self.mongodb_uri
        try:
            # a copy of a data directory carries the address of the original's, and is in use by no process
            if data_lock.holder(self.data_dir) is not None:
                return self.bundled_uri_path.read_text("utf-8").strip()
        except OSError:  # not usable yet, or another user's
            pass
        raise ConfigError(
            ["no MongoDB: start the bundled one with `make db` (or everything with `make run`), or set MONGODB_URI"]
        )

    @property
    def bundled_uri_path(self) -> Path:
        return self.data_dir / "mongodb-uri"

    @property
    def celery_broker_url(self) -> str:
        """CELERY_BROKER_URL, else the MongoDB that keeps the items: a new user needs nothing else."""
        return self.broker_url or self.database_uri


def _integer(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"\d{1,12}", text) or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return read


def _seconds(low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        seconds = duration_s(text)
        if not low <= seconds <= high:
            raise ValueError(f"must be from {low:g} s to {high:g} s")
        return seconds

    return read


def _mongodb_uri(text: str) -> str:
    if not text.startswith(("mongodb://", "mongodb+srv://")):
        raise ValueError("must begin with mongodb:// or mongodb+srv://")
    return text


def _http_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be an http or https address without a query")
    return text.rstrip("/")


def _header_value(text: str) -> str:
    if not all(" " < sign <= "~" for sign in text):
        raise ValueError("must be printable ASCII without spaces")
    return text


def _path(text: str) -> Path:
    return Path(text).expanduser().resolve()


_VARIABLES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "host": ("HOST", str),
    "port": ("PORT", _integer(1, 65535)),
    "mongodb_uri": ("MONGODB_URI", _mongodb_uri),
    "broker_url": ("CELERY_BROKER_URL", str),
    "sources_path": ("FEEDMIRROR_SOURCES", _path),
    "data_dir": ("FEEDMIRROR_DATA", _path),
    "log_path": ("FEEDMIRROR_LOG", _path),
    "fetch_deadline_s": ("FEEDMIRROR_FETCH_DEADLINE", _seconds(1, 60)),
    "fetch_max_bytes": ("FEEDMIRROR_FETCH_MAX_BYTES", _integer(10_000, 1_000_000_000)),
    "first_pages": ("FEEDMIRROR_FIRST_PAGES", _integer(1, 1000)),
    "group_in_flight": ("FEEDMIRROR_GROUP_IN_FLIGHT", _integer(1, 1000)),
    "group_per_minute": ("FEEDMIRROR_GROUP_PER_MINUTE", _integer(1, 100_000)),
    "lease_s": ("FEEDMIRROR_LEASE", _seconds(1, 3600)),
    "threads": ("FEEDMIRROR_THREADS", _integer(1, 500)),
    "datasets_url": ("FEEDMIRROR_DATASETS_URL", _http_url),
    "datasets_key": ("FEEDMIRROR_DATASETS_KEY", _header_value),
    "datasets_deadline_s": ("FEEDMIRROR_DATASETS_DEADLINE", _seconds(1, 600)),
    "datasets_max_bytes": ("FEEDMIRROR_DATASETS_MAX_BYTES", _integer(10_000, 2_000_000_000)),
    "datasets_fresh_s": ("FEEDMIRROR_DATASETS_FRESH", _seconds(0, 366 * 86_400)),
    "jobs_kept_s": ("FEEDMIRROR_JOBS_KEPT", _seconds(60, 366 * 86_400)),
    "processes": ("FEEDMIRROR_PROCESSES", _integer(1, 500)),
    "window_items": ("FEEDMIRROR_WINDOW_ITEMS", _integer(1, 1_000_000)),
    "window_bytes": ("FEEDMIRROR_WINDOW_BYTES", _integer(100_000, 100_000_000_000)),
}

_SECRETS = frozenset({"datasets_key"})

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def duration_s(text: str) -> float:
    """Seconds of "30s", "5m", "2h", "1d" or a plain number of seconds; raises ValueError."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)\s*([smhd]?)", text.strip())
    if not match:
        raise ValueError('must be a time such as "30s", "5m", "2h" or "1d"')
    return float(match[1]) * _UNITS_S[match[2] or "s"]
