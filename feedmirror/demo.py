"""A small feed server of our own: a new, invented question every few seconds, in the shape of Stack Overflow's feed.

    python -m feedmirror.demo [--port N] [--every SECONDS] [--sources FILE]

For trying the mirror without a network. It keeps to what the real feed does and what a reader has to cope with:
the feed's own <updated> is the time of the fetch, votes change while an entry's <updated> stays, and what is
unchanged is a 304. Nothing of it is kept; each start has new questions.
"""

import argparse
import contextlib
import json
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random, SystemRandom
from xml.sax.saxutils import escape as xml_escape

from feedmirror.invented import Question, questions

ENTRIES = 30
FEED_PATH = "/feeds"

_HISTORY = timedelta(minutes=30)
# Numbers grow with time, so that a later start never gives an old question's number to a new one.
_FIRST_NUMBER_AT = datetime(2023, 11, 14, tzinfo=UTC)
_TAG_SCHEME = "/tags"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question with its place in the feed."""

    number: int
    question: Question
    at: datetime
    votes: int = 0

    @property
    def path(self) -> str:
        return f"/questions/{self.number}/{self.question.slug}"


class InventedFeed:
    """The newest questions at any time; safe with any number of threads.

    Nothing runs in the background: asked for its entries, it catches up with what became due meanwhile.
    """

    def __init__(self, *, random: Random, every_s: float, now: datetime):
        self._random = random
        self._every_s = every_s
        self._questions = questions(random)
        self._lock = threading.Lock()
        self._entries: deque[Asked] = deque(maxlen=ENTRIES)
        self._run = f"{now.timestamp():.6f}"
        self._changes = 0
        for step in range(ENTRIES):
            self._ask(now - _HISTORY * (1 - (step + random.random()) / ENTRIES))
        self._next_at = now + self._pause()

    def entries(self, now: datetime) -> tuple[str, tuple[Asked, ...]]:
        """The entity tag and the entries as of `now`, newest first."""
        with self._lock:
            # After a long sleep of the machine, only as many as the feed can show are made up.
            self._next_at = max(self._next_at, now - timedelta(seconds=ENTRIES * self._every_s))
            while self._next_at <= now:
                self._ask(self._next_at)
                self._vote()
                self._next_at += self._pause()
            return f'W/"{self._run}-{self._changes}"', tuple(reversed(self._entries))

    def _ask(self, at: datetime) -> None:
        number = int((at - _FIRST_NUMBER_AT).total_seconds())
        if self._entries:
            number = max(number, self._entries[-1].number + 1)
        votes = self._random.choice((0, 0, 0, 0, 1, -1))
        self._entries.append(Asked(number=number, question=next(self._questions), at=at, votes=votes))
        self._changes += 1

    def _vote(self) -> None:
        if self._random.random() < 0.5:
            place = self._random.randrange(len(self._entries))
            voted = self._entries[place]
            self._entries[place] = replace(voted, votes=voted.votes + self._random.choice((1, 1, 1, -1)))

    def _pause(self) -> timedelta:
        return timedelta(seconds=self._every_s * self._random.uniform(0.6, 1.4))


def atom(entries: Sequence[Asked], *, site: str, now: datetime) -> bytes:
    """Write the feed as Stack Overflow does, with `site` in place of its address."""
    return "\n".join(
        [
            '<?xml version="1.0" encoding="utf-8"?>',
            '<feed xmlns="http://www.w3.org/2005/Atom"'
            ' xmlns:creativeCommons="http://backend.userland.com/creativeCommonsRssModule"'
            ' xmlns:re="http://purl.org/atompub/rank/1.0">',
            '    <title type="text">Recent Questions - Invented by Feedmirror</title>',
            f'    <link rel="self" href="{site}{FEED_PATH}" type="application/atom+xml" />',
            f'    <link rel="alternate" href="{site}/questions" type="text/html" />',
            f"    <subtitle>most recent {ENTRIES} from {xml_escape(site)}</subtitle>",
            f"    <updated>{_time(now)}</updated>",
            f"    <id>{site}{FEED_PATH}</id>",
            "    <creativeCommons:license>https://creativecommons.org/publicdomain/zero/1.0/rdf"
            "</creativeCommons:license>",
            *(_entry(asked, site) for asked in entries),
            "</feed>",
        ]
    ).encode()


def _entry(asked: Asked, site: str) -> str:
    question = asked.question
    categories = "\n".join(
        f'            <category scheme="{site}{_TAG_SCHEME}" term="{_quoted(tag)}" />' for tag in question.tags
    )
    return f"""    <entry>
        <id>{site}/q/{asked.number}</id>
        <re:rank scheme="{site}">{asked.votes}</re:rank>
        <title type="text">{_quoted(question.title)}</title>
{categories}
        <author>
            <name>{_quoted(question.author)}</name>
            <uri>{site}/users/{question.author_number}</uri>
        </author>
        <link rel="alternate" href="{site}{asked.path}" />
        <published>{_time(asked.at)}</published>
        <updated>{_time(asked.at)}</updated>
        <summary type="html">
            {_quoted(question.summary)}
        </summary>
    </entry>"""


def _quoted(text: str) -> str:
    return xml_escape(text, {'"': "&quot;", "'": "&#x27;", "\n": "&#xA;", "+": "&#x2B;"})


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def sources_file(url: str) -> str:
    """A sources file that names this feed only."""
    return (
        "# Written by python -m feedmirror.demo at each start.\n"
        "[[source]]\n"
        'name = "Invented questions"\n'
        f"url = {json.dumps(url)}\n"
        'every = "1s"\n'
        "private = true\n"
        'tags = ["demo"]\n'
    )


class DemoServer(ThreadingHTTPServer):
    """Serves the feed, and a page for each question that still is in it."""

    daemon_threads = True  # an idle connection does not keep the process alive

    def __init__(self, address: tuple[str, int], feed: InventedFeed, now: Callable[[], datetime]):
        super().__init__(address, _Handler)
        self.feed = feed
        self.now = now

    @property
    def site(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def url(self) -> str:
        return self.site + FEED_PATH


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    wbufsize = -1  # head and body in one packet
    server: DemoServer

    def do_GET(self) -> None:
        now = self.server.now()
        etag, entries = self.server.feed.entries(now)
        if self.path != FEED_PATH:
            self._question(entries)
        elif etag in self.headers.get("If-None-Match", ""):
            self._answer(304, b"", {"ETag": etag})
        else:
            body = atom(entries, site=self.server.site, now=now)
            self._answer(200, body, {"ETag": etag, "Content-Type": "application/atom+xml; charset=utf-8"})

    def _question(self, entries: Sequence[Asked]) -> None:
        found = next((asked.question for asked in entries if self.path == asked.path), None)
        text = _page(found) if found else "There is no such question (any more)."
        self._answer(200 if found else 404, text.encode(), {"Content-Type": "text/html; charset=utf-8"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: a line a second would drown the rest."""


