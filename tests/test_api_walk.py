"""Paginated APIs become tables: real servers on loopback that behave as the APIs that people name, the real MongoDB."""

import gzip
import json
from typing import Any

import pytest

from feedmirror.by_hand import poll_now
from feedmirror.errors import Failure
from feedmirror.models import Outcome
from feedmirror.table import TableOrder
from tests.apis import LEASE_S, SETTINGS, Api, Mirror, Params, row
from tests.feed_server import Answer, Reply

# -- what a run brings


def test_it_reads_page_by_page_until_one_is_empty(mirror: Mirror, api: Api) -> None:
    api.rows = [row(number) for number in range(6)]
    mirror.watch(api.url, paging="page")
    outcome = mirror.run()
    assert (outcome.error, outcome.arrived) == (None, 6)
    assert mirror.rows() == api.rows
    assert [asked["page"] for asked in api.asked] == ["1", "2", "3"]


def test_a_page_that_is_shorter_than_asked_for_is_the_last(mirror: Mirror, api: Api) -> None:
    api.rows = [row(number) for number in range(7)]
    mirror.watch(api.url + "?sort=id", paging="page", page="p", params={"per_page": 5})
    api.give = lambda params: json.dumps(api.part({**params, "page": params["p"]})).encode()
    mirror.run()
    assert mirror.rows() == api.rows
    assert api.asked == [{"sort": "id", "per_page": "5", "p": "1"}, {"sort": "id", "per_page": "5", "p": "2"}]


def test_a_row_that_did_not_change_keeps_its_stamp(mirror: Mirror, api: Api) -> None:
    api.rows = [row(1, price=10), row(2, price=20), row(3)]
    mirror.watch(api.url)
    mirror.run()
    head = mirror.head()
    # the same, written in another way
    api.give = lambda _: (
        b'[ {"price":10, "name":"row 1","id":1}, {"id":2,"name":"row 2","price":21.5}, {"id":3,"name":"row 3"}]'
    )
    outcome = mirror.run()
    assert (outcome.arrived, outcome.edited) == (0, 1)
    assert [json.loads(one.text) for one in mirror.update(head)] == [row(2, price=21.5)]


def test_a_row_that_is_not_there_any_more_is_gone_and_may_come_back(mirror: Mirror, api: Api) -> None:
    api.rows = [row(number) for number in range(5)]
    mirror.watch(api.url, paging="page")
    mirror.run()
    api.rows = [row(0), row(4), row(5)]
    mirror.run()
    assert mirror.gone() == [1, 2, 3]
    assert mirror.rows() == [row(0), row(4), row(5)]
    head = mirror.head()
    api.rows = [row(0), row(2), row(4), row(5)]
    mirror.run()
    assert mirror.gone() == [1, 3]
    assert [json.loads(one.text) for one in mirror.update(head)] == [row(2)]


def test_a_change_in_the_last_of_many_digits_is_a_change(mirror: Mirror, api: Api) -> None:
    texts = ['[{"id": 1, "n": 0.10000000000000000001}]', '[{"id": 1, "n": 0.10000000000000000002}]']
    api.give = lambda _: texts[0].encode()
    mirror.watch(api.url)
    mirror.run()
    texts[0] = texts[1]
    assert mirror.run().edited == 1
    assert mirror.update()[0].text == texts[1].strip("[]")
    # and another way of writing the same number is none
    texts[0] = '[{"id": 1, "n": 1.00000000000000000020e-1}]'
    assert mirror.run().edited == 0


def test_rows_that_move_between_pages_while_it_walks_are_not_gone(mirror: Mirror, api: Api) -> None:
    api.rows = [row(number) for number in range(9)]
    mirror.watch(api.url, paging="page")
    mirror.run()

    def moving(params: Params) -> bytes:
        if params["page"] == "2":  # a new one on top pushes all others down: row 2 is shown twice
            api.rows = [row(100), *api.rows]
        return api.by_page(params)

    api.give = moving
    outcome = mirror.run()
    assert outcome.error is None
    assert mirror.gone() == []
    assert row(8) in mirror.rows()
    # those that were shown twice are listed once, where they were seen last
    listed = [0, 1, *range(2, 9)]
    assert [one["id"] for one in mirror.listed()] == listed
    for limit in (1, 2, 7, 50):
        assert [one["id"] for one in mirror.paged(limit=limit)] == listed


