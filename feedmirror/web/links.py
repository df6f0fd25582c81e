"""Which of the addresses that strangers give us a page may use.

They are checked when an entry is read; here once more, where one that slipped through would do its harm. The script
draws by the same rule.
"""


def followable(url: str | None) -> str | None:
    """The address if a reader may be led there: `javascript:` and `data:` run where they are clicked."""
    return url if url and url.lower().startswith(("http://", "https://")) else None


def loadable(url: str | None) -> str | None:
    """The address if the page may load it by itself: our own policy refuses pictures that come in the clear."""
    return url if url and url.lower().startswith("https://") else None
