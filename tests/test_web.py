"""The site's addresses, called as WSGI: the real storage, no server."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.errors import ServerSelectionTimeoutError

from feedmirror.errors import NotAReplicaSet
from feedmirror.models import Entry, Item, Source
from feedmirror.storage import Storage
from feedmirror.storage.retention import Step
from feedmirror.web import headers
from tests.fake_storage import FakeStorage
from tests.serving import client_of
from tests.wsgi_client import Client, Reply

SOURCES = (
    Source(id="so", name="Stack Overflow", url="https://stackoverflow.com/feeds", every_s=30),
    Source(id="lwn", name="LWN & friends", url="https://me:secret@lwn.net/rss?key=1", private=True),
)


@pytest.fixture
def client(storage: Storage) -> Client:
    storage.sources.synchronise(SOURCES, [])
    return client_of(lambda: storage)


@pytest.fixture
def dry(fake: FakeStorage) -> Client:
    """A client of a site whose storage is in memory: for answers in which storage has no part."""
    return client_of(lambda: fake)


@pytest.fixture
def fake() -> FakeStorage:
    return FakeStorage()


def store(storage: Storage, *names: str, source_id: str = "so", **fields: Any) -> list[Item]:
    """Keep an entry of each name, in this order; an item's id is its name."""
    stored: list[Item] = []
    for name in names:
        entry = Entry(**{"title": f"Title of {name}", "link": f"https://example.com/{name}", **fields})
        stored += storage.items.store(source_id, {name: entry}, now=datetime.now(UTC)).new
    return stored


def titles(reply: Reply) -> list[str]:
    assert reply.status == 200
    return [item["title"].removeprefix("Title of ") for item in reply.json()]


def next_of(reply: Reply) -> str | None:
    match = re.fullmatch(r'<(/update\?[!-~]+)>; rel="next"', reply.headers["link"]) if "link" in reply.headers else None
    return match[1] if match else None


def stamp(item: Item) -> str:
    return f"{item.fetched_us // 1_000_000}.{item.fetched_us % 1_000_000:06d}"


# -- the stream


def test_the_newest_come_first_and_link_leads_back_to_the_oldest(client: Client, storage: Storage) -> None:
    store(storage, *"abcde")
    pages = [client.get("/update?timestamp=0&limit=2")]
    while further := next_of(pages[-1]):
        pages.append(client.get(further))
    assert [titles(page) for page in pages] == [["e", "d"], ["c", "b"], ["a"]]


def test_no_timestamp_is_timestamp_0(client: Client, storage: Storage) -> None:
    store(storage, *"abc")
    assert client.get("/update").body == client.get("/update?timestamp=0").body == client.get("/update/").body


def test_after_a_cursor_the_oldest_come_first_and_link_leads_to_the_newest(client: Client, storage: Storage) -> None:
    first, *_ = store(storage, *"abcdef")
    pages = [client.get(f"/update?timestamp={stamp(first)}&limit=2")]
    while further := next_of(pages[-1]):
        pages.append(client.get(further))
    assert [titles(page) for page in pages] == [["c", "b"], ["e", "d"], ["f"]]


@pytest.mark.parametrize("limit", [1, 2, 3, 500])
def test_a_client_that_ignores_link_gets_every_item_once(client: Client, storage: Storage, limit: int) -> None:
    cursor = stamp(store(storage, "start")[0])
    store(storage, *"abcde")
    seen: list[str] = []
    for _ in range(6):
        reply = client.get(f"/update?timestamp={cursor}&limit={limit}")
        seen += reversed(titles(reply))
        cursor = reply.headers["feedmirror-cursor"]
    assert seen == list("abcde")


def test_a_client_that_takes_the_largest_fetched_as_a_float_gets_every_item_once(
    client: Client, storage: Storage
) -> None:
    cursor: float = float(stamp(store(storage, "start")[0]))
    store(storage, *"abcde")
    seen: list[str] = []
    for _ in range(6):
        items = client.get(f"/update?timestamp={cursor!r}&limit=1").json()
        seen += [item["_id"] for item in items]
        cursor = max([cursor, *(item["fetched"] for item in items)])
    assert seen == list("abcde")


def test_head_and_cursor(client: Client, storage: Storage) -> None:
    items = store(storage, *"abc")
    reply = client.get(f"/update?timestamp={stamp(items[0])}&limit=1")
    assert reply.headers["feedmirror-head"] == stamp(items[2])
    assert reply.headers["feedmirror-cursor"] == stamp(items[1])
    assert reply.json()[0]["fetched"] == float(stamp(items[1]))


