"""What there is to ask here, for programs: GET /openapi.json, as OpenAPI 3.1.

One description, put together from parts; what is a limit comes from where it is kept to. That each address of the tree
is in it, and that the site behaves as it says, is held by tests.
"""

import json
from functools import cache

from feedmirror import __version__
from feedmirror.web.answer import Answer, json_answer
from feedmirror.web.export import FORMATS
from feedmirror.web.openapi.parts import Json
from feedmirror.web.openapi.paths import PATHS
from feedmirror.web.openapi.schemas import SCHEMAS

__all__ = ["FORMATS", "answer", "description"]

_ABOUT = """\
A live mirror of feeds and paginated APIs.

Whoever may reach this site may read. Whatever changes something (POST, DELETE) is accepted only from the machine that
it runs on: from loopback, without `Forwarded` or `X-Forwarded-For`, with a `Host` that is ours and, from a browser,
from a page of ours (`Origin`, `Sec-Fetch-Site`); everything else is answered with 403.

A parameter that is known must be right, or the answer is 400 and names it. One that is not known is ignored, since
caches, proxies and scripts add their own; a field of a body that is not known is refused. Every GET may be a HEAD; any
other method is answered with 405 and an `Allow` that names those that there are.

A list that goes on is led on by `Link` with rel="next". While the database is away the answer is 503 with Retry-After.
"""


def answer() -> Answer:
    """Answer GET /openapi.json."""
    return json_answer(_text())


@cache
def _text() -> str:
    return json.dumps(description(), ensure_ascii=False, indent=1)


def description() -> Json:
    """The whole of it."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Feedmirror", "version": __version__, "description": _ABOUT},
        "paths": PATHS,
        "components": {"schemas": SCHEMAS},
    }
