"""yarr's expectations: Go expressions behind an `@` in the comment that each file begins with.

The comment stands before the XML declaration, so yarr's own tests take it away first, and so does this.
"""

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .case import Case, Claim, files, has_shorter_text

_COMMENT = re.compile(rb"\A\s*(?:<!--(.*?)-->|/\*(.*?)\*/)\s*", re.DOTALL)
_COUNT = re.compile(r"len\(feed\.Items\) == (\d+)")
_TEXT = re.compile(r'feed\.(?:Items\[(\d+)\]\.)?(Title|URL|Content) == (".*")')
_DATE = re.compile(r"feed\.Items\[(\d+)\]\.Date == time\.Date\(([\d, ]+), time\.UTC\)")
_FIELDS = {"Title": "title", "URL": "link", "Content": "summary"}


def cases(folder: Path) -> Iterator[Case]:
    for path in files(folder):
        body = path.read_bytes()
        comment = _COMMENT.match(body)
        text = b"".join(filter(None, comment.groups())).decode() if comment else ""
        body = body[comment.end() :] if comment else body
        short = has_shorter_text(body)
        yield Case(
            project="yarr",
            name=path.relative_to(folder).as_posix(),
            body=body,
            claims=tuple(claim for claim in _claims(text) if claim.field != "summary" or not short),
        )


def _claims(comment: str) -> Iterator[Claim]:
    for line in comment.splitlines():
        if not line.strip().startswith("@"):
            continue
        if match := _COUNT.search(line):
            yield Claim(None, "count", int(match[1]))
        elif match := _TEXT.search(line):
            yield Claim(_index(match[1]), _FIELDS[match[2]], _value(match[3]))
        elif match := _DATE.search(line):
            parts = [int(part) for part in match[2].split(",")]
            yield Claim(int(match[1]), "published or updated", datetime(*parts[:6], tzinfo=UTC))


def _index(digits: str | None) -> int | None:
    return None if digits is None else int(digits)


def _value(literal: str) -> Any:
    return ast.literal_eval(literal)
