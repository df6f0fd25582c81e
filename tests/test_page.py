"""The page in a real Chromium, in front of a real server: what a reader sees, without a reload."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Locator, Page, Request, Route, expect

from feedmirror.models import Entry, Item, Sighting, Source
from feedmirror.storage import Storage
from feedmirror.web import stamps
from feedmirror.web.representation import item_json
from tests.fake_storage import FakeStorage, a_source, an_item
from tests.serving import serving
from tests.waiting import wait_until

# cheroot 11.1 on Python 3.13 says so of every answer that a browser which left did not take
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <function IOBase.__del__:pytest.PytestUnraisableExceptionWarning"
)

HOSTILE = '<script>alert(1)</script> & "quotes"'
PICTURE = "https://pictures.example/1.png"
OFTEN_S = 0.1  # so that a test need not wait
SELDOM_S = 300.0  # so that what happens is not merely the next poll


@pytest.fixture
def fake() -> FakeStorage:
    """A storage in memory, where what is tested is the page and not what is behind it."""
    fake = FakeStorage()
    fake.sources.watched = [a_source(last_ok_at=datetime.now(UTC))]
    return fake


@pytest.fixture
def site(fake: FakeStorage) -> Iterator[str]:
    with serving(lambda: fake, OFTEN_S) as address:
        yield address


@pytest.fixture
def slow_site(fake: FakeStorage) -> Iterator[str]:
    """The same, where a page that has polled will not do so again by itself."""
    with serving(lambda: fake, SELDOM_S) as address:
        yield address


# The browser reports the end of a request late; within the page it is known exactly.
COUNT_POLLS = """
    window.openPolls = 0;
    window.mostOpenPolls = 0;
    const {open, send} = XMLHttpRequest.prototype;
    XMLHttpRequest.prototype.open = function (method, url, ...rest) {
        this.isPoll = url.startsWith("/update?");
        return open.call(this, method, url, ...rest);
    };
    XMLHttpRequest.prototype.send = function (...body) {
        if (this.isPoll) {
            window.openPolls += 1;
            window.mostOpenPolls = Math.max(window.mostOpenPolls, window.openPolls);
            this.addEventListener("readystatechange", () => { if (this.readyState === 4) window.openPolls -= 1; });
        }
        return send.apply(this, body);
    };
"""


class Polls:
    """What a page asks the stream: the cursors, oldest first, and how many requests were open at once."""

    def __init__(self, page: Page):
        self.cursors: list[str] = []
        self._page = page
        page.add_init_script(COUNT_POLLS)
        page.on("request", self._begun)

    def _begun(self, request: Request) -> None:
        if is_poll(request):
            self.cursors.append(request.url.partition("timestamp=")[2].partition("&")[0])

    @property
    def most_open(self) -> int:
        return int(self._page.evaluate("window.mostOpenPolls"))

    def wait(self, number: int) -> None:
        """Let this many further polls begin."""
        for _ in range(number):
            self._page.wait_for_event("request", is_poll)


def is_poll(request: Request) -> bool:
    return "/update?" in request.url


def shown(page: Page) -> list[str]:
    """The titles of all rows, from the top."""
    return page.locator(".row h2").all_inner_texts()


def numbers(page: Page) -> list[int]:
    return [int(title.removeprefix("Question ")) for title in shown(page)]


def numbers_of(page: Page) -> list[int]:
    """As `numbers`, where some titles have been edited."""
    return [int(title.split()[1].removesuffix(",")) for title in shown(page)]


def be_live(page: Page) -> None:
    expect(page.locator("#live")).to_have_attribute("data-state", "live")


def hide(page: Page, hidden: bool = True) -> None:
    """A headless tab is always visible; say otherwise."""
    page.evaluate(
        """hidden => {
            Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden});
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def top_of(row: Locator) -> int:
    """Where a row stands on the screen; a scroll position is a whole number of pixels, a row's height is not."""
    box = row.bounding_box()
    assert box is not None
    return round(box["y"])


# -- with the real storage


