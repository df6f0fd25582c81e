"""A feed of invented questions, in the shape of Stack Overflow's.

It keeps to what the real feed does and what a reader has to cope with: the feed's own <updated> is the time of the
fetch, and votes change while an entry's <updated> stays. It knows no HTTP but the entity tag.
"""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from xml.sax.saxutils import escape as xml_escape

from feedmirror.demo.questions import Question, questions

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
