"""gofeed's expectations: beside `X.xml` an `X.json` with the parsed feed, empty fields left out.

`parser/` holds each format's own structure, `translator/` one for all formats.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from .case import Case, Claim, files


def cases(folder: Path) -> Iterator[Case]:
    for path in files(folder):
        expected = _expected(path)
        if path.suffix == ".json" and expected is None and _is_expectation(path):
            continue
        yield Case(
            project="gofeed",
            name=path.relative_to(folder).as_posix(),
            body=path.read_bytes(),
            claims=tuple(_claims(expected, path)) if expected else (),
        )


def _is_expectation(path: Path) -> bool:
    return path.with_suffix(".xml").exists() or path.stem.endswith("_expected")


def _expected(path: Path) -> dict[str, Any] | None:
    beside = path.with_suffix(".json") if path.suffix == ".xml" else path.with_name(f"{path.stem}_expected.json")
    if not beside.exists():
        return None
    try:
        expected = json.loads(beside.read_text("utf-8"))
    except ValueError:
        return None
    return expected if isinstance(expected, dict) else None


def _claims(expected: dict[str, Any], path: Path) -> Iterator[Claim]:
    if isinstance(expected.get("title"), str):
        yield Claim(None, "title", expected["title"])
    items = expected.get("items", expected.get("entries"))
    if not isinstance(items, list):
        return
    yield Claim(None, "count", len(items))
    for index, item in enumerate(items):
        yield from _item_claims(index, item)


def _item_claims(index: int, item: dict[str, Any]) -> Iterator[Claim]:
    if item.get("title"):
        yield Claim(index, "title", item["title"])
    if link := item.get("link") or item.get("url"):
        yield Claim(index, "link", link)
    for field in ("published", "updated"):
        moment = item.get(f"{field}Parsed") or item.get("pubDateParsed" if field == "published" else "")
        if moment:
            yield Claim(index, field, datetime.fromisoformat(moment))
    if summary := _summary(item):
        yield Claim(index, "summary", summary)
    for author in item.get("authors") or ([item["author"]] if item.get("author") else []):
        name = author if isinstance(author, str) else author.get("name") or author.get("email")
        if name:
            yield Claim(index, "author", name, exact=False)
    for category in item.get("categories") or item.get("tags") or []:
        if tag := category if isinstance(category, str) else category.get("term") or category.get("value"):
            yield Claim(index, "tags", tag, exact=False)


def _summary(item: dict[str, Any]) -> str | None:
    """The text that the mirror keeps: the shorter one first."""
    for name in ("description", "summary", "content_html", "content_text", "content"):
        text = item.get(name)
        if isinstance(text, dict):
            text = text.get("value")
        if isinstance(text, str) and text.strip():
            return text
    return None