def test_a_new_item_appears_by_itself_exactly_once(page: Page, storage: Storage) -> None:
    storage.sources.synchronise([Source(id="so", name="Stack Overflow", url="https://stackoverflow.com/feeds")], [])

    def publish(name: str, title: str) -> None:
        entry = Entry(title=title, link=f"https://example.com/{name}", author=HOSTILE, tags=(HOSTILE,), summary="<p>s")
        storage.items.store("so", {name: entry}, now=datetime.now(UTC))

    publish("first", "An old question")
    polls = Polls(page)
    with serving(lambda: storage, OFTEN_S) as address:
        page.goto(address)
        expect(page.locator(".row h2")).to_have_text(["An old question"])
        be_live(page)
        page.evaluate("window.neverReloaded = true")
        publish("second", HOSTILE)
        expect(page.locator(".row h2")).to_have_text([HOSTILE, "An old question"])
        publish("third", "Another one")
        expect(page.locator(".row h2")).to_have_text(["Another one", HOSTILE, "An old question"])
        polls.wait(3)
        assert shown(page) == ["Another one", HOSTILE, "An old question"]
        assert page.evaluate("window.neverReloaded")
        assert page.locator(".row .source").all_inner_texts() == ["Stack Overflow"] * 3
        assert page.locator(".row script").count() == 0
        assert polls.most_open == 1


def test_an_edit_appears_by_itself_in_its_place(page: Page, storage: Storage) -> None:
    storage.sources.synchronise([Source(id="so", name="Stack Overflow", url="https://stackoverflow.com/feeds")], [])

    def publish(name: str, title: str, source_id: str = "so") -> None:
        entry = Entry(title=title, link=f"https://example.com/{name}", summary="<p>Text.")
        storage.items.store(source_id, {name: entry}, now=datetime.now(UTC))

    for name in ("first", "second", "third"):
        publish(name, name)
    with serving(lambda: storage, OFTEN_S) as address:
        page.goto(address)
        be_live(page)
        publish("second", "second, " + HOSTILE)
        expect(page.locator(".row h2")).to_have_text(["third", "second, " + HOSTILE, "first"])
        publish("third", "third", "elsewhere")
        expect(page.locator(".row").first.locator(".source")).to_have_text(["Stack Overflow", "elsewhere"])
        publish("fourth", "fourth")
        publish("fourth", "fourth, edited at once")
        expect(page.locator(".row h2")).to_have_text(["fourth, edited at once", "third", "second, " + HOSTILE, "first"])
        expect(page.locator("#news")).to_have_text(re.compile("^New: fourth"))
        assert page.locator(".row script").count() == 0


# -- rows


def everything_that_a_row_can_be() -> list[Item]:
    summary = "<p>One &lt;two&gt; <b>three</b>, <code>four</code>.</p><pre>a\n b</pre><ul><li>x</li><li>y</li></ul>"
    twice = (Sighting(source_id="so", fetched_us=1), Sighting(source_id="a b/ü", fetched_us=2))
    return [
        an_item(1, tags=("python", "c++"), summary=summary, sources=twice),
        an_item(2, title=HOSTILE, author=HOSTILE, tags=(HOSTILE,), link="https://example.com/?a=1&b='\"<>"),
        an_item(3, title="", author="", link=None),
        an_item(4, summary="<p>" + "word \N{ROCKET} " * 200 + "</p>", arrived_at=datetime(2026, 1, 2, tzinfo=UTC)),
        an_item(5, summary="<hr>", arrived_at=datetime.now(UTC) - timedelta(hours=5.5)),
        an_item(6, score=1234, comments=1, comments_link="http://example.com/#c", thumbnail=PICTURE, changed_us=1),
        an_item(7, score=-1, comments=0, thumbnail=PICTURE + "?a=1&b='\"<>"),
        an_item(8, score=0, thumbnail="http://example.com/in-the-clear.png"),
        an_item(9, comments=2, comments_link="javascript:alert(1)", thumbnail="javascript:alert(1)"),
        an_item(10, link="data:text/html,x", comments_link="https://example.com/#c", thumbnail="data:image/png,x"),
    ]


def show_pictures(page: Page) -> None:
    """Let the addresses of pictures lead to one: nothing leaves this machine."""
    svg = '<svg xmlns="http://www.w3.org/2000/svg" width="400" height="400"><rect width="400" height="400"/></svg>'
    page.route("https://pictures.example/**", lambda route: route.fulfill(body=svg, content_type="image/svg+xml"))


def test_rows_of_the_server_and_of_the_script_are_the_same(page: Page, fake: FakeStorage, site: str) -> None:
    show_pictures(page)
    page.goto(site)
    be_live(page)
    fake.items.add(*everything_that_a_row_can_be())
    expect(page.locator(".row")).to_have_count(10)
    expect(page.locator(".row .source").first).to_have_text("Stack Overflow")  # whose name it asks for
    by_script = markup(page)
    page.reload()
    be_live(page)
    assert markup(page) == by_script


