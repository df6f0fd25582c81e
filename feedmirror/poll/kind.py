"""What makes a kind of source: how it is described, and what a look at it does."""

from collections.abc import Callable
from dataclasses import dataclass

from feedmirror.models import Outcome
from feedmirror.poll.visit import Visit


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of source.

    `look` looks at one: it stores what it finds, and says how it went. It may raise FetchError, ParseError, which are
    the source's failures, and what pymongo raises.
    """

    look: Callable[[Visit], Outcome]
