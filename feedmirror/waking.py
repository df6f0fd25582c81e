"""Wakes up a worker for a job: a message by the task's name, to whatever broker there is.

Only makes it quicker: a job that no message comes for is found by the next look for what is due. So nobody waits for
the broker, and a message that cannot be sent is let go.
"""

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

_TASK = "feedmirror.do_job"
# A broker that has not taken a message by then is away.
_TIMEOUT_S = 2.0
# What is still waiting when the broker has been away for a while is found without messages.
_MOST_WAITING = 1_000


class Waker:
    """Sends messages from a thread of its own, which begins with the first one.

    `broker_settings` gives Celery's settings of the broker, asked when they are needed. Each message is of no use after
    `expires_s`.
    """

    def __init__(self, broker_settings: Callable[[], dict[str, Any]], *, expires_s: float):
        self._broker_settings = broker_settings
        self._expires_s = expires_s
        self._waiting: queue.Queue[str] = queue.Queue(_MOST_WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def wake(self, job_id: str) -> None:
        """Have somebody do this job soon; returns at once, and never fails."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():  # none survives a fork
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
                app = app or Celery(set_as_current=False, changes=_impatient(self._broker_settings()))
                app.send_task(_TASK, (job_id,), expires=self._expires_s, retry=False, ignore_result=True)
            except Exception as error:  # noqa: BLE001 (whatever a broker's library raises)
                log.warning("the broker is away, a job waits for the next look: %s", type(error).__name__)


def _impatient(settings: dict[str, Any]) -> dict[str, Any]:
    options = {"socket_connect_timeout": _TIMEOUT_S, **settings.get("broker_transport_options", {})}
    return {**settings, "broker_transport_options": options, "broker_connection_timeout": _TIMEOUT_S}
