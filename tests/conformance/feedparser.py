"""feedparser's expectations: a Python expression in the comment that each file begins with.

`Expect: not bozo and entries[0]['title'] == u'Example'`, and how it was served in `Header:` lines. Of an expression
that joins comparisons by `and`, those about what the mirror keeps become claims.
"""

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from .case import Case, Claim, files, has_shorter_text

_EXPECT = re.compile(r"^\s*Expect:\s*(.+?)\s*$", re.MULTILINE)
_HEADER = re.compile(r"^\s*Header:\s*([\w-]+):\s*(.+?)\s*$", re.MULTILINE)
# Upstream serves its folder at this address, which is what relative links are resolved against.
_SERVER = "http://127.0.0.1:8097/"
_ENCODINGS = ("utf-8", "utf-32", "utf-32-le", "utf-32-be", "utf-16", "utf-16-le", "utf-16-be", "cp037", "latin-1")

_FIELDS = {
    ("title",): "title",
    ("title_detail", "value"): "title",
    ("link",): "link",
    ("author",): "author",
    ("author_detail", "name"): "author",
    ("category",): "tags[0]",
    ("published_parsed",): "published",
    ("updated_parsed",): "updated",
    ("published",): "published",
    ("updated",): "updated",
    ("summary",): "summary",
    ("description",): "summary",
    ("summary_detail", "value"): "summary",
    ("content", 0, "value"): "summary",
}


def cases(folder: Path) -> Iterator[Case]:
    for path in files(folder):
        body = path.read_bytes()
        comment = _comment(body)
        headers = {name.lower(): value for name, value in _HEADER.findall(comment)}
        name = path.relative_to(folder).as_posix()
        expect = _EXPECT.search(comment)
        yield Case(
            project="feedparser",
            name=name,
            body=body,
            claims=tuple(_claims(expect[1], body)) if expect else (),
            url=headers.get("content-location") or _SERVER + name,
            content_type=headers.get("content-type", ""),
        )


def _comment(body: bytes) -> str:
    for encoding in _ENCODINGS:
        text = body[:8_192].decode(encoding, "replace")
        if "Expect:" in text:
            return text.split("-->")[0]
    return ""


def _claims(expression: str, body: bytes) -> Iterator[Claim]:
    try:
        tree = ast.parse(expression, mode="eval").body
    except SyntaxError:
        return
    for part in tree.values if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And) else [tree]:
        if isinstance(part, ast.Compare):
            yield from _claims_of(part, body)


def _claims_of(comparison: ast.Compare, body: bytes) -> Iterator[Claim]:
    sides = [comparison.left, *comparison.comparators]
    if not all(isinstance(operator, ast.Eq) for operator in comparison.ops):
        return
    try:
        value = ast.literal_eval(_joined(sides[-1]))
    except ValueError:
        return
    for side in sides[:-1]:
        claim = _claim(side, value, body)
        if claim is not None:
            yield claim


def _joined(node: ast.expr) -> ast.expr:
    """`'a' + 'b'` as one literal; literal_eval refuses sums of texts."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _joined(node.left), _joined(node.right)
        if isinstance(left, ast.Constant) and isinstance(right, ast.Constant):
            return ast.Constant(f"{left.value}{right.value}")
    return node


def _claim(node: ast.expr, value: Any, body: bytes) -> Claim | None:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "len":
        path = _path(node.args[0])
        if path == ("entries",):
            return Claim(None, "count", value)
        return Claim(path[1], "tag count", value) if path[:1] == ("entries",) and path[2:] == ("tags",) else None
    path = _path(node)
    if path in (("feed", "title"), ("feed", "title_detail", "value")):
        return Claim(None, "title", value)
    if len(path) < 3 or path[0] != "entries":
        return None
    return _entry_claim(path[1], path[2:], value, body)


def _entry_claim(index: Any, path: tuple[Any, ...], value: Any, body: bytes) -> Claim | None:
    if path[0] == "tags" and path[2:] == ("term",):
        return Claim(index, "tags", value, exact=False)
    if path[0] == "authors" and path[2:] == ("name",):
        return Claim(index, "author", value, exact=False)
    if path[0] == "content" and has_shorter_text(body):
        return None  # the mirror keeps the shorter text
    field = _FIELDS.get(path)
    if field in ("published", "updated"):
        value = _moment(value)
    return None if field is None or value is None else Claim(index, field, value)


def _moment(value: Any) -> datetime | None:
    if isinstance(value, tuple):
        return datetime(*value[:6], tzinfo=UTC)
    try:
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        try:
            moment = datetime.fromisoformat(value)
        except (TypeError, ValueError):
            return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _path(node: ast.expr) -> tuple[Any, ...]:
    """`entries[0]['title']` as `("entries", 0, "title")`; empty for anything else."""
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute):
        inner = _path(node.value)
        return (*inner, node.attr) if inner else ()
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        inner = _path(node.value)
        return (*inner, node.slice.value) if inner else ()
    return ()
