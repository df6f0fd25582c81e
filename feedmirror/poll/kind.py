"""What makes a kind of source: how it is described, and what a look at it does."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from feedmirror.checks import Check
from feedmirror.models import Outcome
from feedmirror.poll.visit import Visit


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of source.

    `look` looks at one: it stores what it finds, and says how it went. It may raise FetchError and ParseError, which
    are the source's failures, and what pymongo raises. `keys` are what only this kind has in the sources file, each
    with its check; `mistakes` says what does not go together in a table whose keys are well, each with the key to look
    at. `every_s` is how often to look where nothing is said; None: it adapts.
    """

    look: Callable[[Visit], Outcome]
    keys: Mapping[str, Check] = field(default_factory=dict)
    mistakes: Callable[[Mapping[str, object]], Iterable[tuple[str, str]]] = lambda _: ()
    every_s: float | None = None
