"""How a source is polled: the recipe, and what each kind of source does in it.

    poller     what is done with every source that is due: begun under its group's limits, looked at, scheduled anew
    ├── kinds  which kinds there are
    │   └── feed      a document that lists entries: they become items of the stream
    └── visit  what a kind may do while it looks: ask its publisher, under the limits that hold for all

A kind is a module of its own that gives a `Kind`; nothing else asks which one a source is of.
"""

from feedmirror.poll.poller import Poller

__all__ = ["Poller"]
