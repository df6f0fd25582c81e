"""What is done because somebody asked for it, and not because it is due: jobs.

    worker     claims a job, does it, and keeps how it went
    ├── looks      a look at a source, now
    └── datasets   a data set, by its codes
    task       what a kind of job is given, and how it says that it is not done yet

A job is a document (see storage.jobs); which message brought its id here, and that there are messages at all, is not
known.
"""

from feedmirror.work.worker import KINDS, Worker

__all__ = ["KINDS", "Worker"]
