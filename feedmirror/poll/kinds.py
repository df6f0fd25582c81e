"""The kinds of sources that there are, by what the sources file calls them."""

from feedmirror.poll import api, feed
from feedmirror.poll.kind import Kind

KINDS: dict[str, Kind] = {"feed": feed.KIND, "api": api.KIND}
