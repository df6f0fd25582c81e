"""Tables as their users set them up: a sources file, beat and a worker; and what is left when these are killed.

The API holds back one of its pages until the kill is done, so that each kill hits a run in its middle.
"""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from feedmirror.storage import Storage
from tests.feed_server import Answer, FeedServer, Reply, Request
from tests.processes import BEAT, WORKER, Running, child_of, environment, kill
from tests.waiting import wait_until

pytestmark = pytest.mark.long

LEASE_S = 3
SIZE = 3
TOKEN = "s3cret"


class HeldApi:
    """Rows behind a token, in pages of three as Django REST framework gives them; one page can be held back."""

    def __init__(self, server: FeedServer):
        self.rows: list[dict[str, Any]] = []
        self.asked: list[int] = []
        self._server = server
        self._held_page: int | None = None
        self._held = threading.Event()
        self._released = threading.Event()
        server.answer = self._answer  # type: ignore[method-assign]

    @property
    def url(self) -> str:
        return self._server.url("/api/rows/")

    def hold(self, page: int) -> None:
        """Hold back the next answer with this page, until `release`."""
        self._held, self._released = threading.Event(), threading.Event()
        self._held_page = page

    def wait_until_held(self) -> None:
        wait_until(self._held.is_set, "a request for the page that is held back")

    def release(self) -> None:
        self._held_page = None
        self._released.set()

    def _answer(self, request: Request) -> Answer:
        parts = urlsplit(request.path)
        if parts.path != "/api/rows/" or request.headers["Authorization"] != f"Token {TOKEN}":
            return Reply(b'{"detail": "Invalid token."}', status=401, headers={"Content-Type": "application/json"})
        page = int(dict(parse_qsl(parts.query)).get("page", "1"))
        self.asked.append(page)
        if page == self._held_page:
            self._held_page = None
            released = self._released
            self._held.set()
            assert released.wait(60)
        start = (page - 1) * SIZE
        more = start + SIZE < len(self.rows)
        following = f"{self.url}?page={page + 1}" if more else None
        body = {"count": len(self.rows), "next": following, "results": self.rows[start : start + SIZE]}
        return Reply(json.dumps(body).encode(), headers={"Content-Type": "application/json"})


@pytest.fixture
def held() -> Iterator[HeldApi]:
    with FeedServer() as server:
        held = HeldApi(server)
        held.rows = [{"id": number, "name": f"row {number}"} for number in range(8 * SIZE)]
        yield held
        held.release()


@pytest.fixture
def start(tmp_path: Path, database_uri: str, held: HeldApi) -> Iterator[Callable[..., Running]]:
    """Starts a program of an installation with this API; all of them are ended with the test."""
    with ExitStack() as stack:
        logs = (tmp_path / f"{number}.log" for number in range(20))

        def start(command: list[str]) -> Running:
            env = environment(
                MONGODB_URI=database_uri,
                FEEDMIRROR_SOURCES=str(tmp_path / "sources.toml"),
                FEEDMIRROR_LEASE=f"{LEASE_S}s",
                ROWS_TOKEN=TOKEN,
            )
            program = stack.enter_context(Running(command, next(logs), env))
            stack.callback(kill, program)
            return program

        yield start


@pytest.fixture
def mirror_every(tmp_path: Path, held: HeldApi) -> Callable[[str], None]:
    """Writes the sources file."""

    def write(every: str) -> None:
        (tmp_path / "sources.toml").write_text(
            f"""
            [[source]]
            name = "Rows"
            kind = "api"
            url = "{held.url}"
            every = "{every}"
            private = true
            paging = "next"
            items = "results"
            key = "id"
            headers = {{ Authorization = "Token ${{ROWS_TOKEN}}" }}
            columns = ["id", {{ name = "name", title = "Name" }}]
            """
        )

    return write


def listed(storage: Storage) -> list[Any]:
    return [json.loads(row.text) for row in storage.sheets.every("rows")]


