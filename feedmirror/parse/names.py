"""Short names for the tags of a document, whatever namespace its author wrote or forgot.

`{http://purl.org/dc/elements/1.1/}creator` is `dc:creator`, and an element of the format itself (Atom's in an Atom
feed, RSS's in an RSS feed) has no prefix. Feeds write the same namespace in several ways, forget to declare it, or
give an old draft's; all of that ends here, so that the formats know one name a field.

Knows nothing of what the names mean.
"""

ATOM = "atom"
RSS = "rss"

# Written in lower case and without the "/" or "#" at the end, as `_namespace_key` makes them.
_PREFIXES = {
    "http://www.w3.org/2005/atom": ATOM,
    "http://purl.org/atom/ns": ATOM,
    "http://backend.userland.com/rss": RSS,
    "http://backend.userland.com/rss2": RSS,
    "http://backend.userland.com/rss091": RSS,
    "http://blogs.law.harvard.edu/tech/rss": RSS,
    "http://cyber.law.harvard.edu/rss": RSS,
    "http://cyber.harvard.edu/rss/rss.html": RSS,
    "http://my.netscape.com/rdf/simple/0.9": RSS,
    "http://channel.netscape.com/rdf/simple/0.9": RSS,
    "http://my.netscape.com/publish/formats/rss-0.91.dtd": RSS,
    "http://purl.org/rss/1.0": RSS,
    "http://purl.org/rss/2.0": RSS,
    "http://purl.org/net/rss1.1": RSS,
    "http://www.w3.org/1999/02/22-rdf-syntax-ns": "rdf",
    "http://purl.org/dc/elements/1.0": "dc",
    "http://purl.org/dc/elements/1.1": "dc",
    "http://purl.org/dc/terms": "dcterms",
    "http://purl.org/rss/1.0/modules/content": "content",
    "http://purl.org/rss/1.0/modules/slash": "slash",
    "http://purl.org/rss/1.0/modules/description": "l",
    "http://search.yahoo.com/mrss": "media",
    "http://search.yahoo.com/rss": "media",
    "http://video.search.yahoo.com/mrss": "media",
    "http://www.itunes.com/dtds/podcast-1.0.dtd": "itunes",
    "http://www.itunes.com/dtds/pod-cast-1.0.dtd": "itunes",
    "http://example.com/dtds/podcast-1.0.dtd": "itunes",
    "http://wellformedweb.org/commentapi": "wfw",
    "http://purl.org/syndication/thread/1.0": "thr",
    "http://purl.org/atompub/rank/1.0": "re",
    "http://purl.org/syndication/history/1.0": "fh",
    "http://www.w3.org/1999/xhtml": "xhtml",
    "http://www.w3.org/xml/1998/namespace": "xml",
}
_KNOWN = frozenset(_PREFIXES.values())


class Names(dict[str, str]):
    """The short name of each tag of one document, worked out once a tag.

    `core`: the prefix that goes without saying in this document, ATOM or RSS. `root_tag`: what stands in the root's
    own namespace is the format's own, even if nobody has seen that namespace before.
    """

    def __init__(self, core: str, *own_tags: str):
        super().__init__()
        self._core = core
        self._own = {_namespace_key(namespace) for namespace, _ in map(split_tag, own_tags)}

    def __missing__(self, tag: str) -> str:
        name = self[tag] = self._short(tag)
        return name

    def _short(self, tag: str) -> str:
        namespace, local = split_tag(tag)
        prefix = self._prefix(_namespace_key(namespace))
        return f"{prefix}:{local.lower()}" if prefix else local.lower()

    def _prefix(self, key: str) -> str:
        if not key or key in self._own:
            return ""
        # a key that is itself a prefix comes of one that was used and never declared
        prefix = _PREFIXES.get(key, key if key in _KNOWN else "unknown")
        return "" if prefix == self._core else prefix


def split_tag(tag: str) -> tuple[str, str]:
    """Namespace and local name of lxml's `{namespace}local`.

    A prefix that was never declared is taken at its word: `dc:creator` is what its author meant by it.
    """
    if tag.startswith("{"):
        namespace, _, local = tag[1:].partition("}")
        return namespace, local
    prefix, colon, local = tag.rpartition(":")
    return (prefix, local) if colon else ("", tag)


def _namespace_key(namespace: str) -> str:
    key = namespace.strip().lower().rstrip("/#")
    return key.replace("https://", "http://", 1)