def _page(question: Question) -> str:
    title = escape(question.title)
    return f"<!doctype html><title>{title}</title><h1>{title}</h1>{question.summary}<p>{escape(question.author)}</p>"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the exit status."""
    options = _parser().parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    random = Random(options.seed if options.seed is not None else SystemRandom().random())  # noqa: S311 - no secret
    feed = InventedFeed(random=random, every_s=options.every, now=_now())
    try:
        server = DemoServer((options.host, options.port), feed, _now)
    except OSError as error:
        print(f"the demo cannot listen on {options.host}:{options.port}: {error.strerror}", file=sys.stderr)
        return 1
    with server:
        if options.sources:
            _write(options.sources, sources_file(server.url))
        _serve(server, stop)
    return 0


def _serve(server: DemoServer, stop: threading.Event) -> None:
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="demo server")
    thread.start()
    with contextlib.suppress(BrokenPipeError):  # whoever started us does not listen
        print(f"invented questions at {server.url}", flush=True)
    stop.wait()
    server.shutdown()
    thread.join()


def _write(path: Path, text: str) -> None:
    """Replace the file in one step: the worker reads it whenever it changes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _now() -> datetime:
    return datetime.now(UTC)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m feedmirror.demo", description="A feed of invented questions.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--every", type=_seconds, default=4.0, help="seconds from one question to the next (4)")
    parser.add_argument("--seed", type=int, help="the same questions at each start")
    parser.add_argument("--sources", type=Path, help="write a sources file that names this feed")
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0.01 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError("must be between 0.01 and 86400")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
