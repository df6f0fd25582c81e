"""MongoDB as a broker: what kombu's transport does not do, tried on kombu's own channels."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kombu import Connection, Exchange, Queue
from kombu.transport.virtual import Message
from pymongo.database import Database

from feedmirror.broker import broker_settings
from feedmirror.config import Settings
from feedmirror.mongodb_broker import Tail

CONTROL = Exchange("test.control", type="fanout", durable=False)
EVENTS = Exchange("test.events", type="topic", durable=False)


@contextmanager
def channel(uri: str) -> Iterator[Any]:
    """A channel as Celery opens one."""
    settings = broker_settings(Settings(mongodb_uri=uri))
    options = settings["broker_transport_options"]
    with Connection(uri, transport=settings["broker_transport"], transport_options=options) as connection:
        one = connection.channel()
        try:
            yield one
        finally:
            one.client.client.close()


def said(channel: Any, queue: str) -> list[Any]:
    """What has come to a queue."""
    messages: list[Message] = list(iter(lambda: channel.basic_get(queue, no_ack=True), None))
    return [message.decode() for message in messages]


def test_what_is_said_to_all_is_heard_by_those_who_listened_when_nothing_had_been_said_yet(database_uri: str) -> None:
    with channel(database_uri) as listening, channel(database_uri) as saying:
        Queue("listener", CONTROL, durable=False, auto_delete=True)(listening).declare()
        for _ in range(3):
            assert said(listening, "listener") == []
        producer = saying.connection.client.Producer(saying, CONTROL)
        for number in range(3):
            producer.publish(number)
        assert said(listening, "listener") == [0, 1, 2]


def test_what_was_said_before_somebody_listened_is_not_heard(database_uri: str) -> None:
    with channel(database_uri) as listening, channel(database_uri) as saying:
        producer = saying.connection.client.Producer(saying, CONTROL)
        CONTROL(saying).declare()
        producer.publish("before")
        Queue("late listener", CONTROL, durable=False, auto_delete=True)(listening).declare()
        producer.publish("after")
        assert said(listening, "late listener") == ["after"]


@pytest.fixture
def broadcast(database: Database[dict[str, Any]]) -> Any:
    return database.create_collection("broadcast", capped=True, size=4096)


def numbers(tail: Tail) -> list[int]:
    return [document["number"] for document in tail]


def add(collection: Any, *numbers: int, size: int = 0) -> None:
    for number in numbers:
        collection.insert_one({"queue": "wanted", "number": number, "filling": "x" * size})


def test_a_tail_gives_each_document_once_in_the_order_of_their_coming(broadcast: Any) -> None:
    tail = Tail(broadcast, "wanted")
    assert numbers(tail) == []
    add(broadcast, 1)
    assert numbers(tail) == [1]
    broadcast.insert_one({"queue": "another", "number": 0})
    add(broadcast, 2, 3)
    assert numbers(tail) == [2, 3]
    assert numbers(tail) == []


def test_a_tail_whose_place_was_overwritten_goes_on_with_what_there_is(broadcast: Any) -> None:
    tail = Tail(broadcast, "wanted")
    add(broadcast, 1)
    assert numbers(tail) == [1]
    add(broadcast, *range(2, 30), size=500)
    assert numbers(tail) == []  # it notices
    assert numbers(tail)[-1] == 29
    add(broadcast, 30)
    assert numbers(tail) == [30]


def test_a_tail_whose_cursor_the_server_has_forgotten_goes_on_where_it_was(broadcast: Any) -> None:
    tail = Tail(broadcast, "wanted")
    add(broadcast, 1, 2)
    assert numbers(tail) == [1, 2]
    broadcast.database.command("killCursors", "broadcast", cursors=[tail._cursor.cursor_id])
    add(broadcast, 3)
    assert numbers(tail) == []
    assert numbers(tail) == [3]


def test_what_comes_for_a_monitor_that_was_killed_is_forgotten_and_so_is_the_monitor(
    database_uri: str, database: Database[dict[str, Any]]
) -> None:
    """MongoDB forgets it within a minute of its time, which is long for a test: that it has one, and that is heeded."""
    began = datetime.now(UTC)
    with channel(database_uri) as worker:
        with channel(database_uri) as monitor:
            events = Queue("events", EVENTS, "#", auto_delete=True, durable=False, expires=60.0, message_ttl=5.0)
            events(monitor).declare()
        producer = worker.connection.client.Producer(worker, EVENTS)
        for number in range(10):
            producer.publish(number, routing_key="task.received")
        producer.publish(10, routing_key="task.received", expiration=2)
    now = datetime.now(UTC)
    over = [document["expire_at"] for document in database["messages"].find({"queue": "events"})]
    assert len(over) == 11
    assert all(began < moment <= now + timedelta(seconds=5) for moment in over)
    assert min(over) <= now + timedelta(seconds=2)
    for name in ("messages.routing", "messages.queues"):
        (document,) = database[name].find()
        assert began < document["expire_at"] <= now + timedelta(seconds=60)
    for name in ("messages", "messages.routing", "messages.queues"):
        assert database[name].index_information()["expire_at_1"]["expireAfterSeconds"] == 0


def test_a_queue_that_is_read_stays_and_costs_no_write_each_time(
    database_uri: str, database: Database[dict[str, Any]]
) -> None:
    with channel(database_uri) as monitor:
        Queue("events", EVENTS, "#", auto_delete=True, durable=False, expires=20.0)(monitor).declare()

        def lives_until() -> Any:
            return database["messages.routing"].find_one({"queue": "events"})["expire_at"]  # type: ignore[index]

        said(monitor, "events")
        first = lives_until()
        for _ in range(10):
            said(monitor, "events")
        assert lives_until() == first
        monitor._said_at["events"] -= 5
        said(monitor, "events")
        assert lives_until() > first
