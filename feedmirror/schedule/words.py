"""What the schedule says to people: rates, spans of time, ordinals."""

MINUTE_S, HOUR_S, DAY_S = 60.0, 3_600.0, 86_400.0


def in_words(seconds: float) -> str:
    """`90 s`, `10 min`, `2.5 h`, `3 days`: in the largest unit that makes one exactly or two at least."""
    for unit_s, name in ((DAY_S, "day"), (HOUR_S, "h"), (MINUTE_S, "min")):
        if seconds == unit_s or seconds >= 2 * unit_s:
            plural = "s" if name == "day" and seconds > unit_s else ""
            return f"{seconds / unit_s:.3g} {name}{plural}"
    return f"{seconds:.3g} s"


def rate_in_words(per_day: float) -> str:
    for days, period in ((1, "day"), (7, "week"), (30, "month")):
        if (number := round(per_day * days)) >= 1:
            return f"{number} item{'s' if number > 1 else ''} a {period}"
    return "hardly any items"


def ordinal(number: int) -> str:
    """`1st`, `2nd`, `11th`."""
    last = 0 if number % 100 in (11, 12, 13) else number % 10
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(last, 'th') }"
