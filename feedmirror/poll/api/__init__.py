"""Paginated JSON APIs: what they list, page by page, becomes the rows of a table.

walk       the run over the pages: one in memory at a time, each stored as it comes, to be gone on with at any moment
├── paging     from one answer to the next address
├── answer     JSON in, rows out
└── patience   who asks us to wait, and in which words
options    what the sources file says
"""

from feedmirror.poll.api import options
from feedmirror.poll.api.walk import look
from feedmirror.poll.kind import Kind

# What most tables of prices and issues are fresh by, and a request a minute for one of five pages.
_EVERY_S = 300

KIND = Kind(look, keys=options.KEYS, mistakes=options.mistakes, every_s=_EVERY_S)