def test_a_filter_that_matches_nothing_does_not_fall_behind(client: Client, storage: Storage) -> None:
    items = store(storage, *"abc")
    reply = client.get(f"/update?timestamp={stamp(items[0])}&tag=rare")
    assert titles(reply) == []
    assert reply.headers["feedmirror-cursor"] == stamp(items[2])
    assert "link" not in reply.headers


def test_filters_and_limit_are_carried_on(client: Client, storage: Storage) -> None:
    store(storage, *"abcd", tags=("c++", "R&D"))
    store(storage, "other", tags=("c++",))
    asked = "/update?limit=1&source=so&tag=c%2B%2B&tag=R%26D&q=title+of&before=9000000000"
    first = client.get(asked)
    assert titles(first) == ["d"]
    further = next_of(first)
    assert further is not None
    assert "limit=1&source=so&tag=c%2B%2B&tag=R%26D&q=title%20of" in further
    assert titles(client.get(further)) == ["c"]


def test_before_bounds_the_way_forwards_too(client: Client, storage: Storage) -> None:
    a, _, _, d = store(storage, *"abcd")
    reply = client.get(f"/update?timestamp={stamp(a)}&before={stamp(d)}&limit=1")
    assert titles(reply) == ["b"]
    further = next_of(reply)
    assert further is not None
    assert titles(client.get(further)) == ["c"]


def test_a_source_gives_its_own_stamps(client: Client, storage: Storage) -> None:
    store(storage, "a")
    store(storage, "b")
    store(storage, "a", source_id="lwn")
    everywhere = {item["_id"]: item["fetched"] for item in client.get("/update").json()}
    (there,) = client.get("/update?source=lwn").json()
    assert there["_id"] == "a"
    assert there["sources"] == ["so", "lwn"]
    assert there["fetched"] > everywhere["b"] > everywhere["a"]


# -- what retention has removed


@pytest.fixture
def shortened(client: Client, storage: Storage) -> list[str]:
    """The stamps of five items, of which retention has removed the first three."""
    keeping = [replace(SOURCES[0], keep_items=2), SOURCES[1]]
    storage.sources.synchronise(keeping, [])
    items = store(storage, *"abcde")
    storage._database["items"].update_many({}, {"$set": {"arrived_at": datetime.now(UTC) - timedelta(days=1)}})
    assert storage.retention.step() == Step(3)
    return [stamp(item) for item in items]


@pytest.mark.parametrize("changes", ["", "&changes=1"])
@pytest.mark.parametrize(
    ("after", "told", "given"),
    [
        ("0", False, "ed"),
        ("0.000001", True, "ed"),
        ("a", True, "ed"),
        ("b", True, "ed"),
        ("c", False, "ed"),
        ("d", False, "e"),
        ("e", False, ""),
        ("9000000000", False, ""),
    ],
)
def test_who_asks_from_before_what_was_removed_is_told(
    client: Client, shortened: list[str], after: str, told: bool, given: str, changes: str
) -> None:
    after = dict(zip("abcde", shortened, strict=True)).get(after, after)
    reply = client.get(f"/update?timestamp={after}{changes}")
    assert reply.headers.get("feedmirror-gap") == (shortened[2] if told else None)
    assert "".join(titles(reply)) == given


def test_without_a_cursor_nobody_has_missed_anything(client: Client, shortened: list[str]) -> None:
    for url in ("/update", "/update?limit=1", f"/update?timestamp=0&before={shortened[4]}"):
        assert "feedmirror-gap" not in client.get(url).headers


def test_only_who_follows_what_was_removed_is_told(client: Client, shortened: list[str]) -> None:
    told = {query: "feedmirror-gap" in client.get(f"/update?timestamp=1&{query}").headers for query in FOLLOWED}
    assert told == FOLLOWED


# of a tag or a word it is not known whether what was removed had it
FOLLOWED = {"source=so": True, "source=lwn": False, "source=none": False, "tag=rare": True, "q=rare": True}


def test_the_first_page_of_a_catch_up_tells_of_the_gap_and_the_next_lies_beyond_it(
    client: Client, shortened: list[str]
) -> None:
    first = client.get(f"/update?timestamp={shortened[0]}&limit=1")
    further = next_of(first)
    assert further is not None
    second = client.get(further)
    assert [titles(page) for page in (first, second)] == [["d"], ["e"]]
    assert ["feedmirror-gap" in page.headers for page in (first, second)] == [True, False]


