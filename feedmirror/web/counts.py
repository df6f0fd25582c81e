"""Counts as one says them; static/words.js says them in the same words."""


def counted(number: int, noun: str) -> str:
    """The number with its noun: "1 vote", "1,234 comments", "-1 votes"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def rate(number: float) -> str:
    """A rate as precisely as one cares: "1,234", "2.5", "0.04", "<0.01"."""
    if number >= 9.95 or not number:
        return f"{number:,.0f}"
    if number < 0.01:
        return "<0.01"
    return f"{number:.1f}" if number >= 1 else f"{number:.2f}"