def test_a_row_that_moves_to_a_page_that_was_read_already_is_not_gone(mirror: Mirror, api: Api) -> None:
    """Two coins change places across the end of a page: one is shown twice, and the other not at all."""
    rows = [row(number) for number in range(9)]
    api.rows = list(rows)
    mirror.watch(api.url, paging="page")
    mirror.run()

    def swapping(params: Params) -> bytes:
        if params["page"] == "2":
            api.rows[2], api.rows[3] = rows[3], rows[2]
        return api.by_page(params)

    head = mirror.head()
    api.give = swapping
    assert mirror.run().error is None
    assert mirror.gone() == []
    api.give = api.by_page
    assert mirror.run().error is None
    assert mirror.update(head) == []
    assert [one["id"] for one in mirror.listed()] == [0, 1, 3, 2, 4, 5, 6, 7, 8]


def test_a_row_that_two_runs_miss_is_gone_although_others_move(mirror: Mirror, api: Api) -> None:
    rows = [row(number) for number in range(9)]
    api.rows = list(rows)
    mirror.watch(api.url, paging="page")
    mirror.run()

    def moving(params: Params) -> bytes:
        if params["page"] == "2":
            api.rows = [row(100 + len(api.asked)), *api.rows]
        return api.by_page(params)

    api.give = moving
    api.rows.remove(row(5))
    mirror.run()
    assert mirror.gone() == []
    mirror.run()
    assert mirror.gone() == [5]
    # one that is missed, seen and missed again was not missed twice in a row
    for missing in (True, False, True):
        api.rows = [one for one in api.rows if one["id"] != 8] + ([] if missing else [row(8)])
        mirror.run()
        assert 8 not in mirror.gone()


# -- from page to page


def test_it_follows_next_as_django_rest_framework_gives_it(mirror: Mirror, api: Api) -> None:
    api.rows = [row(number) for number in range(7)]

    def give(params: Params) -> bytes:
        page = int(params.get("page", 1))
        more = page * 3 < len(api.rows)
        following = f"{api.url}?page={page + 1}" if more else None
        return json.dumps(
            {"count": len(api.rows), "next": following, "previous": None, "results": api.part(params)}
        ).encode()

    api.give = give
    mirror.watch(api.url, paging="next", items="results")
    mirror.run()
    assert mirror.rows() == api.rows
    assert len(api.asked) == 3


def test_it_follows_a_link_header_as_github_gives_it(mirror: Mirror, api: Api) -> None:
    api.rows = [row(number) for number in range(7)]

    def give(params: Params) -> Answer:
        page = int(params.get("page", 1))
        links = [f'<{api.path}?page=1>; rel="first"']
        if page * 3 < len(api.rows):
            links.append(f'<{api.path}?page={page + 1}>; rel="next"')
        return Reply(api.by_page(params), headers={"Link": ", ".join(links)})

    api.give = give
    mirror.watch(api.url, paging="next")
    mirror.run()
    assert mirror.rows() == api.rows


def test_it_follows_a_cursor(mirror: Mirror, api: Api) -> None:
    api.rows = [row(number) for number in range(7)]

    def give(params: Params) -> bytes:
        start = int(params.get("after", "0"))
        more = start + 3 < len(api.rows)
        meta = {"next": str(start + 3)} if more else {}
        return json.dumps({"data": {"rows": api.rows[start : start + 3]}, "meta": meta}).encode()

    api.give = give
    mirror.watch(api.url, paging="cursor", cursor={"field": "meta.next", "parameter": "after"}, items="data.rows")
    mirror.run()
    assert mirror.rows() == api.rows


