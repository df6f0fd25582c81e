"""Runs the cases, each within a time limit, and prints how many agree."""

import argparse
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from feedmirror.commands.parse import as_json, seen
from feedmirror.errors import ParseError
from feedmirror.models import Document

from . import compare, feedparser, gofeed, yarr
from .case import Case, files

_HERE = Path(__file__).parent
_DIFFERENCES = _HERE / "differences.txt"
CORPORA = _HERE.parents[2] / "shared" / "corpora"
_READERS = {"feedparser": feedparser.cases, "gofeed": gofeed.cases, "yarr": yarr.cases}
GOAL = 0.97
# The largest file takes a tenth of a second.
_TIME_LIMIT_S = 10


@dataclass
class Score:
    """How one project's cases went."""

    files: int = 0
    stated: int = 0
    agreed: int = 0
    on_purpose: int = 0
    differing: list[str] = field(default_factory=list)
    crashed: list[str] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance")
    parser.add_argument("corpora", nargs="?", type=Path, default=CORPORA)
    parser.add_argument("--verbose", action="store_true", help="list each case that differs")
    options = parser.parse_args()
    if not options.corpora.is_dir():
        print(f"skipped: no corpora in {options.corpora}")
        return 0
    scores = run(options.corpora)
    _print(scores, verbose=options.verbose)
    return 0 if _good(scores) else 1


def run(corpora: Path) -> dict[str, Score]:
    """The score of each project below the folder."""
    on_purpose = _differences()
    signal.signal(signal.SIGALRM, _hung)
    scores: dict[str, Score] = {}
    for case in _cases(corpora):
        score = scores.setdefault(case.project, Score())
        _judge(case, score, on_purpose)
    signal.alarm(0)
    return scores


def _cases(corpora: Path) -> Iterator[Case]:
    for folder in sorted(path for path in corpora.iterdir() if path.is_dir()):
        read = _READERS.get(folder.name, _silent)
        yield from read(folder)


def _silent(folder: Path) -> Iterator[Case]:
    """Cases of a project that states nothing beside its files."""
    for path in files(folder):
        yield Case(folder.name, path.relative_to(folder).as_posix(), path.read_bytes())


def _judge(case: Case, score: Score, on_purpose: set[str]) -> None:
    score.files += 1
    name = f"{case.project}/{case.name}"
    try:
        failed = _failed_claims(case)
    except Exception as error:  # noqa: BLE001 - finding any is the purpose
        score.crashed.append(f"{name}: {error!r}")
        return
    if not case.claims:
        return
    if name in on_purpose:
        score.on_purpose += 1
        if not failed:
            score.differing.append(f"{name}: listed as a difference, and agrees")
        return
    score.stated += 1
    score.agreed += not failed
    score.differing += [f"{name}: {line}" for line in failed]


def _failed_claims(case: Case) -> list[str]:
    signal.alarm(_TIME_LIMIT_S)
    document = Document(url=case.url, body=case.body, content_type=case.content_type)
    try:
        shown = as_json(*seen(document, source_id=case.name))
    except ParseError as error:
        return [f"no feed: {error}"]
    return [_line(claim, shown) for claim in case.claims if not compare.holds(claim, shown)]


def _line(claim: Any, shown: dict[str, Any]) -> str:
    items = shown["items"]
    found: Any = len(items) if claim.field == "count" else shown["title"]
    if claim.index is not None:
        found = items[claim.index] if claim.index < len(items) else "no such item"
        found = found.get(claim.field, found) if isinstance(found, dict) else found
    return f"[{claim.index}].{claim.field} should be {claim.value!r}, is {found!r}"


def _hung(_signal: int, _frame: FrameType | None) -> None:
    raise TimeoutError(f"not done after {_TIME_LIMIT_S} s")


def _differences() -> set[str]:
    """The cases of differences.txt: `project/path: reason` lines."""
    lines = (line.strip() for line in _DIFFERENCES.read_text("utf-8").splitlines())
    return {line.split(": ")[0] for line in lines if line and not line.startswith("#")}


def agreement(scores: dict[str, Score]) -> float:
    """The share of the cases that state something we keep with which we agree; a difference on purpose is none."""
    stated = sum(score.stated + score.on_purpose for score in scores.values())
    return sum(score.agreed for score in scores.values()) / stated if stated else 1.0


def _good(scores: dict[str, Score]) -> bool:
    return agreement(scores) >= GOAL and not any(score.crashed for score in scores.values())


def _print(scores: dict[str, Score], *, verbose: bool) -> None:
    print(f"{'project':14}{'files':>7}{'stating':>9}{'agree':>7}{'':>9}{'on purpose':>12}{'crashed':>9}")
    for name, score in scores.items():
        _print_row(name, score)
    total = Score(*(sum(getattr(score, name) for score in scores.values()) for name in _NUMBERS))
    total.crashed = [line for score in scores.values() for line in score.crashed]
    _print_row("all", total)
    for score in scores.values():
        for line in [*score.crashed, *(score.differing if verbose else ())]:
            print(line)


_NUMBERS = ("files", "stated", "agreed", "on_purpose")


def _print_row(name: str, score: Score) -> None:
    stated = score.stated + score.on_purpose
    share = f"{score.agreed / stated:.1%}" if stated else "-"
    print(f"{name:14}{score.files:7}{stated:9}{score.agreed:7}{share:>9}{score.on_purpose:12}{len(score.crashed):9}")


if __name__ == "__main__":
    sys.exit(main())