def test_a_row_that_was_edited_is_the_same_as_one_that_was_not(page: Page, fake: FakeStorage, site: str) -> None:
    show_pictures(page)
    items = everything_that_a_row_can_be()
    fake.items.add(*items)
    page.goto(site)
    be_live(page)
    for number, other in enumerate([*items[1:], items[0]], start=1):
        shown = ("title", "link", "author", "tags", "summary", "score", "comments", "comments_link", "thumbnail")
        fake.items.edit(number, **{name: getattr(other, name) for name in shown})
    stamp = stamps.seconds(fake.items.head_us)
    expect(page.locator(f".row[data-changed='{stamp}']")).to_have_count(1)
    by_script = markup(page)
    page.reload()
    be_live(page)
    assert markup(page) == by_script


def markup(page: Page) -> list[str]:
    """The rows as HTML, without what comes and goes, the space between the parts, and the order of attributes."""
    html: list[str] = page.locator(".row").evaluate_all(
        """rows => rows.map(row => {
            const copy = row.cloneNode(true);
            copy.classList.remove("fresh", "edited");
            for (const part of copy.querySelectorAll("*")) {
                part.classList.remove("edited");
                const attributes = Array.from(part.attributes, ({name, value}) => [name, value]).sort();
                attributes.forEach(([name]) => part.removeAttribute(name));
                attributes.forEach(([name, value]) => (value || name !== "class") && part.setAttribute(name, value));
            }
            return copy.outerHTML.replace(/>\\s+</g, "><").replace(/\\s+/g, " ");
        })"""
    )
    return html


def test_a_link_that_would_run_is_no_link(page: Page, fake: FakeStorage, site: str) -> None:
    page.goto(site)
    be_live(page)
    fake.items.add(an_item(1, link="javascript:alert(1)"))
    expect(page.locator(".row h2 a")).to_have_text("Question 1")
    assert page.locator(".row h2 a").get_attribute("href") is None