def test_it_follows_an_offset(mirror: Mirror, api: Api) -> None:
    api.rows = [row(number) for number in range(7)]
    api.give = lambda params: json.dumps(api.rows[int(params["skip"]) :][:3]).encode()
    mirror.watch(api.url, paging="offset", offset="skip")
    mirror.run()
    assert mirror.rows() == api.rows


def test_a_next_page_on_another_host_is_not_followed_unless_allowed(mirror: Mirror, api: Api) -> None:
    api.rows = [row(1)]
    elsewhere = f"http://localhost:{api.server.port}{api.path}?page=2"
    api.give = lambda params: json.dumps({"rows": api.rows, "next": None if params.get("page") else elsewhere}).encode()
    mirror.watch(api.url, paging="next", items="rows")
    outcome = mirror.run()
    assert outcome.error is not None
    assert 'hosts = ["localhost"]' in outcome.error
    assert len(api.asked) == 1


@pytest.mark.parametrize(("paging", "prefix"), [("next", "?page="), ("cursor", "")])
def test_a_way_that_leads_in_a_circle_ends(mirror: Mirror, api: Api, paging: str, prefix: str) -> None:
    def give(_: Params) -> bytes:
        number = len(api.asked)
        return json.dumps({"rows": [row(number)], "next": f"{prefix}{number % 2}"}).encode()

    api.give = give
    mirror.watch(api.url, paging=paging, items="rows", **({"cursor": "next"} if paging == "cursor" else {}))
    outcome = mirror.run()
    assert "read before" in (outcome.error or "")
    assert len(api.asked) <= 4


def test_an_api_that_knows_no_pages_is_told_apart_from_one_without_end(mirror: Mirror, api: Api) -> None:
    api.rows = [row(number) for number in range(3)]
    api.give = lambda _: json.dumps(api.rows).encode()
    mirror.watch(api.url, paging="page")
    outcome = mirror.run()
    assert "'page'" in (outcome.error or "")
    assert len(api.asked) == 2
    assert mirror.rows() == api.rows


def test_one_that_knows_no_pages_is_told_apart_however_many_rows_it_has(mirror: Mirror, api: Api) -> None:
    api.rows = [row(number) for number in range(1200)]
    api.give = lambda _: json.dumps(api.rows).encode()
    mirror.watch(api.url, paging="page")
    assert "'page'" in (mirror.run().error or "")
    assert len(api.asked) == 2


def test_as_many_pages_as_are_wanted(mirror: Mirror, api: Api) -> None:
    api.rows = [row(number) for number in range(30)]
    mirror.watch(api.url, paging="page", max_pages=2)
    mirror.run()
    assert len(mirror.rows()) == 6
    api.rows.insert(0, row(100))
    mirror.run()
    assert mirror.gone() == [5]


def test_fewer_pages_are_wanted_while_it_walks(mirror: Mirror, api: Api) -> None:
    api.rows = [row(number) for number in range(30)]
    mirror.watch(api.url, paging="page", max_pages=8, delay="20s")
    for _ in range(4):
        mirror.visit()
    mirror.watch(api.url, paging="page", max_pages=2, delay="20s")
    assert mirror.run().error is None
    assert len(api.asked) <= 5


@pytest.mark.parametrize("other", [{"params": {"sort": "name"}}, {"key": "name"}], ids=["params", "key"])
def test_what_is_asked_for_changes_while_it_walks_and_it_begins_anew(
    mirror: Mirror, api: Api, other: dict[str, Any]
) -> None:
    api.rows = [row(number) for number in range(7)]
    mirror.watch(api.url, paging="page", delay="20s")
    mirror.visit()
    mirror.visit()
    mirror.watch(api.url, paging="page", delay="20s", **other)
    assert mirror.run().error is None
    params = other.get("params", {})
    assert api.asked == [{"page": "1"}, {"page": "2"}, *({**params, "page": str(page)} for page in range(1, 5))]
    assert mirror.rows() == api.rows