# -- the stream of changes


def test_without_changes_an_edit_is_not_given(client: Client, storage: Storage) -> None:
    *_, last = store(storage, *"ab")
    edit(storage, "a")
    assert titles(client.get(f"/update?timestamp={stamp(last)}")) == []
    assert titles(client.get(f"/update?timestamp={stamp(last)}&changes=0")) == []


def test_changes_are_what_is_new_and_what_was_edited_the_last_change_first(client: Client, storage: Storage) -> None:
    *_, last = store(storage, *"abc")
    edit(storage, "a")
    store(storage, "d")
    edit(storage, "b")
    reply = client.get(f"/update?timestamp={stamp(last)}&changes=1")
    assert titles(reply) == ["b, edited", "d", "a, edited"]
    assert reply.headers["feedmirror-cursor"] == reply.headers["feedmirror-head"]
    assert float(reply.headers["feedmirror-cursor"]) == reply.json()[0]["changed"] > reply.json()[0]["fetched"]
    assert titles(client.get(f"/update?timestamp={reply.headers['feedmirror-cursor']}&changes=1")) == []


def test_an_item_that_was_stored_and_edited_since_is_given_once(client: Client, storage: Storage) -> None:
    (first,) = store(storage, "a")
    store(storage, "b")
    edit(storage, "b")
    assert titles(client.get(f"/update?timestamp={stamp(first)}&changes=1")) == ["b, edited"]


def test_link_leads_through_all_changes(client: Client, storage: Storage) -> None:
    *_, last = store(storage, *"abcde", tags=("c++",))
    for name in "dbaec":
        edit(storage, name, tags=("c++",))
    pages = [client.get(f"/update?timestamp={stamp(last)}&changes=1&limit=2&tag=c%2B%2B")]
    while further := next_of(pages[-1]):
        assert "changes=1&limit=2&tag=c%2B%2B" in further
        pages.append(client.get(further))
    assert [[title[0] for title in titles(page)] for page in pages] == [["b", "d"], ["e", "a"], ["c"]]


def test_changes_without_a_cursor_are_the_newest_items(client: Client, storage: Storage) -> None:
    store(storage, *"abc")
    edit(storage, "a")
    reply = client.get("/update?timestamp=0&changes=1&limit=2")
    assert titles(reply) == ["c", "b"]
    further = next_of(reply)
    assert further is not None
    assert "changes=1" in further
    assert titles(client.get(further)) == ["a, edited"]


def edit(storage: Storage, name: str, **fields: Any) -> None:
    """Let the entry of this name have a new title."""
    assert not store(storage, name, title=f"Title of {name}, edited", **fields)


def test_an_empty_mirror(client: Client) -> None:
    reply = client.get("/update?timestamp=0")
    assert reply.body == b"[]"
    assert "link" not in reply.headers


def test_headers_of_an_answer(client: Client) -> None:
    reply = client.get("/update?timestamp=1")
    assert reply.headers["content-type"] == "application/json; charset=utf-8"
    assert reply.headers["cache-control"] == "public, max-age=0, s-maxage=1, stale-while-revalidate=1"
    assert reply.headers["vary"] == "Accept-Encoding"
    assert reply.headers["content-length"] == "2"


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("timestamp=abc", "timestamp"),
        ("timestamp=nan", "timestamp"),
        ("timestamp=1e400", "timestamp"),
        ("timestamp=-1", "timestamp"),
        ("timestamp=", "timestamp"),
        ("timestamp[]=1", "timestamp"),
        ("timestamp%5B%5D=1", "timestamp"),
        ("timestamp=1&timestamp=2", "timestamp"),
        ("timestamp=" + "9" * 10_000, "timestamp"),
        ("timestamp=%ff", "timestamp"),
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=ten", "limit"),
        ("before=never", "before"),
        ("changes=2", "changes"),
        ("changes=1&changes=1", "changes"),
        ("source=", "source"),
        ("q=" + "x" * 10_000, "q"),
        ("&".join(f"tag={n}" for n in range(11)), "tag"),
    ],
)
def test_a_bad_parameter_is_a_400_that_names_it(dry: Client, query: str, parameter: str) -> None:
    reply = dry.get("/update?" + query)
    assert reply.status == 400
    assert reply.json()["parameter"] == parameter
    assert reply.json()["error"].startswith(parameter)
    assert len(reply.body) < 300
    assert reply.headers["cache-control"] == "no-store"


