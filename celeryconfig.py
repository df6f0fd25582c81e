"""Celery's settings. Whatever differs from Celery's default says why.

Where the broker is comes from the environment, see `feedmirror.broker`: it may be asked only when it is needed, since
one pass by hand has no broker at all.
"""

from feedmirror.ticks import every

# The broker may start after the worker, and may be away for as long as it likes.
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
# A MongoDB that is shut down may answer that it is: to Celery an error of the channel, and by default the worker's end.
broker_channel_error_retry = True

# Nobody asks for results: what a task did stands in MongoDB.
task_ignore_result = True

# A message may be delivered twice without harm (claims work once), and must outlive a pool child that dies.
task_acks_late = True
task_reject_on_worker_lost = True
worker_prefetch_multiplier = 1
# How long a task whose process was killed keeps the worker from the next one: what it still said is read at once, and
# ten seconds are long for those who watch.
worker_lost_wait = 2

# So that a monitor (make flower) shows tasks from its first moment on. Three small messages for each task; where nobody
# listens they are kept for nobody, and what came for a monitor that was killed is forgotten soon (event_queue_ttl).
worker_send_task_events = True

# Celery's own ends the worker when Redis goes at a wrong moment.
worker_consumer = "feedmirror.worker_steps:Reconnecting"

# Celery's own hangs when one of its processes is killed while it waits for a message.
worker_pool = "feedmirror.pool:TaskPool"

# The worker's own lines are few (see stack_scrap.py); one of ours must not be cut into them.
worker_redirect_stdouts = False

# No schedule file: the one entry below is all there is to remember.
beat_scheduler = "celery.beat:Scheduler"
beat_max_loop_interval = 1
beat_schedule = {
    "look for what is due every second": {
        "task": "feedmirror.poll_due",
        # Not a plain 1.0, which goes by the wall clock: set back by an hour, beat would be silent for an hour.
        "schedule": every(seconds=1),
        # A look that could not start in time is no use, the next one finds the same. Not less, because machines
        # whose clocks differ by more than this would drop every look.
        "options": {"expires": 30},
    }
}