def test_titles_and_types_change_with_the_sources_file(mirror: Mirror, api: Api) -> None:
    api.rows = [row(1, price=5)]
    mirror.watch(api.url, columns=["id", {"name": "price", "title": "Price"}])
    mirror.run()
    head = mirror.head()
    mirror.watch(api.url, columns=["id", {"name": "price", "title": "In euros", "type": "money"}])
    mirror.run()
    columns = mirror.storage.sheets.standing("t").columns
    assert [(column.title, column.type) for column in columns] == [("Id", "text"), ("In euros", "money")]
    assert mirror.head() == head


def test_a_worker_that_comes_back_too_late_leaves_the_run_to_the_other(
    mirror: Mirror, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    """Its lease was over, and while it waited for an answer another one has read the same page."""
    api.rows = [row(number) for number in range(9)]
    mirror.watch(api.url, paging="page")
    claim = mirror.storage.sources.claim_now(["t"], lease_s=LEASE_S)
    (watched,), _ = mirror.poller.begin(claim)
    others: list[Outcome] = []

    def give(params: Params) -> bytes:
        if params["page"] == "2" and len(api.asked) == 2:
            others.append(mirror.poller.poll(watched).outcome)
        return api.by_page(params)

    api.give = give
    ours = mirror.poller.poll(watched).outcome
    assert [asked["page"] for asked in api.asked] == ["1", "2", "2", "3", "4"]
    assert [outcome.error for outcome in (ours, *others)] == [None, None]
    assert mirror.rows() == api.rows
    assert mirror.gone() == []
    assert "bug" not in caplog.text


# -- as the APIs that people name


def test_coins_as_coingecko_gives_them_with_all_that_it_does_to_its_guests(mirror: Mirror, api: Api) -> None:
    api.rows = [row(number, roi=None if number % 2 else {"times": number / 3}) for number in range(170)]
    api.instead = {
        2: Reply(b'{"status": {"error_code": 429}}', status=429, headers={"Content-Type": "application/json"}),
        3: Reply(json.dumps(COINGECKO).encode(), headers={"Content-Type": "application/json"}),
        5: Reply(b"<html>502 Bad Gateway</html>", status=502, headers={"Content-Type": "text/html"}),
        6: Reply(b"<html>Just a moment...</html>", headers={"Content-Type": "text/html"}),
    }
    mirror.watch(api.url, paging="page", params={"vs_currency": "usd", "per_page": 50})
    assert mirror.run().error is None
    assert [asked["page"] for asked in api.asked] == ["1", "2", "2", "2", "3", "3", "3", "4"]
    assert mirror.rows() == sorted(api.rows, key=json.dumps)
    assert mirror.listed() == api.rows


def test_questions_as_stack_exchange_gives_them(mirror: Mirror, api: Api) -> None:
    """Always compressed; `has_more` says whether there is another page, and to ask for one that is not is an error."""
    api.rows = [row(number) for number in range(6)]
    headers = {"Content-Type": "application/json; charset=utf-8", "Content-Encoding": "gzip"}

    def give(params: Params) -> Answer:
        page = int(params["page"])
        if page > 2:
            return Reply(b'{"error_id": 403, "error_message": "page above 25 requires access token"}', status=403)
        body = {"items": api.part(params), "has_more": page < 2, "quota_max": 300, "quota_remaining": 299}
        if page == 1:
            body["backoff"] = 10
        return Reply(gzip.compress(json.dumps(body).encode()), headers=headers)

    api.give = give
    mirror.watch(api.url, paging="page", items="items")
    assert mirror.visit().goes_on_in_s == 10
    assert mirror.run().error is None
    assert mirror.rows() == api.rows
    assert [asked["page"] for asked in api.asked] == ["1", "2"]


def test_a_violated_throttle_of_stack_exchange_is_waited_out(mirror: Mirror, api: Api) -> None:
    api.rows = [row(1)]
    error = {"error_id": 502, "error_name": "throttle_violation", "error_message": "too many requests from this IP"}
    api.instead[1] = Reply(json.dumps(error).encode(), status=400, headers={"Content-Type": "application/json"})
    mirror.watch(api.url, items="")
    assert (mirror.visit().goes_on_in_s or 0) >= 60
    assert mirror.run().error is None


# -- what goes wrong


COINGECKO = {"status": {"error_code": 429, "error_message": "You've exceeded the Rate Limit."}}


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=429),
        Reply(status=429, headers={"Retry-After": "7"}),
        Reply(json.dumps(COINGECKO).encode(), headers={"Content-Type": "application/json"}),
        Reply(json.dumps(COINGECKO).encode(), status=403, headers={"Content-Type": "application/json"}),
        Reply(
            json.dumps({"quandl_error": {"code": "QELx04", "message": "Too many"}}).encode(),
            status=400,
            headers={"Content-Type": "application/json"},
        ),
    ],
    ids=["429", "Retry-After", "CoinGecko's body", "CoinGecko's body with 403", "Quandl's code"],
)
def test_a_rate_limit_is_waited_out_and_the_run_goes_on_at_its_page(mirror: Mirror, api: Api, reply: Reply) -> None:
    api.rows = [row(number) for number in range(9)]
    api.instead[2] = reply
    mirror.watch(api.url, paging="page")
    outcome = mirror.visit()
    assert outcome.goes_on_in_s is not None
    if "Retry-After" in reply.headers:
        assert outcome.goes_on_in_s == 7
    else:
        assert outcome.goes_on_in_s >= 60
    assert mirror.finished[-1].interval_s >= outcome.goes_on_in_s
    assert "page 2" in mirror.finished[-1].why
    assert mirror.run().error is None
    assert [asked["page"] for asked in api.asked] == ["1", "2", "2", "3", "4"]
    assert mirror.rows() == api.rows