def test_unknown_parameters_are_ignored(client: Client, storage: Storage) -> None:
    store(storage, "a")
    assert titles(client.get("/update?timestamp=0&_=1763710000&self=1&given=2&%ff=%ff&;")) == ["a"]


# -- MongoDB away


@pytest.mark.parametrize("path", ["/update", "/update?timestamp=5", "/api/sources", "/api/groups"])
def test_without_mongodb_programs_get_503_as_json(fake: FakeStorage, path: str) -> None:
    fake.go_away()
    reply = client_of(lambda: fake).get(path)
    assert reply.status == 503
    assert "away" in reply.json()["error"]
    assert "secret-host" not in reply.text
    assert int(reply.headers["retry-after"]) <= 5
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/?tag=python", "/sources"])
def test_without_mongodb_people_get_503_as_a_page(fake: FakeStorage, path: str) -> None:
    fake.go_away()
    reply = client_of(lambda: fake).get(path)
    assert reply.status == 503
    assert "away" in reply.text
    assert "secret-host" not in reply.text
    assert reply.headers["content-type"] == "text/html;charset=utf-8"
    assert reply.headers["cache-control"] == "no-store"


def test_without_mongodb_the_page_is_ready_to_go_on_by_itself(fake: FakeStorage) -> None:
    fake.go_away()
    page = client_of(lambda: fake).get("/").text
    assert 'data-cursor="0.000000"' in page
    assert "realtime.js" in page


def test_a_mongodb_that_is_of_no_use_says_what_to_do(fake: FakeStorage) -> None:
    fake.away = NotAReplicaSet("run rs.initiate()")
    reply = client_of(lambda: fake).get("/update")
    assert (reply.status, reply.json()["error"]) == (503, "run rs.initiate()")


def test_a_storage_that_cannot_be_opened_is_away(fake: FakeStorage) -> None:
    def refuse() -> Storage:
        raise ServerSelectionTimeoutError("secret-host")

    client = client_of(refuse)
    assert [client.get(path).status for path in ("/update", "/", "/sources", "/api/sources")] == [503] * 4


def test_a_bad_parameter_is_one_whether_mongodb_is_there_or_not(fake: FakeStorage) -> None:
    fake.go_away()
    assert client_of(lambda: fake).get("/update?timestamp=abc").status == 400


# -- the page


def test_the_page_shows_the_newest_first(client: Client, storage: Storage) -> None:
    items = store(storage, *"abc")
    page = client.get("/")
    assert page.status == 200
    assert page.headers["cache-control"] == "no-cache"
    assert re.findall(r'<article class="row" data-id="(\w)"', page.text) == ["c", "b", "a"]
    assert f'data-cursor="{stamp(items[-1])}"' in page.text


def test_a_hostile_item_is_text(client: Client, storage: Storage) -> None:
    hostile = '"><script>alert(1)</script>'
    store(storage, "a", title=hostile, author=hostile, tags=(hostile,), link="https://example.com/?a=1&b='\"")
    page = client.get("/").text
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 3
    assert 'href="https://example.com/?a=1&amp;b=&#39;&#34;"' in page


def test_a_hostile_source_name_cannot_leave_its_place(client: Client, storage: Storage) -> None:
    storage.sources.synchronise([Source(id="x", name="</script><script>alert(1)</script>", url="https://x.org/")], [])
    store(storage, "a", source_id="x")
    assert "<script>alert" not in client.get("/").text


def test_an_item_of_which_little_is_known(client: Client, storage: Storage) -> None:
    store(storage, "a", title="", link=None)
    row = client.get("/").text.partition("<article")[2].partition("</article>")[0]
    assert "Untitled" in row
    assert 'class="author"' not in row
    assert "<details" not in row
    assert 'class="tags"' not in row
    assert 'class="counts"' not in row
    assert "<img" not in row


def test_counts_and_a_picture(client: Client, storage: Storage) -> None:
    pictured = 'https://example.com/1.png?a=1&b="'
    store(storage, "a", score=1, comments=1234, comments_link="http://example.com/#c", thumbnail=pictured)
    store(storage, "b", score=0)
    store(storage, "c", comments=0)
    c, b, a = client.get("/").text.split("<article")[1:4]
    assert '<span class="score">1 vote</span>' in a
    assert re.search(
        r'<a class="comments" href="http://example.com/#c" [^>]*rel="noopener noreferrer">1,234 comments<', a
    )
    assert 'src="https://example.com/1.png?a=1&amp;b=&#34;"' in a
    assert 'loading="lazy" decoding="async" referrerpolicy="no-referrer"' in a
    assert ("0 votes" in b, "comments" in b) == (True, False)
    assert ("votes" in c, "0 comments" in c) == (False, True)


