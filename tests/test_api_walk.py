"""Paginated APIs become tables: real servers on loopback that behave as the APIs that people name, the real MongoDB."""

import json
from typing import Any

import pytest

from feedmirror.errors import Failure
from tests.apis import Api, Mirror, Params, row
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


def test_as_many_pages_as_are_wanted(mirror: Mirror, api: Api) -> None:
    api.rows = [row(number) for number in range(30)]
    mirror.watch(api.url, paging="page", max_pages=2)
    mirror.run()
    assert len(mirror.rows()) == 6
    api.rows.insert(0, row(100))
    mirror.run()
    assert mirror.gone() == [5]


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


def test_after_five_more_tries_a_run_is_given_up_and_nothing_is_gone(mirror: Mirror, api: Api) -> None:
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
    assert mirror.run().error is None
    assert [asked["page"] for asked in api.asked[-3:]] == ["1", "2", "3"]
    assert mirror.gone() == [4, 5, 6, 7, 8]


def test_any_other_4xx_ends_the_run_with_its_reason(mirror: Mirror, api: Api) -> None:
    api.rows = [row(number) for number in range(9)]
    api.instead[2] = Reply(b'{"detail": "Invalid token."}', status=401, headers={"Content-Type": "application/json"})
    mirror.watch(api.url, paging="page")
    outcome = mirror.visit()
    assert outcome.failure is Failure.CLIENT_ERROR
    assert "Invalid token." in (outcome.error or "")
    assert len(api.asked) == 2


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


def test_headers_come_from_the_environment_and_are_not_kept(
    mirror: Mirror, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COINS_TOKEN", "s3cret")
    api.rows = [row(1)]
    mirror.watch(api.url, headers={"Authorization": "Token ${COINS_TOKEN}"})
    mirror.run()
    assert api.server.requests[-1].headers["Authorization"] == "Token s3cret"
    assert "s3cret" not in repr(mirror.storage.sources.all())