def test_stack_exchange_s_backoff_is_kept_to(mirror: Mirror, api: Api) -> None:
    api.rows = [row(number) for number in range(5)]

    def give(params: Params) -> bytes:
        page = int(params["page"])
        more: dict[str, Any] = {"backoff": 10} if page == 1 else {}
        return json.dumps({"items": api.part(params), "has_more": page == 1, **more}).encode()

    api.give = give
    mirror.watch(api.url, paging="page", items="items")
    assert mirror.visit().goes_on_in_s == 10
    mirror.run()
    assert mirror.rows() == api.rows
    # it said that there is no more
    assert [asked["page"] for asked in api.asked] == ["1", "2"]


def test_a_page_of_html_in_the_middle_is_tried_again(mirror: Mirror, api: Api) -> None:
    api.rows = [row(number) for number in range(9)]
    for number in (2, 3):
        api.instead[number] = Reply(b"<html>Bad gateway</html>", headers={"Content-Type": "text/html"})
    mirror.watch(api.url, paging="page")
    first, second = mirror.visit().goes_on_in_s, mirror.visit().goes_on_in_s
    assert first is not None
    assert second is not None
    assert 1 <= first <= 1.5
    assert 2 <= second <= 3
    mirror.run()
    assert mirror.rows() == api.rows


def test_after_five_more_tries_a_run_rests_at_its_page_and_nothing_is_gone(mirror: Mirror, api: Api) -> None:
    api.rows = [row(number) for number in range(9)]
    mirror.watch(api.url, paging="page")
    mirror.run()
    api.asked.clear()
    api.rows = [row(0), row(1), row(2), row(3)]
    api.instead = {number: Reply(status=500) for number in range(2, 100)}
    outcome = mirror.run()
    assert outcome.failure is Failure.SERVER_ERROR
    assert [asked["page"] for asked in api.asked] == ["1", *["2"] * 6]
    assert mirror.gone() == []
    api.instead = {}
    asked_before = len(api.asked)
    assert mirror.run().error is None
    assert [asked["page"] for asked in api.asked[asked_before:]] == ["2", "3"]
    assert mirror.gone() == [4, 5, 6, 7, 8]