def test_addresses_that_a_page_must_not_use_are_not_used(client: Client, storage: Storage) -> None:
    bad = "javascript:alert(1)"
    store(storage, "a", link=bad, comments=3, comments_link=bad, thumbnail=bad)
    store(storage, "b", link=None, thumbnail="http://example.com/1.png")
    page = client.get("/").text
    assert "javascript:" not in page
    assert "1.png" not in page
    assert "3 comments" in page


def test_older_leads_back_without_script(client: Client, storage: Storage) -> None:
    store(storage, *(f"i{n}" for n in range(105)), tags=("c++",))
    page = client.get("/?tag=c%2B%2B").text
    older = re.search(r'id="older" rel="next" href="([^"]+)"', page)
    assert older is not None
    earlier = client.get(older[1].replace("&amp;", "&")).text
    assert re.findall(r'<article class="row" data-id="(\w+)"', earlier) == ["i4", "i3", "i2", "i1", "i0"]
    assert 'href="/?tag=c%2B%2B"' in earlier  # back to the newest, under the same filter
    assert "realtime.js" not in earlier  # the past does not change


def test_filters_of_the_page(client: Client, storage: Storage) -> None:
    store(storage, "a", tags=("python",))
    store(storage, "b", tags=("go",))
    store(storage, "c", source_id="lwn", tags=("python",))

    def shown(query: str) -> list[str]:
        return re.findall(r'<article class="row" data-id="(\w)"', client.get("/?" + query).text)

    assert shown("tag=python") == ["c", "a"]
    assert shown("source=so") == ["b", "a"]
    assert shown("source=so&tag=python") == ["a"]
    assert shown("q=TITLE+b") == ["b"]
    assert shown("source=unknown") == []


def test_the_script_polls_with_the_filters_of_the_page(client: Client) -> None:
    page = client.get("/?source=so&tag=c%2B%2B&q=a%26b").text
    assert 'data-filters="source=so&amp;tag=c%2B%2B&amp;q=a%26b"' in page


def test_a_filter_can_be_removed(client: Client) -> None:
    page = client.get("/?source=lwn&tag=a&tag=b").text
    assert 'href="/?tag=a&amp;tag=b" title="Remove this filter"' in page
    assert 'href="/?source=lwn&amp;tag=b" title="Remove this filter"' in page
    assert "<title>LWN &amp; friends, a, b · Feedmirror</title>" in page


@pytest.mark.parametrize("query", ["before=abc", "tag=", "q=" + "x" * 1000, "source=a&source=b"])
def test_a_bad_parameter_of_the_page_is_said_in_a_page(dry: Client, query: str) -> None:
    reply = dry.get("/?" + query)
    assert reply.status == 400
    assert query.partition("=")[0] in reply.text
    assert reply.headers["content-type"] == "text/html;charset=utf-8"


# -- files


def test_jquery_comes_from_its_package(dry: Client) -> None:
    reply = dry.get("/static/vendor/jquery.min.js")
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/javascript;charset=utf-8"
    assert b"jQuery v3.7.1" in reply.body[:100]


def test_everything_that_a_page_names_is_there_and_may_be_kept_for_ever(dry: Client) -> None:
    named = re.findall(r'"(/static/[^"]+)"', dry.get("/").text)
    assert len(set(named)) == 14
    for url in named:
        reply = dry.get(url)
        assert reply.status == 200
        assert "immutable" in reply.headers["cache-control"]


@pytest.mark.parametrize("url", ["/static/realtime.js", "/static/realtime.js?v=0123456789abcdef"])
def test_a_file_without_its_own_digest_is_asked_for_again(dry: Client, url: str) -> None:
    first = dry.get(url)
    assert first.headers["cache-control"] == "no-cache"
    again = dry.get(url, if_none_match=f'"other", W/{first.headers["etag"]}')
    assert (again.status, again.body) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert dry.get(url, if_none_match='"other"').status == 200


