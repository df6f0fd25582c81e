"""What a Celery worker does besides: steps of its blueprint (celery.bootsteps), in its main process.

ScheduleKeeper   starts the embedded schedule (-B) again when its process dies
EndSoon          tells the pool's processes that the worker ends, so that none waits for a job or a publisher
"""

import logging
import os
import signal
import threading
import time
from contextlib import suppress
from typing import Any

from celery import bootsteps
from celery.beat import EmbeddedService
from celery.signals import worker_shutting_down
from celery.worker import state
from celery.worker.consumer import Consumer

log = logging.getLogger(__name__)

# No part of Celery uses it, and a terminal does not send it.
END_SOON = signal.SIGRTMIN
# How soon a schedule that died is noticed and started again; without it each process looks by itself after 3 s.
_AGAIN_S = 1.0
# An orderly end takes three seconds. One that waits for a database or a broker that hangs takes as long as they do.
# What the worker holds is freed by the next one, which finds its processes gone.
_LATEST_END_S = 4.0


class ScheduleKeeper(bootsteps.StartStopStep):  # type: ignore[misc] # Celery has no types
    """Watches the process of the embedded schedule, from a thread that lasts as long as the worker.

    Linux ends a child whose parent thread ends (see `parent`): the thread that starts a schedule must outlive it.
    """

    requires = ("celery.worker.components:Beat",)

    def __init__(self, worker: Any, **_: Any):
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._again: Any = None
        super().__init__(worker)

    def start(self, worker: Any) -> None:
        if hasattr(worker.beat, "is_alive"):  # -B, and as a process or a thread
            self._thread = threading.Thread(target=self._keep, args=(worker,), name="keep the schedule", daemon=True)
            self._thread.start()

    def stop(self, worker: Any) -> None:
        self._ending.set()
        if self._again is not None:
            self._again.stop()

    terminate = stop

    def _keep(self, worker: Any) -> None:
        while not self._ending.wait(_AGAIN_S):
            beat = self._again or worker.beat
            if beat.is_alive():
                continue
            log.error("the schedule ended (%s): it is started again", _how(beat))
            try:
                again = EmbeddedService(
                    worker.app, schedule_filename=worker.schedule_filename, scheduler_cls=worker.scheduler
                )
                again.start()
                self._again = again
            except Exception:
                log.exception("the schedule cannot be started; each process looks by itself")
        self._ending.wait()


def _how(beat: Any) -> str:
    code = getattr(beat, "exitcode", None)
    if code is None:
        return "its thread is gone"
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


class Reconnecting(Consumer):  # type: ignore[misc]
    """Reads messages, and survives the loss of a broker whatever it holds."""

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """As Celery's, which a Redis that goes while a message is held ends together with the worker.

        kombu 5.7 puts the message back through a connection that its channel has let go; it comes again by itself.
        """
        try:
            super().on_connection_error_after_connected(exc)
        except AttributeError as error:
            log.debug("a connection that is lost was not closed in order: %s", error)


class EndSoon(bootsteps.Step):  # type: ignore[misc]
    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **_: Any):
        self._worker = worker
        worker_shutting_down.connect(self._tell, weak=False)
        super().__init__(worker)

    def _tell(self, **_: object) -> None:
        threading.Thread(target=self._end_at_last, name="end at last", daemon=True).start()
        pool = self._pool()
        if handler := getattr(pool, "_worker_handler", None):
            handler.close()  # a thread that sleeps most of a second between two looks
        self._signal_all(END_SOON)

    def _end_at_last(self) -> None:
        time.sleep(_LATEST_END_S)
        log.warning("the worker does not come to an orderly end within %g s, and ends as it is", _LATEST_END_S)
        self._signal_all(signal.SIGKILL)
        logging.shutdown()
        os._exit(int(state.should_stop or state.should_terminate or 0))

    def _signal_all(self, number: signal.Signals) -> None:
        for process in list(getattr(self._pool(), "_pool", ())):
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)

    def _pool(self) -> Any:
        return getattr(getattr(self._worker, "pool", None), "_pool", None)