def test_the_pauses_between_tries_double_and_are_not_all_the_same(mirror: Mirror, api: Api) -> None:
    api.instead = {number: Reply(status=503) for number in range(1, 100)}
    mirror.watch(api.url)
    pauses = []
    while (pause_s := mirror.visit().goes_on_in_s) is not None:
        pauses.append(pause_s)
    assert len(pauses) == 5
    first = pauses[0] // 1.5 and (60 if pauses[0] >= 60 else 1)
    shares = [pause_s / (first * 2**number) for number, pause_s in enumerate(pauses)]
    assert all(1 <= share <= 1.5 for share in shares)
    assert len(set(shares)) > 1


@pytest.mark.parametrize("retries", [0, 2, 40])
def test_it_is_tried_as_often_as_is_said(mirror: Mirror, api: Api, retries: int) -> None:
    api.instead = {number: Reply(status=500) for number in range(1, 100)}
    mirror.watch(api.url, retries=retries)
    assert mirror.run().failure is Failure.SERVER_ERROR
    assert len(api.asked) == 1 + retries


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422])
def test_any_other_4xx_ends_the_run_with_its_reason(mirror: Mirror, api: Api, status: int) -> None:
    api.rows = [row(number) for number in range(9)]
    api.instead[2] = Reply(b'{"detail": "Invalid token."}', status=status, headers={"Content-Type": "application/json"})
    mirror.watch(api.url, paging="page")
    outcome = mirror.visit()
    assert outcome.failure is (Failure.GONE if status == 410 else Failure.CLIENT_ERROR)
    assert "Invalid token." in (outcome.error or "")
    assert len(api.asked) == 2
    assert "Invalid token." in (mirror.storage.sheets.standing("t").why or "")
    assert mirror.gone() == []


def test_rows_without_a_key_are_left_out_and_told(mirror: Mirror, api: Api) -> None:
    rows = [row(1), {"name": "no id"}, 7, row(1, price=3), None]
    api.give = lambda _: json.dumps(rows).encode()
    mirror.watch(api.url)
    outcome = mirror.run()
    assert mirror.rows() == [row(1, price=3)]
    assert outcome.notices == (
        "rows without 'id': not kept",
        "several rows with the same 'id': the last one counts",
    )
    assert mirror.storage.sources.all()[0].looks.notices == outcome.notices


@pytest.mark.parametrize(
    "text",
    [
        '{"id": 123456789012345678901234567890, "n": 0.10000000000000000001, "e": 1e400}',
        '{"id": 1, "deep": {"a": [1, {"b": null}]}, "$set": {"x.y": "\\u0000"}, "é": "\\ud800"}',
        '{"id": {"$oid": "1"}, "text": "' + "x" * 20_000 + '"}',
    ],
)
def test_a_row_is_kept_as_it_was_given(mirror: Mirror, api: Api, text: str) -> None:
    api.give = lambda _: f'{{"a": 1, "rows": [ {text} ], "rows2": []}}'.encode()
    mirror.watch(api.url, items="rows")
    assert mirror.run().error is None
    assert [one.text for one in mirror.update()] == [text]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"data": {"rows": []}}', "there are lists at 'data.rows'"),
        (b"[NaN]", "no JSON"),
        (b"[1, 2", "no JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"\xff\xfe", "no JSON"),
    ],
)
def test_what_is_no_list_is_told(mirror: Mirror, api: Api, body: bytes, told: str) -> None:
    api.give = lambda _: body
    mirror.watch(api.url)
    assert told in (mirror.run().error or "")