def changes(storage: Storage, after_us: int = 0) -> list[tuple[int, bool]]:
    """The rows that changed after a stamp, oldest change first, and whether they are gone."""
    update = storage.sheets.since("rows", after_us=after_us, limit=500)
    return [(json.loads(row.text)["id"], row.gone) for row in reversed(update.rows)]


def is_complete(storage: Storage) -> bool:
    standing = storage.sheets.standing("rows")
    return standing.complete_at is not None and standing.walking is None


def test_a_table_follows_its_api(
    storage: Storage, held: HeldApi, start: Callable[..., Running], mirror_every: Callable[[str], None]
) -> None:
    mirror_every("1s")
    worker = start([*WORKER, "-B"])
    wait_until(lambda: listed(storage) == held.rows, "every row")
    head = storage.clock.head_us()
    held.hold(1)
    held.wait_until_held()  # no run is under way now that has seen the rows of before
    held.rows = [
        {"id": -1, "name": "new"},
        *({**row, "name": "changed"} if row["id"] == 5 else row for row in held.rows if row["id"] not in (7, 20)),
    ]
    held.release()
    wait_until(lambda: len(changes(storage, head)) == 4, "what changed")
    assert sorted(changes(storage, head)) == [(-1, False), (5, False), (7, True), (20, True)]
    wait_until(lambda: listed(storage) == held.rows, "the new order")
    # nothing is written while nothing changes
    runs, head = len(held.asked), storage.clock.head_us()
    wait_until(lambda: len(held.asked) > runs + 20, "two more runs")
    assert storage.clock.head_us() == head
    assert [column.title for column in storage.sheets.standing("rows").columns] == ["Id", "Name"]
    assert "Traceback" not in worker.output
    assert TOKEN not in worker.output


@pytest.mark.parametrize("victim", ["pool child", "worker"])
def test_a_run_that_is_killed_goes_on_at_its_page(
    storage: Storage,
    held: HeldApi,
    start: Callable[..., Running],
    mirror_every: Callable[[str], None],
    victim: str,
) -> None:
    mirror_every("1h")
    start(BEAT)
    worker = start(WORKER)
    for page in (4, 6):  # twice within the same run
        held.hold(page)
        held.wait_until_held()
        stored = storage.sheets.since("rows", after_us=0, limit=500).rows
        assert [json.loads(row.text) for row in reversed(stored)] == held.rows[: (page - 1) * SIZE]
        if victim == "worker":
            kill(worker)
            worker = start(WORKER)
        else:
            os.kill(child_of(worker.process.pid), signal.SIGKILL)
        held.release()
    wait_until(lambda: is_complete(storage), "the end of the run")
    assert held.asked == [1, 2, 3, 4, 4, 5, 6, 6, 7, 8]
    assert listed(storage) == held.rows
    # each once, in the order in which they came
    assert changes(storage) == [(row["id"], False) for row in held.rows]
    assert storage.sheets.standing("rows").rows == len(held.rows)


def test_a_run_that_is_killed_marks_nothing_as_gone_until_it_is_at_its_end(
    storage: Storage, held: HeldApi, start: Callable[..., Running], mirror_every: Callable[[str], None]
) -> None:
    mirror_every("1s")
    start(BEAT)
    worker = start(WORKER)
    wait_until(lambda: is_complete(storage), "the first run")
    former = list(held.rows)
    head = storage.clock.head_us()
    held.hold(1)
    held.wait_until_held()  # no run is under way now that has seen the rows of before
    gone = {2, 10, 23}
    held.rows = [{**row, "name": "changed"} if row["id"] == 4 else row for row in former if row["id"] not in gone]
    held.release()
    held.hold(6)
    held.wait_until_held()
    kill(worker)
    held.release()
    assert changes(storage, head) == [(4, False)]
    assert [row["id"] for row in listed(storage)] == [row["id"] for row in former]
    asked = len(held.asked)
    start(WORKER)
    wait_until(lambda: len(changes(storage, head)) == 1 + len(gone), "the end of the run")
    assert held.asked[asked : asked + 2] == [6, 7]
    assert set(changes(storage, head)) == {(4, False), *((one, True) for one in gone)}
    wait_until(lambda: listed(storage) == held.rows, "the rows that are left")
