"""Counts as one says them; static/realtime.js says them in the same words."""


def counted(number: int, noun: str) -> str:
    """The number with its noun: "1 vote", "1,234 comments", "-1 votes"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
