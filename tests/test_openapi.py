"""The description of the site is whole and true: against the tree of addresses, and against a live server."""

import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from feedmirror.models import Entry, Finished, Outcome, Preview, Source
from feedmirror.politeness import Demand, GroupLimits
from feedmirror.storage import Storage
from feedmirror.web import openapi, query
from feedmirror.web.app import Address, Api, Root, SeriesPages, Static, Status, Tables, Unknown
from feedmirror.web.app import Demand as Changing
from feedmirror.web.watch import Watch
from tests.fake_storage import FakeStorage
from tests.serving import ROOT, client_of, serving
from tests.table_writer import Table

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CODES = ("WIKI", "FB")


@pytest.fixture(scope="module")
def root() -> Root:
    found = client_of(FakeStorage)._application.root  # type: ignore[attr-defined]
    assert isinstance(found, Root)
    return found


def described() -> dict[str, Any]:
    paths: dict[str, Any] = openapi.description()["paths"]
    return paths


def addresses(node: object, path: str = "") -> Iterator[str]:
    """Every address of the tree that is one."""
    for name, child in vars(node).items():
        if name.startswith("_"):
            continue
        below = f"{path}/{name.replace('_', '.')}"
        match child:
            case Unknown():
                continue
            case Api():
                yield from addresses(child, below)
            case Tables():
                yield from (below, f"{below}/{{source}}")
            case SeriesPages():
                yield from (below, f"{below}/{{id}}", f"{below}/{{id}}/chart.svg")
            case Status():
                yield f"{below}/{{task_id}}"
            case Static():
                yield f"{below}/{{path}}" if below == "/static" else below
            case Address() | Changing():
                yield "/" if name == "index" else below
            case _:
                raise AssertionError(f"{below} is of a kind that this test does not know: {child}")


def test_every_address_is_described_and_no_other(root: Root) -> None:
    by_the_pipeline = {"/update", "/tables/{source}/update"}
    files = {f"/tables/{{source}}.{kind}" for kind in openapi.FORMATS}
    assert set(described()) == {*addresses(root), *by_the_pipeline, *files}


def test_the_description_is_at_its_address() -> None:
    client = client_of(FakeStorage)
    reply = client.get("/openapi.json")
    assert (reply.status, reply.json()) == (200, openapi.description())
    assert client.request("POST", "/openapi.json").headers["allow"] == "GET, HEAD"
    assert client.get("/openapi.json/x").json()["error"]


def test_methods_are_those_that_are_answered(root: Root) -> None:
    client = client_of(FakeStorage)
    for path, operations in described().items():
        allowed = client.request("QUERY", re.sub("{.*?}", "x", path)).headers["allow"].split(", ")
        assert {method.lower() for method in allowed} - {"head"} == set(operations), path


def test_limits_are_those_that_are_kept_to() -> None:
    limit = next(one for one in described()["/update"]["get"]["parameters"] if one["name"] == "limit")
    assert limit["schema"]["maximum"] == query.LARGEST_LIMIT
    client = client_of(FakeStorage)
    assert client.get(f"/update?limit={query.LARGEST_LIMIT}").status == 200
    assert client.get(f"/update?limit={query.LARGEST_LIMIT + 1}").status == 400


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (one for name, one in value.items() if name == "$ref")
        for one in value.values():
            yield from references(one)
    elif isinstance(value, list):
        for one in value:
            yield from references(one)


def test_every_part_is_there_and_of_use() -> None:
    description = openapi.description()
    named = {f"#/components/schemas/{name}" for name in description["components"]["schemas"]}
    assert set(references(description)) == named


# -- against a live server


def furnish(storage: Storage) -> None:
    """Some of everything that there is to ask for."""
    blog = Source(id="blog", name="Stack Overflow", url="https://me:secret@example.com/feed", every_s=30, tags=("b",))
    other = Source(id="other", name="Other", url="https://example.org/feed")
    table = Table(storage)
    table.watch(blog, other)
    table.run([{"id": f"coin {number}", "price": number / 3, "name": None} for number in range(130)])
    entries = {
        f"{number:056x}": Entry(title=f"Item {number}", tags=("python",), published=NOW) for number in range(120)
    }
    storage.items.store("blog", entries, now=NOW)
    for source_id, outcome in (("blog", Outcome()), ("other", Outcome(error="It answered 500"))):
        (watched,) = storage.sources.begin(storage.sources.claim_now([source_id], lease_s=30), lease_s=30)
        storage.sources.finish([Finished(watched=watched, outcome=outcome, interval_s=60)])
    storage.groups.admit({"example.com:443": Demand(3, GroupLimits(in_flight=2, per_minute=60))}, lease_s=600)
    drawn = Preview(lines={"Close": ((0.0, 1.0), (1.0, 2.0))})
    for number in range(3):
        series_id = f"{number:056x}"
        _, job = storage.series.request(series_id, CODES, fresh_s=60)
        assert job is not None
        claimed = storage.jobs.claim(job.id, lease_s=600)
        assert claimed is not None
        if number == 1:
            storage.series.succeed(claimed, b'{"dataset_data": {}}', columns=["Date", "Close"], rows=2, preview=drawn)
        if number == 2:
            storage.series.fail(claimed, "no")
    storage.jobs.insert("0" * 32, "look", "blog")


@pytest.mark.parametrize(
    ("config", "how"),
    [
        ("tests/schemathesis.toml", ("--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "6")),
        # and with addresses of anything, most of which there is not
        (None, ("--phases", "coverage", "--max-examples", "6")),
    ],
    ids=["what there is", "anything"],
)
def test_the_site_does_as_it_is_described(
    storage: Storage, tmp_path: Path, config: str | None, how: tuple[str, ...]
) -> None:
    furnish(storage)
    if config is not None:
        (tmp_path / "schemathesis.toml").write_bytes((ROOT / config).read_bytes())
    with serving(lambda: storage, 5, watch=Watch(lambda: storage)) as address:
        with urllib.request.urlopen(f"{address}/openapi.json", timeout=20) as reply:
            (tmp_path / "openapi.json").write_bytes(reply.read())
        command = [
            *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"),
            *("run", "openapi.json", "--url", address, "--checks", "all", "--generation-deterministic"),
            *("--no-color", "--continue-on-failure", *how),
        ]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stdout[-20_000:] + ended.stderr[-5_000:]
    operations = sum(map(len, described().values()))
    assert f"Tested: {operations}\n" in ended.stdout, ended.stdout
    assert "No issues found" in ended.stdout or config is None, ended.stdout