@pytest.mark.parametrize("depth", [50, 150, 300, 450, 600, 800, 900, 950, 980, 990])
def test_a_row_that_is_nested_deeply_is_kept_or_told(mirror: Mirror, api: Api, depth: int) -> None:
    api.give = lambda _: b'[{"id": 1, "deep": ' + b"[" * depth + b"1" + b"]" * depth + b"}]"
    mirror.watch(api.url)
    outcome = mirror.run()
    assert (outcome.error is None) == (depth < 100), outcome.error
    assert outcome.failure is not Failure.BUG


def test_members_with_strange_names_and_values_of_any_type_are_kept(mirror: Mirror, api: Api) -> None:
    rows = [
        {"id": 1, "\ud800": 1, "\0": 2, "": 3, "a.b": 4, "$where": 5, "n": 1},
        {"id": "1", "n": "text"},
        {"id": 1.5, "n": [1]},
        {"id": True, "n": {"$gt": 1}},
        {"id": [1], "n": 10**400},
        {"id": {"x": 1}, "n": None},
    ]
    api.give = lambda _: json.dumps(rows).encode()
    mirror.watch(api.url)
    outcome = mirror.run()
    assert (outcome.error, outcome.arrived) == (None, 6)
    assert mirror.listed() == rows
    names = [column.name for column in mirror.storage.sheets.standing("t").columns]
    for name in ("", *names):
        assert sorted(map(json.dumps, mirror.paged(TableOrder(column=name), limit=2))) == sorted(map(json.dumps, rows))


def test_a_delay_between_pages_holds_no_worker(mirror: Mirror, api: Api) -> None:
    api.rows = [row(number) for number in range(6)]
    mirror.watch(api.url, paging="page", delay="20s")
    assert mirror.visit().goes_on_in_s == 20
    assert len(api.asked) == 1
    assert mirror.run().error is None
    assert mirror.rows() == api.rows


def test_the_limits_of_its_group_hold_for_every_page(mirror: Mirror, api: Api) -> None:
    api.rows = [row(number) for number in range(30)]
    mirror.watch(api.url, paging="page", per_minute=6)
    outcome = mirror.visit()
    assert len(api.asked) == 1
    assert outcome.goes_on_in_s is not None
    assert 1 < outcome.goes_on_in_s <= 60


def test_a_redirect_counts_as_a_request_of_its_own(mirror: Mirror, api: Api) -> None:
    api.rows = [row(1)]
    api.instead[1] = Reply(status=302, headers={"Location": api.url})
    mirror.watch(api.url, per_minute=60)
    assert mirror.run().error is None
    (standing,) = mirror.storage.ledger.standings(limit=10)
    assert standing.ledger.used_minute == 2


def test_headers_come_from_the_environment_and_are_not_kept(
    mirror: Mirror, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COINS_TOKEN", "s3cret")
    api.rows = [row(1)]
    mirror.watch(api.url, headers={"Authorization": "Token ${COINS_TOKEN}"})
    mirror.run()
    assert api.server.requests[-1].headers["Authorization"] == "Token s3cret"
    assert "s3cret" not in repr(mirror.storage.sources.all())


def test_by_hand_a_run_of_several_visits_is_seen_through(mirror: Mirror, api: Api) -> None:
    api.rows = [row(number) for number in range(5)]
    mirror.watch(api.url, paging="page", params={"per_page": 3}, delay="1.1s")
    (finished,) = poll_now(mirror.storage, SETTINGS, [mirror.storage.sources.all()[0].source])
    assert (finished.outcome.error, finished.outcome.arrived) == (None, 5)
    assert mirror.storage.sheets.standing("t").rows == 5
    assert [asked["page"] for asked in api.asked] == ["1", "2"]


def test_by_hand_nobody_waits_for_longer_than_a_minute(mirror: Mirror, api: Api) -> None:
    api.rows = [row(number) for number in range(5)]
    mirror.watch(api.url, paging="page", params={"per_page": 3}, delay="5m")
    (finished,) = poll_now(mirror.storage, SETTINGS, [mirror.storage.sources.all()[0].source])
    assert "page 2" in (finished.outcome.error or "")
    assert mirror.storage.sources.all()[0].looks.error is None
