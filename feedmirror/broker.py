"""The broker: where it is, how a process that is no worker sends a message, and whether it is there.

A message only wakes a worker up. A job that none comes for is found by the next look for what is due, so nobody waits
for the broker, and a message that cannot be sent is let go.
"""

import logging
import queue
import threading
import time
from typing import Any

from feedmirror.config import Settings
from feedmirror.outages import Outage, say

log = logging.getLogger(__name__)

_TASK = "feedmirror.do_job"
_RABBITMQ = ("amqp", "pyamqp")
_MONGODB = "feedmirror.mongodb_broker:Transport"
# A broker that has not taken a message by then is away.
_TIMEOUT_S = 2.0
# The first try may go into a connection that broke when the broker was started anew.
_ONCE_MORE = {"retry": True, "retry_policy": {"max_retries": 1, "interval_start": 0}}
# What is still waiting when the broker has been away for a while is found without messages.
_MOST_WAITING = 1_000
# A probe may ask every second, each web process has one, and a connection costs a broker more than a message does.
_PROBED_EVERY_S = 5.0


def broker_settings(settings: Settings) -> dict[str, Any]:
    """Celery's settings of the broker: CELERY_BROKER_URL, else the MongoDB that keeps the items."""
    url = settings.celery_broker_url
    if url.startswith("mongodb"):
        # kombu asks MongoDB once a second for messages, and a poll takes two of them; ttl: what is over is forgotten
        options = {"polling_interval": 0.2, "ttl": True}
        return {"broker_url": url, "broker_transport": _MONGODB, "broker_transport_options": options}
    if url.startswith(_RABBITMQ):
        # What is sent into a connection that RabbitMQ has left, as it does when it is started anew, is lost without an
        # error, and a job waits for the next look. A receipt is waited for, and what has none is sent again.
        return {"broker_url": url, "broker_transport_options": {"confirm_publish": True}}
    return {"broker_url": url}


class Waker:
    """Sends messages from a thread of its own, which begins with the first one."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._waiting: queue.Queue[str] = queue.Queue(_MOST_WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._outage = Outage("the broker")

    def wake(self, job_id: str) -> None:
        """Have somebody do this job soon; returns at once, and never fails."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                # None survives a fork. What its queue holds is the parent's to send, and the next message would be
                # told to the thread that is gone.
                self._waiting = queue.Queue(_MOST_WAITING)
                self._thread = threading.Thread(target=self._send_all, name="wake workers", daemon=True)
                self._thread.start()
        try:
            self._waiting.put_nowait(job_id)
        except queue.Full:
            log.warning("too many messages wait for the broker: this job is found without one")

    def _send_all(self) -> None:
        # half a second, which only those who ask for work need to take
        from celery import Celery

        app: Any = None
        while True:
            job_id = self._waiting.get()
            try:
                app = app or Celery(set_as_current=False, changes=_impatient(broker_settings(self._settings)))
                app.send_task(_TASK, (job_id,), expires=self._settings.lease_s, **_ONCE_MORE, ignore_result=True)
            except Exception as error:  # noqa: BLE001 (whatever a broker's library raises)
                say(log, self._outage.begins(f"jobs wait for the next look ({type(error).__name__})"))
            else:
                say(log, self._outage.ends())


class Probe:
    """Asks whether the broker takes connections, with the credentials that messages are sent with.

    One attempt at most every few seconds, which takes two at most; its result is remembered meanwhile.
    """

    def __init__(self, settings: Settings):
        self._settings = settings
        self._lock = threading.Lock()
        self._probed_at: float | None = None
        self._trouble: str | None = None

    def trouble(self) -> str | None:
        """Why no message can be sent, in words for every reader; None where it can."""
        with self._lock:
            if self._probed_at is None or time.monotonic() - self._probed_at >= _PROBED_EVERY_S:
                self._trouble = self._probe()
                self._probed_at = time.monotonic()
            return self._trouble

    def _probe(self) -> str | None:
        given = _impatient(broker_settings(self._settings))
        ask = _ask_mongodb if given.get("broker_transport") == _MONGODB else _ask
        try:
            ask(given)
        except Exception as error:  # noqa: BLE001 (whatever a broker's library raises)
            log.debug("the broker is away: %s", type(error).__name__)
            return "The broker is away."
        return None


def _ask(given: dict[str, Any]) -> None:
    # a tenth of a second, which only a site that is asked needs to take
    from kombu import connection as kombu_connection

    connection: Any = kombu_connection.Connection
    options = given["broker_transport_options"]
    transport = connection(given["broker_url"], transport_options=options, connect_timeout=_TIMEOUT_S).transport
    transport.close_connection(transport.establish_connection())


def _ask_mongodb(given: dict[str, Any]) -> None:
    """Kombu's transport never closes the client that it makes for a connection."""
    from pymongo import MongoClient

    with MongoClient[dict[str, Any]](given["broker_url"], timeoutMS=int(_TIMEOUT_S * 1000)) as client:
        client.admin.command("ping")


def _impatient(settings: dict[str, Any]) -> dict[str, Any]:
    redis = {"socket_connect_timeout": _TIMEOUT_S, "socket_timeout": _TIMEOUT_S}
    waits = {**redis, "selection_timeout_s": _TIMEOUT_S}  # MongoDB's
    options = {**waits, **settings.get("broker_transport_options", {})}
    return {**settings, "broker_transport_options": options, "broker_connection_timeout": _TIMEOUT_S}