def test_pictures_and_counts_are_shown_and_hostile_ones_are_not(page: Page, fake: FakeStorage, site: str) -> None:
    show_pictures(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(site)
    be_live(page)
    fake.items.add(*everything_that_a_row_can_be())
    expect(page.locator(".row")).to_have_count(10)

    def row(number: int) -> Locator:
        return page.locator(".row", has_text=f"Question {number}").last

    expect(row(6).locator(".score")).to_have_text("1,234 votes")
    expect(row(6).locator(".comments")).to_have_text("1 comment")
    expect(row(6).locator(".comments")).to_have_attribute("href", "http://example.com/#c")
    expect(row(6).locator(".thumbnail")).to_have_js_property("naturalWidth", 400)
    expect(row(7).locator(".counts")).to_have_text("-1 votes 0 comments")
    expect(row(9).locator(".comments")).not_to_have_attribute("href", re.compile(""))
    assert [row(n).locator(".counts").count() for n in (2, 4, 5)] == [0, 0, 0]
    assert [row(n).locator(".thumbnail").count() for n in (2, 6, 7, 8, 9)] == [0, 1, 1, 0, 0]
    page.locator(".row .counts").first.wait_for()
    assert not [url for url in asked if "in-the-clear" in url]


def test_nothing_moves_when_a_picture_comes(page: Page, fake: FakeStorage, site: str) -> None:
    waiting: list[Route] = []
    page.route("https://pictures.example/**", lambda route: waiting.append(route))
    fake.items.add(an_item(1), an_item(2, thumbnail=PICTURE))
    page.goto(site)
    be_live(page)
    wait_until(lambda: page.evaluate("1") and waiting, "the picture to be asked for")
    before = page.locator(".row").last.bounding_box()
    svg = '<svg xmlns="http://www.w3.org/2000/svg" width="400" height="900"/>'
    waiting[0].fulfill(body=svg, content_type="image/svg+xml")
    expect(page.locator(".thumbnail")).to_have_js_property("naturalHeight", 900)
    assert page.locator(".row").last.bounding_box() == before


def test_a_picture_that_does_not_come_leaves_its_room_empty(page: Page, fake: FakeStorage, site: str) -> None:
    page.route("https://pictures.example/**", lambda route: route.abort())
    fake.items.add(an_item(1, thumbnail=PICTURE))
    page.goto(site)
    expect(page.locator(".thumbnail")).to_be_hidden()
    fake.items.add(an_item(2, thumbnail=PICTURE + "?other"))
    expect(page.locator(".thumbnail.missing")).to_have_count(2)
    page.unroute("https://pictures.example/**")
    show_pictures(page)
    fake.items.edit(1, thumbnail=PICTURE + "?another")
    expect(page.locator(".thumbnail").last).to_be_visible()


def test_a_summary_unfolds(page: Page, fake: FakeStorage, site: str) -> None:
    fake.items.add(an_item(1, summary="<p>Plain and <b>bold</b>.</p>"))
    page.goto(site)
    expect(page.locator(".excerpt")).to_have_text("Plain and bold.")
    expect(page.locator(".full")).to_be_hidden()
    page.locator(".row summary").click()
    expect(page.locator(".full b")).to_have_text("bold")
    expect(page.locator(".excerpt")).to_be_hidden()


def test_times_keep_themselves_current(page: Page, fake: FakeStorage, slow_site: str) -> None:
    fake.items.add(an_item(1, arrived_at=datetime.now(UTC) - timedelta(seconds=58)))
    page.goto(slow_site)
    expect(page.locator(".row > time")).to_have_text("just now")
    expect(page.locator(".row > time")).to_have_text("1 min ago")


def test_the_dot_beats_with_each_answer_and_rests_in_between(page: Page, site: str) -> None:
    page.goto(site)
    be_live(page)
    page.evaluate(
        "() => { window.beats = 0; document.addEventListener('animationstart', () => { window.beats += 1; }); }"
    )
    for beats in (1, 2):
        page.wait_for_function("beats => window.beats >= beats", arg=beats)
        page.wait_for_function("() => document.getAnimations().length === 0")


def test_a_browser_whose_clock_is_wrong_shows_the_right_times(page: Page, fake: FakeStorage, site: str) -> None:
    page.add_init_script("const now = Date.now; Date.now = () => now() + 5 * 3600 * 1000;")
    fake.items.add(an_item(1, arrived_at=datetime.now(UTC) - timedelta(minutes=20, seconds=5)))
    page.goto(site)
    be_live(page)
    expect(page.locator(".row > time")).to_have_text("20 min ago")
    expect(page.locator("#live")).to_contain_text("checked just now")


# -- the reader is elsewhere


def test_who_has_scrolled_down_keeps_the_place_and_gets_a_pill(page: Page, fake: FakeStorage, site: str) -> None:
    fake.items.add(*(an_item(n, summary="<p>Text.</p>") for n in range(60)))
    page.goto(site)
    be_live(page)
    expect(page.locator("#pill")).to_be_hidden()
    row = page.locator(".row", has_text="Question 40")
    row.evaluate("row => window.scrollTo(0, row.offsetTop)")
    before = top_of(row)
    fake.items.add(an_item(60), an_item(61, summary="<p>Text.</p>"))
    fake.items.add(an_item(62))
    expect(page.locator("#pill")).to_have_text("3 new")
    assert numbers(page)[:3] == [62, 61, 60]
    assert abs(top_of(row) - before) <= 1
    page.locator("#pill").press("Enter")
    expect(page.locator("html")).to_have_js_property("scrollTop", 0)
    expect(page.locator("#pill")).to_be_hidden()
    fake.items.add(an_item(63))
    expect(page.locator(".row").first).to_contain_text("Question 63")
    expect(page.locator("#pill")).to_be_hidden()
    assert page.evaluate("window.scrollY") == 0


def test_scrolling_up_by_hand_takes_the_pill_away(page: Page, fake: FakeStorage, site: str) -> None:
    fake.items.add(*(an_item(n) for n in range(60)))
    page.goto(site)
    be_live(page)
    page.evaluate("window.scrollTo(0, 800)")
    fake.items.add(an_item(60))
    expect(page.locator("#pill")).to_have_text("1 new")
    page.evaluate("window.scrollTo(0, 0)")
    expect(page.locator("#pill")).to_be_hidden()


def test_the_title_of_a_hidden_tab_counts_what_was_not_seen(page: Page, fake: FakeStorage, site: str) -> None:
    page.goto(site)
    be_live(page)
    expect(page).to_have_title("Feedmirror")
    hide(page)
    fake.items.add(an_item(1), an_item(2))
    expect(page).to_have_title("(2) Feedmirror")
    fake.items.add(an_item(3))
    expect(page).to_have_title("(3) Feedmirror")
    hide(page, False)
    expect(page).to_have_title("Feedmirror")
    fake.items.add(an_item(4))
    expect(page.locator(".row")).to_have_count(4)
    expect(page).to_have_title("Feedmirror")


def test_a_tab_that_is_seen_again_asks_at_once(page: Page, fake: FakeStorage, slow_site: str) -> None:
    page.goto(slow_site)
    be_live(page)
    hide(page)
    fake.items.add(an_item(1))
    hide(page, False)
    expect(page.locator(".row")).to_have_count(1)


def test_news_are_said_politely(page: Page, fake: FakeStorage, site: str) -> None:
    fake.items.add(an_item(1))
    page.goto(site)
    be_live(page)
    news = page.locator("[aria-live=polite]")
    expect(news).to_have_text("")
    fake.items.add(an_item(2, title=HOSTILE))
    expect(news).to_have_text("New: " + HOSTILE)
    fake.items.add(an_item(3), an_item(4))
    expect(news).to_have_text("2 new items")


# -- edits


def test_an_edit_is_no_news(page: Page, fake: FakeStorage, site: str) -> None:
    fake.items.add(*(an_item(n) for n in range(60)))
    page.goto(site)
    be_live(page)
    page.evaluate("window.scrollTo(0, 800)")
    hide(page)
    fake.items.edit(59, title="Question 59, edited")
    expect(page.locator(".row h2").first).to_have_text("Question 59, edited")
    expect(page.locator(".row")).to_have_count(60)
    expect(page.locator("#pill")).to_be_hidden()
    expect(page).to_have_title("Feedmirror")
    expect(page.locator("#news")).to_have_text("")
    fake.items.add(an_item(70))
    fake.items.edit(58, title="Question 58, edited")
    expect(page.locator("#pill")).to_have_text("1 new")
    expect(page).to_have_title("(1) Feedmirror")
    expect(page.locator("#news")).to_have_text("New: Question 70")


def test_an_edit_takes_nothing_from_the_reader(page: Page, fake: FakeStorage, site: str) -> None:
    folded = "<p>Before <a href='https://example.com/a'>a link</a>.</p>"
    fake.items.add(*(an_item(n, summary=folded, tags=("a",)) for n in range(60)))
    page.goto(site)
    be_live(page)
    row = page.locator(".row", has_text="Question 40")
    row.evaluate("row => window.scrollTo(0, row.offsetTop - 100)")
    row.locator("summary").click()
    link = row.locator(".full a")
    link.focus()
    before = top_of(row)
    # what stands above grows, and the row itself is another one in all but its place
    fake.items.edit(45, title="Question 45, " + "and so on " * 100)
    fake.items.edit(
        40, title="Question 40, edited", summary=folded.replace("Before", "After"), tags=("b", "a"), score=3
    )
    expect(row.locator("h2")).to_have_text("Question 40, edited")
    expect(row.locator(".full")).to_have_text("After a link.")
    expect(row.locator(".score")).to_have_text("3 votes")
    expect(row.locator(".tags li")).to_have_text(["b", "a"])
    expect(row.locator(".full")).to_be_visible()
    expect(link).to_be_focused()
    assert numbers_of(page) == list(range(59, -1, -1))
    assert abs(top_of(row) - before) <= 1


def test_focus_on_what_an_edit_takes_away_goes_to_its_row(page: Page, fake: FakeStorage, site: str) -> None:
    fake.items.add(an_item(1, tags=("a",)), an_item(2))
    page.goto(site)
    be_live(page)
    row = page.locator(".row").last
    row.locator(".tags a").focus()
    fake.items.edit(1, tags=())
    expect(row.locator(".tags")).to_have_count(0)
    expect(row).to_be_focused()


def test_an_edit_of_what_the_page_does_not_hold_is_ignored(page: Page, fake: FakeStorage, site: str) -> None:
    fake.items.add(*(an_item(n) for n in range(150)))
    polls = Polls(page)
    page.goto(site)
    be_live(page)
    fake.items.edit(10, title="Question 10, edited")
    fake.items.edit(60, title="Question 60, edited")
    expect(page.locator(".row", has_text="Question 60")).to_contain_text("edited")
    polls.wait(2)
    assert numbers_of(page) == list(range(149, 49, -1))
    expect(page.locator("#news")).to_have_text("")


def test_an_item_that_was_edited_before_it_was_first_given_is_new_once(
    page: Page, fake: FakeStorage, site: str
) -> None:
    fake.items.add(an_item(1), an_item(5))
    polls = Polls(page)
    page.goto(site)
    be_live(page)
    # stored before the cursor and edited after it, while an answer was being made
    fake.items.kept.insert(1, an_item(3, changed_us=fake.items.head_us + 1))
    expect(page.locator(".row")).to_have_count(3)
    assert numbers(page) == [5, 3, 1]
    expect(page.locator("#news")).to_have_text("New: Question 3")
    fake.items.add(an_item(7), an_item(8))
    fake.items.edit(7, title="Question 7")
    expect(page.locator("#news")).to_have_text("2 new items")
    polls.wait(2)
    assert numbers(page) == [8, 7, 5, 3, 1]


def test_edits_while_a_page_slept_lose_nothing(page: Page, fake: FakeStorage, slow_site: str) -> None:
    fake.items.add(*(an_item(n) for n in range(20)))
    page.goto(slow_site)
    be_live(page)
    fake.items.add(*(an_item(n) for n in range(20, 350)))
    for number in range(0, 350, 3):
        fake.items.edit(number, title=f"Question {number}, edited")
    page.evaluate("window.dispatchEvent(new Event('online'))")
    expect(page.locator(".row")).to_have_count(350)
    expect(page.locator(".row").last).to_contain_text("edited")
    assert numbers_of(page) == list(range(349, -1, -1))


def test_an_answer_that_is_behind_takes_no_edit_back(page: Page, fake: FakeStorage, site: str) -> None:
    fake.items.add(an_item(1))
    polls = Polls(page)
    page.goto(site)
    be_live(page)
    fake.items.edit(1, title="Question 1, edited")
    expect(page.locator(".row h2")).to_have_text("Question 1, edited")
    behind = "[" + item_json(an_item(1)) + "]"
    headers = {"Feedmirror-Cursor": "1.000000", "Feedmirror-Head": "1.000000"}
    page.route(
        "**/update?*", lambda route: route.fulfill(body=behind, headers=headers, content_type="application/json")
    )
    polls.wait(3)
    expect(page.locator(".row h2")).to_have_text("Question 1, edited")


def test_an_edit_is_shown_quietly(page: Page, fake: FakeStorage, site: str) -> None:
    fake.items.add(an_item(1, score=1, summary="<p>s</p>", tags=("a", "b")), an_item(2, score=1))
    page.goto(site)
    be_live(page)
    page.evaluate(
        """() => {
            window.seen = [];
            const note = event => window.seen.push(event.animationName);
            document.getElementById("feed").addEventListener("animationstart", note);
        }"""
    )
    fake.items.edit(1, score=2)
    wait_until(lambda: page.evaluate("window.seen") == ["edited-counts"], "the counts to be marked, and them alone")
    fake.items.edit(2, title="Question 2, edited", score=2)
    wait_until(lambda: page.evaluate("window.seen") == ["edited-counts", "edited-row"], "the row to be marked")
    expect(page.locator(".edited")).to_have_count(0)
    page.emulate_media(reduced_motion="reduce")
    fake.items.edit(1, title="Question 1, edited")
    expect(page.locator(".row h2").last).to_have_text("Question 1, edited")
    assert page.locator(".row").last.evaluate("row => getComputedStyle(row).animationName") == "none"
    assert page.evaluate("window.seen.length") == 2


def test_all_pages_that_are_up_to_date_ask_the_same(page: Page, fake: FakeStorage, site: str) -> None:
    fake.items.add(an_item(1, tags=("a&b",)))
    asked: list[str] = []
    other = page.context.new_page()
    for tab in (page, other):
        tab.on("request", lambda request: asked.append(request.url) if is_poll(request) else None)
    page.goto(site + "/?tag=a%26b")
    be_live(page)
    fake.items.add(an_item(2, tags=("a&b",)), an_item(3))
    fake.items.edit(1, title="Question 1, edited")
    fake.items.edit(3, title="Question 3, edited")
    expect(page.locator(".row")).to_have_count(2)
    other.goto(site + "/?tag=a%26b")
    be_live(other)
    stamp = stamps.seconds(fake.items.head_us)
    expected = f"{site}/update?timestamp={stamp}&changes=1&tag=a%26b"
    asked.clear()
    for tab in (page, other):
        tab.wait_for_event("request", is_poll)
    assert set(asked) == {expected}


# -- the stream is interrupted


def test_a_page_reconnects_and_loses_nothing(page: Page, fake: FakeStorage, site: str) -> None:
    fake.items.add(an_item(1))
    page.goto(site)
    be_live(page)
    fake.go_away()
    expect(page.locator("#live")).to_have_attribute("data-state", "away")
    expect(page.locator("#live")).to_contain_text("Database away, next try in")
    fake.items.add(an_item(2), an_item(3))
    fake.come_back()
    expect(page.locator(".row")).to_have_count(3)
    be_live(page)
    assert numbers(page) == [3, 2, 1]


def test_the_network_coming_back_is_noticed_at_once(page: Page, fake: FakeStorage, slow_site: str) -> None:
    fake.go_away()
    page.goto(slow_site)
    expect(page.locator("#live")).to_have_attribute("data-state", "away")
    fake.come_back()
    page.evaluate("window.dispatchEvent(new Event('online'))")
    be_live(page)


def test_a_page_drawn_while_mongodb_was_away_recovers(page: Page, fake: FakeStorage, site: str) -> None:
    fake.items.add(*(an_item(n) for n in range(150)))
    fake.go_away()
    page.goto(site)
    expect(page.locator("#trouble")).to_contain_text("away")
    expect(page.locator(".empty")).to_be_visible()
    fake.come_back()
    expect(page.locator(".row")).to_have_count(100)  # the newest ones; what Link leads back to is left to the reader
    expect(page.locator("#trouble")).to_have_count(0)
    expect(page.locator(".empty")).to_be_hidden()
    expect(page).to_have_title("Feedmirror")
    page.locator("#older").click()
    assert numbers(page) == list(range(49, -1, -1))


def test_a_poll_that_hangs_is_given_up_before_the_next(page: Page, fake: FakeStorage, site: str) -> None:
    polls = Polls(page)
    page.goto(site)
    be_live(page)
    hanging: list[Route] = []
    page.route("**/update?*", lambda route: hanging.append(route))
    page.wait_for_event("requestfailed", is_poll)
    page.unroute("**/update?*")
    fake.items.add(an_item(1))
    expect(page.locator(".row")).to_have_count(1)
    be_live(page)
    assert len(hanging) >= 1
    assert polls.most_open == 1


def test_waking_a_page_up_again_and_again_keeps_one_poll_at_a_time(page: Page, site: str) -> None:
    polls = Polls(page)
    page.goto(site)
    be_live(page)
    page.evaluate("for (let n = 0; n < 20; n++) window.dispatchEvent(new Event('online'))")
    polls.wait(3)
    be_live(page)
    assert polls.most_open == 1


def test_an_answer_that_is_not_ours_is_a_failure(page: Page, fake: FakeStorage, site: str) -> None:
    page.goto(site)
    be_live(page)
    page.route("**/update?*", lambda route: route.fulfill(json={"please": "log in"}))
    expect(page.locator("#live")).to_have_attribute("data-state", "reconnecting")
    page.unroute("**/update?*")
    be_live(page)


def test_a_cursor_only_ever_rises(page: Page, fake: FakeStorage, site: str) -> None:
    fake.items.add(an_item(5))
    polls = Polls(page)
    page.goto(site)
    be_live(page)
    behind = {"Feedmirror-Cursor": "1.000000", "Feedmirror-Head": "1.000000"}
    page.route("**/update?*", lambda route: route.fulfill(json=[], headers=behind))
    polls.wait(3)
    page.unroute("**/update?*")
    fake.items.add(an_item(6))
    expect(page.locator(".row")).to_have_count(2)
    polls.wait(1)
    assert sorted(polls.cursors) == polls.cursors
    assert set(polls.cursors) == {"1763710000.000050", "1763710000.000060"}


# -- much at once


def test_after_a_long_sleep_link_is_followed_to_the_end(page: Page, fake: FakeStorage, slow_site: str) -> None:
    fake.items.add(an_item(0))
    page.goto(slow_site)
    be_live(page)
    fake.items.add(*(an_item(n) for n in range(1, 351)))
    page.evaluate("window.dispatchEvent(new Event('online'))")
    expect(page.locator(".row")).to_have_count(351)
    assert numbers(page) == list(range(350, -1, -1))


def test_a_filter_is_carried_through_link(page: Page, fake: FakeStorage, slow_site: str) -> None:
    page.goto(slow_site + "/?tag=c%2B%2B&source=so")
    fake.items.add(an_item(0, tags=("c++",)))
    page.evaluate("window.dispatchEvent(new Event('online'))")
    expect(page.locator(".row")).to_have_count(1)
    fake.items.add(*(an_item(n, tags=("c++",) if n % 2 else ("c",)) for n in range(1, 500)))
    page.evaluate("window.dispatchEvent(new Event('online'))")
    expect(page.locator(".row")).to_have_count(251)
    assert numbers(page) == [*range(499, 0, -2), 0]


def test_the_page_does_not_grow_for_ever(page: Page, fake: FakeStorage, slow_site: str) -> None:
    fake.items.add(*(an_item(n, tags=("a&b",)) for n in range(100)))
    page.goto(slow_site + "/?tag=a%26b")
    be_live(page)
    fake.items.add(*(an_item(n, tags=("a&b",)) for n in range(100, 700)))
    page.evaluate("window.dispatchEvent(new Event('online'))")
    expect(page.locator(".row").first).to_contain_text("Question 699")
    expect(page.locator(".row")).to_have_count(500)
    page.locator("#older").click()
    assert numbers(page) == list(range(199, 99, -1))
    expect(page.locator(".filters")).to_contain_text("a&b")


def test_a_reader_at_the_bottom_loses_no_row(page: Page, fake: FakeStorage, slow_site: str) -> None:
    fake.items.add(*(an_item(n) for n in range(100)))
    page.goto(slow_site)
    be_live(page)
    last = page.locator(".row").last
    last.scroll_into_view_if_needed()
    before = top_of(last)
    fake.items.add(*(an_item(n) for n in range(100, 600)))
    page.evaluate("window.dispatchEvent(new Event('online'))")
    expect(page.locator("#pill")).to_have_text("500 new")
    assert abs(top_of(last) - before) <= 1
    assert numbers(page)[-1] == 0


# -- around the stream


def test_pausing_by_key_and_by_button(page: Page, fake: FakeStorage, site: str) -> None:
    page.goto(site)
    be_live(page)
    page.keyboard.press("p")
    expect(page.locator("#live")).to_have_text("Paused")
    expect(page.locator("#pause")).to_have_attribute("aria-pressed", "true")
    polls = Polls(page)
    fake.items.add(an_item(1))
    page.evaluate("window.dispatchEvent(new Event('online'))")
    hide(page)
    hide(page, False)
    expect(page.locator("#live")).to_have_text("Paused")
    assert polls.cursors == []
    page.locator("#pause").click()
    expect(page.locator(".row")).to_have_count(1)
    be_live(page)


def test_moving_by_keyboard(page: Page, fake: FakeStorage, site: str) -> None:
    fake.items.add(an_item(1), an_item(2))
    page.goto(site)
    be_live(page)
    page.keyboard.press("j")
    expect(page.locator(".row").first).to_be_focused()
    page.keyboard.press("j")
    expect(page.locator(".row").last).to_be_focused()
    page.keyboard.press("k")
    expect(page.locator(".row").first).to_be_focused()
    fake.items.add(an_item(3))  # who reads by keyboard is not moved either
    expect(page.locator("#pill")).to_have_text("1 new")
    expect(page.locator(".row").nth(1)).to_be_focused()
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("pj")
    expect(page.locator("#search")).to_have_value("pj")
    be_live(page)


def test_a_source_that_begins_to_fail_is_seen_on_an_open_page(page: Page, fake: FakeStorage, slow_site: str) -> None:
    page.clock.install()
    page.goto(slow_site)
    expect(page.locator("#failing")).to_be_hidden()
    fake.sources.watched = [a_source(error="gone"), a_source("new", name="A new one", last_ok_at=datetime.now(UTC))]
    page.clock.run_for(61_000)
    expect(page.locator("#failing")).to_have_text("1 of 2 sources is failing")
    fake.items.add(an_item(1, source_id="new"))
    page.evaluate("window.dispatchEvent(new Event('online'))")
    expect(page.locator(".row .source")).to_have_text("A new one")


def test_an_item_of_a_source_that_the_page_does_not_know_gets_its_name_at_once(
    page: Page, fake: FakeStorage, slow_site: str
) -> None:
    page.goto(slow_site)
    be_live(page)
    fake.sources.watched.append(a_source("new", name="A new one", last_ok_at=datetime.now(UTC)))
    fake.items.add(an_item(1, source_id="new"))
    page.evaluate("window.dispatchEvent(new Event('online'))")
    expect(page.locator(".row .source")).to_have_text("A new one")


def test_without_script_the_page_is_of_use(browser: Browser, fake: FakeStorage, site: str) -> None:
    fake.items.add(*(an_item(n, summary="<p>Text.</p>") for n in range(110)))
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(site)
    assert numbers(page) == list(range(109, 9, -1))
    page.get_by_text("Older").click()
    assert numbers(page) == list(range(9, -1, -1))
    page.get_by_text("Back to the newest").click()
    page.locator("#search").fill("Question 77")
    page.locator("#search").press("Enter")
    assert numbers(page) == [77]
    page.locator(".row summary").click()
    expect(page.locator(".full")).to_be_visible()
    page.get_by_role("link", name="Sources", exact=True).click()
    expect(page.locator("h1")).to_have_text("Sources")
    context.close()


@pytest.mark.parametrize("width", [360, 820, 1280, 2560])
def test_nothing_is_wider_than_the_screen(page: Page, fake: FakeStorage, site: str, width: int) -> None:
    long = "x" * 300
    fake.items.add(an_item(1, title=long, author=long, tags=(long, *"abcdefghij"), summary=f"<p>{long}</p><pre>{long}"))
    fake.items.add(an_item(2, title=long, author=long, score=10**15, comments=10**15, thumbnail=PICTURE, summary=long))
    fake.sources.watched = [
        a_source("so", name=long, error=long, error_since=datetime.now(UTC), notices=(long, long), identity=long)
    ]
    show_pictures(page)
    page.set_viewport_size({"width": width, "height": 800})
    for path in ("/", "/sources", "/?tag=" + long[:200]):
        page.goto(site + path)
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