def test_a_file_is_not_sent_to_whoever_wants_it_only_if_there_is_none(dry: Client) -> None:
    """If-None-Match: * (RFC 9110, 13.1.2)."""
    there = dry.get("/static/realtime.js", if_none_match="*")
    assert (there.status, there.body) == (304, b"")
    assert dry.get("/static/nothing.js", if_none_match="*").status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/static",
        "/static/",
        "/static/vendor",
        "/static/nothing.js",
        "/static/../site.py",
        "/static/..%2fsite.py",
        "/static/%2e%2e/site.py",
        "/static//etc/passwd",
        "/static/vendor/jquery.min.map",
    ],
)
def test_no_path_leads_out_of_the_static_files(dry: Client, path: str) -> None:
    assert dry.get(path).status == 404


def test_the_icon_is_where_browsers_look(dry: Client) -> None:
    assert dry.get("/favicon.ico").headers["content-type"] == "image/svg+xml"


# -- what holds for every address


def test_any_wsgi_callable_can_be_given_the_headers() -> None:
    def bare(_: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("server", "Leaky/1.0"), ("X-Mine", "kept")])
        return [b"body"]

    reply = Client(headers.WithHeaders(bare)).get("/")
    assert reply.body == b"body"
    assert reply.headers == {"x-mine": "kept", **{name.lower(): value for name, value in headers.ALWAYS}}


ANSWERS = [
    ("/", 200),
    ("/sources", 200),
    ("/update", 200),
    ("/update?timestamp=abc", 400),
    ("/api/sources", 200),
    ("/api/groups", 200),
    ("/sources?state=unwell", 400),
    ("/api/sources?after=nowhere", 400),
    ("/static/realtime.js", 200),
    ("/?before=abc", 400),
    ("/nothing", 404),
    ("/nothing/below", 404),
    ("/default", 404),
    ("/__class__", 404),
    ("/update/x", 404),
    ("/update/_endpoint", 404),
    ("/api", 404),
    ("/api/nothing", 404),
    ("/static/nothing", 404),
    ("/\xff", 404),
]


@pytest.mark.parametrize(("url", "status"), ANSWERS)
def test_every_answer_is_guarded_and_says_nothing_of_its_maker(dry: Client, url: str, status: int) -> None:
    reply = dry.get(url)
    assert reply.status == status
    for name, value in headers.FOR_DATA if url.partition("?")[0] == "/update" else headers.ALWAYS:
        assert reply.headers[name.lower()] == value
    if not url.startswith("/static/"):
        assert "cherrypy" not in (reply.text + str(reply.headers)).lower()
    assert "Traceback" not in reply.text


@pytest.mark.parametrize(("url", "status"), ANSWERS)
def test_errors_come_in_the_language_of_the_address(dry: Client, url: str, status: int) -> None:
    program = url.startswith(("/update", "/api"))
    if status >= 400:
        expected = "application/json; charset=utf-8" if program else "text/html;charset=utf-8"
        assert dry.get(url).headers["content-type"] == expected


@pytest.mark.parametrize(("url", "status"), ANSWERS)
def test_head_is_get_without_its_body(dry: Client, url: str, status: int) -> None:
    got, head = dry.get(url), dry.request("HEAD", url)
    assert (head.status, head.body) == (status, b"")
    changing = {"date", "content-length"} if url in ("/", "/sources") else {"date"}
    assert {k: v for k, v in head.headers.items() if k not in changing} == {
        k: v for k, v in got.headers.items() if k not in changing
    }


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "NONSENSE"])
@pytest.mark.parametrize("path", ["/", "/update", "/api/sources", "/api/groups", "/static/realtime.js"])
def test_nothing_here_can_be_written_to(dry: Client, method: str, path: str) -> None:
    reply = dry.request(method, path)
    assert reply.status == 405
    assert set(reply.headers["allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize("path", ["/", "/update", "/api/sources", "/api/groups"])
def test_a_bug_is_a_500_that_tells_nothing(path: str) -> None:
    def broken() -> Storage:
        raise ZeroDivisionError("secret")

    reply = client_of(broken).get(path)
    assert reply.status == 500
    assert "secret" not in reply.text
    assert "Traceback" not in reply.text
    assert reply.headers["content-security-policy"].startswith("default-src 'none'; ")


def test_a_request_that_cherrypy_refuses_by_itself_is_answered_like_any_other(dry: Client) -> None:
    application = dry._application

    class WithoutHost(Client):
        def _call(self, environ: dict[str, Any]) -> Reply:
            del environ["HTTP_HOST"]
            return super()._call(environ)

    reply = WithoutHost(application).get("/api/sources")
    assert reply.status == 400
    assert "error" in reply.json()
    assert "cherrypy" not in reply.text.lower()
