"""How the sources fare and the politeness groups stand, as pages and as JSON, called as WSGI: the real storage."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from feedmirror.models import Entry, Finished, Outcome, Source, WatchedSource
from feedmirror.politeness import Demand, GroupLimits
from feedmirror.storage import Storage
from feedmirror.web import places
from feedmirror.web.counts import rate
from feedmirror.web.sources import kept
from feedmirror.web.sources_page import GROUPS_ON_A_PAGE, SOURCES_ON_A_PAGE
from tests.fake_storage import FakeStorage, a_source, a_standing
from tests.serving import client_of
from tests.wsgi_client import Client, Reply

SOURCES = (
    Source(id="so", name="Stack Overflow", url="https://stackoverflow.com/feeds", every_s=30),
    Source(id="lwn", name="LWN & friends", url="https://me:secret@lwn.net/rss?key=1", private=True),
)
LIMITS = GroupLimits(in_flight=4, per_minute=60)


@pytest.fixture
def client(storage: Storage) -> Client:
    storage.sources.synchronise(SOURCES, [])
    return client_of(lambda: storage)


@pytest.fixture
def fake() -> FakeStorage:
    return FakeStorage()


def next_of(reply: Reply) -> str | None:
    found = re.fullmatch(r'<(/api/sources\?[!-~]+)>; rel="next"', reply.headers.get("link", ""))
    return found[1] if found else None


def further_of(page: Reply) -> str | None:
    found = re.search(r'rel="next" href="([^"]+)"', page.text)
    return found[1].replace("&amp;", "&") if found else None


def shown_on(page: Reply) -> list[str]:
    return re.findall(r'<tr id="source-([^"]+)"', page.text)


def poll(storage: Storage, source_id: str, outcome: Outcome) -> None:
    """Let the source have been looked at, with this outcome."""
    claim = storage.sources.claim_now([source_id], lease_s=30)
    (watched,) = storage.sources.begin(claim, lease_s=30)
    storage.sources.finish([Finished(watched=watched, outcome=outcome, interval_s=60)])


def test_a_failing_source_is_seen_everywhere(client: Client, storage: Storage) -> None:
    poll(storage, "so", Outcome())
    poll(storage, "lwn", Outcome(error="The server answered 500"))
    by_id = {source["id"]: source for source in client.get("/api/sources").json()["sources"]}
    assert by_id["so"]["state"] == "live"
    assert by_id["so"]["error"] is None
    assert by_id["lwn"]["state"] == "failing"
    assert by_id["lwn"]["error"] == "The server answered 500"
    assert by_id["lwn"]["error_since"].endswith("Z")
    assert by_id["lwn"]["next_at"].endswith("Z")
    assert "The server answered 500" in client.get("/sources").text
    assert "1 of 2 sources is failing" in client.get("/").text


def test_a_source_whose_last_good_version_goes_on_says_why(client: Client, storage: Storage) -> None:
    poll(storage, "so", Outcome())
    mistake = "sources.toml, line 3: <every> is no duration"
    storage.sources.synchronise([SOURCES[1]], [mistake], kept={"so": mistake})
    by_id = {source["id"]: source for source in client.get("/api/sources").json()["sources"]}
    assert (by_id["so"]["mistake"], by_id["lwn"]["mistake"]) == (mistake, None)
    assert by_id["so"]["state"] == "live"
    shown = client.get("/sources?id=so").text
    assert "The last good version goes on" in shown
    assert shown.count("sources.toml, line 3: &lt;every&gt; is no duration") == 2  # in the file, and at the source


def test_an_overdue_source_is_one_everywhere(client: Client, database: Database[dict[str, Any]]) -> None:
    long_ago = datetime.now(UTC) - timedelta(minutes=3)
    change = {"due_at": long_ago, "overdue_at": long_ago, "looks.last_ok_at": long_ago}
    database["sources"].update_one({"_id": "so"}, {"$set": change})
    reply = client.get("/api/sources?state=overdue").json()
    assert [(one["id"], one["state"]) for one in reply["sources"]] == [("so", "overdue")]
    assert reply["sources"][0]["overdue_since"].endswith("Z")
    assert (reply["counts"]["overdue"], reply["counts"]["live"]) == (1, 0)
    assert "1 of 2 sources is overdue" in client.get("/").text
    assert "overdue for 3 min" in client.get("/sources").text


def test_sources_that_nobody_looked_at_wait(client: Client) -> None:
    assert [source["state"] for source in client.get("/api/sources").json()["sources"]] == ["waiting", "waiting"]
    assert 'id="failing" hidden' in client.get("/").text


def test_a_retired_source_is_said_to_be_one(client: Client, storage: Storage) -> None:
    storage.sources.synchronise(SOURCES[:1], [])
    states = {source["id"]: source["state"] for source in client.get("/api/sources").json()["sources"]}
    assert states == {"so": "waiting", "lwn": "retired"}


def test_secrets_in_a_source_s_address_are_not_shown(client: Client) -> None:
    for path in ("/sources", "/api/sources"):
        text = client.get(path).text
        assert "https://lwn.net/rss" in text
        assert "secret" not in text
        assert "key=1" not in text


def test_mistakes_of_the_sources_file_are_shown(client: Client, storage: Storage) -> None:
    storage.sources.synchronise(SOURCES, ["line 3: <every> is no duration"])
    assert client.get("/api/sources").json()["mistakes"] == ["line 3: <every> is no duration"]
    assert "line 3: &lt;every&gt; is no duration" in client.get("/sources").text


def test_what_was_not_well_with_a_document_is_shown_and_the_rule_of_identity(client: Client, storage: Storage) -> None:
    poll(storage, "so", Outcome(identity="link"))
    poll(storage, "lwn", Outcome(identity="guid after link", notices=("truncated", "recovered: <a> & b")))
    by_id = {source["id"]: source for source in client.get("/api/sources").json()["sources"]}
    assert (by_id["so"]["state"], by_id["so"]["notices"], by_id["so"]["identity"]) == ("live", [], "link")
    assert (by_id["lwn"]["state"], by_id["lwn"]["identity"]) == ("live", "guid after link")
    assert by_id["lwn"]["notices"] == ["truncated", "recovered: <a> & b"]
    page = client.get("/sources").text
    assert ">truncated, recovered: &lt;a&gt; &amp; b</span>" in page
    assert page.count('class="notices"') == 1
    assert '<span class="identity">items are told apart by their guid (before: link)</span>' in page
    assert page.count('class="identity"') == 1
    assert 'title="items are told apart by their link"' in page


def test_why_a_source_is_looked_at_when_it_is_and_what_it_lost_is_shown(client: Client, storage: Storage) -> None:
    claim = storage.sources.claim_now(["so"], lease_s=30)
    (watched,) = storage.sources.begin(claim, lease_s=30)
    outcome = Outcome(identity="link", listed=30, moved_to="https://me:secret@new.example/feed?tag=x")
    why = "adapts: 12 items a day, 0 of 30 shared"
    storage.sources.finish(
        [Finished(watched=watched, outcome=outcome, interval_s=60, why=why, items_per_day=12, window_lost=True)]
    )
    (shown,) = [source for source in client.get("/api/sources").json()["sources"] if source["id"] == "so"]
    assert (shown["why"], shown["items_per_day"], shown["windows_lost"]) == (why, 12, 1)
    assert shown["window_lost_at"] == shown["last_at"]
    assert shown["moved_to"] == "https://new.example/feed?tag=x"
    page = client.get("/sources").text
    assert why in page
    assert "window lost 1×" in page
    assert "moved to https://new.example/feed?tag=x" in page
    assert "secret" not in page


def test_every_moment_of_a_source_can_be_shown(fake: FakeStorage) -> None:
    now = datetime.now(UTC)
    watched: list[WatchedSource] = [
        a_source("new"),
        a_source("live", last_at=now, last_ok_at=now, last_new_at=now, next_at=now, interval_s=0.5, items=7),
        a_source("bad", last_at=now, error="no", error_since=now, failures=3),
        a_source("gone", active=False),
    ]
    fake.sources.watched = watched
    page = client_of(lambda: fake).get("/sources")
    assert page.status == 200
    assert "4</span>" in page.text


def test_each_thing_that_a_source_is_asked_for_is_in_the_json(client: Client, storage: Storage) -> None:
    source = Source(id="so", name="Stack Overflow", url="https://so.example/", group="Stack  Exchange", keep_s=86_400)
    storage.sources.synchronise([source], [])
    storage.groups.admit({"stack exchange": Demand(1, LIMITS)}, lease_s=60)
    claim = storage.sources.claim_now(["so"], lease_s=30)
    (watched,) = storage.sources.begin(claim, lease_s=30)
    finished = Finished(watched=watched, outcome=Outcome(), interval_s=60, why="adapts", items_per_day=12)
    storage.sources.finish([finished])
    (shown,) = client.get("/api/sources?id=so").json()["sources"]
    assert (shown["items_per_hour"], shown["items_per_day"]) == (0.5, 12)
    assert (shown["keep_s"], shown["keep_items"]) == (86_400, None)
    assert shown["group"] == "stack exchange"
    assert shown["limits"] == {"in_flight": 4, "per_minute": 60, "per_day": None, "per_month": None}
    page = client.get("/sources").text
    assert "Group stack exchange, 4 at once, 60 a minute · keeps 1 d" in page
    assert "0.50 an hour" in page


def test_the_group_of_a_source_that_has_moved_is_that_of_its_new_host(client: Client, storage: Storage) -> None:
    storage.groups.admit({"new.example:443": Demand(1, LIMITS)}, lease_s=60)
    for _ in range(3):
        poll(storage, "so", Outcome(moved_to="https://new.example/feed"))
    (shown,) = client.get("/api/sources?id=so").json()["sources"]
    assert (shown["group"], shown["limits"]["in_flight"]) == ("new.example:443", 4)
    assert shown["url"].startswith("https://stackoverflow.com/")
    assert "Group new.example:443, 4 at once" in client.get("/sources").text


def test_a_group_that_was_asked_for_nothing_yet_has_no_limits_to_show(client: Client) -> None:
    shown = {source["id"]: source for source in client.get("/api/sources").json()["sources"]}
    assert (shown["so"]["group"], shown["so"]["limits"]) == ("stackoverflow.com:443", None)
    assert "Group stackoverflow.com:443</span>" in client.get("/sources").text


@pytest.mark.parametrize(
    ("age", "number", "words"),
    [(None, None, ""), (90 * 86_400, None, "90 d"), (None, 1, "1 item"), (3600, 500, "1 h or 500 items")],
)
def test_what_is_kept_in_words(age: float | None, number: int | None, words: str) -> None:
    assert kept(Source(id="a", name="a", url="https://a.example/", keep_s=age, keep_items=number)) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "0"), (0.001, "<0.01"), (0.01, "0.01"), (0.5, "0.50"), (2.46, "2.5"), (9.96, "10"), (1234.5, "1,234")],
)
def test_rates_in_words(number: float, words: str) -> None:
    assert rate(number) == words


# -- of many, a part


@pytest.fixture
def many(storage: Storage) -> list[str]:
    """The ids of some hundreds of sources, in the order of the file; every third fails."""
    sources = [Source(id=f"s{n * 7919 % 1000:03}", name=f"Source {n}", url=f"https://{n}.example/") for n in range(350)]
    storage.sources.synchronise(sources, [])
    failing = [source.id for source in sources[::3]]
    storage._database["sources"].update_many({"_id": {"$in": failing}}, {"$set": {"looks.error": "no"}})
    return [source.id for source in sources]


def test_the_page_leads_through_all_sources_once(many: list[str], storage: Storage) -> None:
    client = client_of(lambda: storage)
    pages = [client.get("/sources")]
    while further := further_of(pages[-1]):
        pages.append(client.get(further))
    assert [len(shown_on(page)) for page in pages] == [SOURCES_ON_A_PAGE] * 3 + [50]
    assert [source_id for page in pages for source_id in shown_on(page)] == many
    assert [">Back to the first<" in page.text for page in pages] == [False, True, True, True]
    assert all(">350</span>" in page.text for page in pages)


def test_the_page_of_a_state_leads_through_that_state(many: list[str], storage: Storage) -> None:
    client = client_of(lambda: storage)
    first = client.get("/sources?state=failing")
    further = further_of(first)
    assert further is not None
    last = client.get(further)
    assert shown_on(first) + shown_on(last) == many[::3]
    assert further_of(last) is None
    assert (
        '<a href="/sources?state=failing" aria-current="page">Failing <span class="count warn">117</span></a>'
        in last.text
    )


@pytest.mark.parametrize("limit", [1, 100, 349, 350, 500])
def test_link_leads_through_all_sources_once(many: list[str], storage: Storage, limit: int) -> None:
    client = client_of(lambda: storage)
    found, further = [], f"/api/sources?limit={limit}"
    while further:
        reply = client.get(further)
        found += [source["id"] for source in reply.json()["sources"]]
        assert reply.json()["counts"] == {
            **{"all": 350, "active": 350, "overdue": 0, "failing": 117, "waiting": 233},
            **{"live": 0, "retired": 0, "window_lost": 0},
        }
        further = next_of(reply) or ""
    assert found == many


def test_a_hundred_sources_unless_a_limit_is_given(many: list[str], storage: Storage) -> None:
    reply = client_of(lambda: storage).get("/api/sources")
    assert [source["id"] for source in reply.json()["sources"]] == many[:100]


def test_filters_are_carried_on(many: list[str], storage: Storage) -> None:
    client = client_of(lambda: storage)
    reply = client.get("/api/sources?state=failing&q=source+3&limit=20")
    further = next_of(reply)
    assert further is not None
    assert "state=failing&q=source%203&limit=20&after=1." in further
    numbers = [int(one["name"].split()[1]) for part in (reply, client.get(further)) for one in part.json()["sources"]]
    assert numbers == [n for n in range(0, 350, 3) if "3" in str(n)][:40]


def test_sources_by_id(many: list[str], storage: Storage) -> None:
    reply = client_of(lambda: storage).get(f"/api/sources?id={many[200]}&id=nobody&id={many[5]}")
    assert [source["id"] for source in reply.json()["sources"]] == [many[5], many[200]]


def test_search_by_name(many: list[str], storage: Storage) -> None:
    page = client_of(lambda: storage).get("/sources?q=349+SOURCE")
    assert shown_on(page) == [many[349]]
    assert 'value="349 SOURCE"' in page.text
    nothing = client_of(lambda: storage).get("/sources?q=nobody%00&state=failing")
    assert "No source matches." in nothing.text
    assert 'href="/sources?state=failing" title="Remove this filter"' in nothing.text


BAD_QUERIES = [
    *("state=unwell", "state=", "state=failing&state=live", "lost=yes", "q=" + "x" * 201, "q=a+b+c+d+e+f+g+h+i+j+k"),
    *("after=", "after=nowhere", "after=2.1.a", "after=1.-1.a", "after=1.1.", "id=", "id=" + "x" * 201),
    *("limit=0", "limit=501", "&".join(f"id={n}" for n in range(101))),
]


@pytest.mark.parametrize("query", BAD_QUERIES)
def test_a_bad_parameter_is_refused_by_name(fake: FakeStorage, query: str) -> None:
    fake.go_away()
    reply = client_of(lambda: fake).get("/api/sources?" + query)
    assert reply.status == 400
    assert reply.json()["parameter"] == query.partition("=")[0]
    assert client_of(lambda: fake).get("/sources?" + query).status == 400


@pytest.mark.parametrize("place", ["1.0.a", "0.42.stack-overflow", "1.999999999.https://a.example/?a=b&c.d e\n"])
def test_a_place_comes_back_as_it_was(place: str) -> None:
    found = places.place(place)
    assert found is not None
    assert places.text(found) == place


def test_the_page_of_items_names_the_sources_that_it_shows_and_no_others(many: list[str], storage: Storage) -> None:
    entry = Entry(title="Title", link="https://example.com/")
    storage.items.store(many[7], {"a": entry}, now=datetime.now(UTC))
    page = client_of(lambda: storage).get(f"/?source={many[7]}").text
    assert f'id="names">{{"{many[7]}": "Source 7"}}<' in page
    assert "<title>Source 7 · Feedmirror</title>" in page
    assert "117 of 350 sources are failing" in page


# -- the ledger of politeness groups


def test_how_a_group_stands(client: Client, storage: Storage) -> None:
    storage.groups.admit(
        {"a.example:443": Demand(25, GroupLimits(in_flight=4, per_minute=60, per_day=5000))}, lease_s=60
    )
    for source_id in ("one", "two"):
        storage.groups.throttled("b.example:443", source_id, retry_after_s=3600, status=429)
    answer = client.get("/api/groups").json()
    assert answer["all"] == 2
    blocked, full = answer["groups"]
    assert (blocked["name"], blocked["state"], blocked["blocked_status"]) == ("b.example:443", "blocked", 429)
    assert blocked["blocked_until"] > blocked["as_of"]
    assert blocked["why"].endswith("UTC (429)")
    assert (full["name"], full["state"], full["why"]) == ("a.example:443", "full", "4 requests in flight")
    assert full["limits"] == {"in_flight": 4, "per_minute": 60, "per_day": 5000, "per_month": None}
    assert [full[used] for used in ("in_flight", "used_minute", "used_day", "used_month", "queued")] == [4, 4, 4, 4, 21]
    assert full["queue_until"] > full["active_at"]
    page = client.get("/sources").text
    assert "asked to wait (429) until" in page
    assert "about 21 requests put off" in page
    assert ">4 of 5,000</span>" in page
    assert "2 held up" in page
    assert page.count("<meter") == 3  # the blocked one has no limits yet


def test_groups_beyond_the_first_are_said_to_be_there(storage: Storage) -> None:
    storage.groups.admit({f"g{number}": Demand(1, LIMITS) for number in range(30)}, lease_s=60)
    client = client_of(lambda: storage)
    page = client.get("/sources").text
    assert page.count("<tr data-group=") == GROUPS_ON_A_PAGE
    assert f"{GROUPS_ON_A_PAGE} of 30: first those" in page
    answer = client.get("/api/groups?limit=7").json()
    assert (len(answer["groups"]), answer["all"]) == (7, 30)
    assert client.get("/api/groups?limit=no").json()["parameter"] == "limit"


def test_names_of_groups_are_strangers_words(fake: FakeStorage) -> None:
    fake.ledger.kept = [a_standing("<b>&", limits=GroupLimits())]
    page = client_of(lambda: fake).get("/sources").text
    assert "&lt;b&gt;&amp;" in page
    assert "<meter" not in page
