"""A market of invented coins, in the shape of CoinGecko's /coins/markets.

Prices walk, ranks follow the market caps, and a coin that nobody traded stays as it was. The same coins are there at
each start, at about the same prices: what was mirrored of an earlier one goes on. It knows no HTTP but the status.
"""

import re
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from math import exp, expm1, floor, log10, sqrt
from random import Random

COINS = 120

_Row = dict[str, object]

_DAY = timedelta(days=1)
_STEP = timedelta(seconds=5)
# What lies further back than an hour is walked in long steps; nobody has seen it.
_LONG_STEP = timedelta(minutes=30)
_LONG_AGO = timedelta(hours=1)
# The last day is kept in parts of this length.
_PART = timedelta(minutes=15)
_LISTED_AT = datetime(2023, 11, 14, tzinfo=UTC)

_HEADS = "Brindle Fjonna Gloom Hespi Jorva Kvelp Lumbo Plovo Quorv Tarnu Wexli Zemmi".split()
_TAILS = "dram loop marl nudge pip quill shell tine vane wick".split()


@dataclass(slots=True)
class _Part:
    """The prices of a part of the last day."""

    began_at: datetime
    first: float
    low: float
    high: float


class _Coin:
    """A coin, and what it was worth during the last day. Its character comes from its name alone."""

    def __init__(self, head: str, tail: str, place: int, at: datetime):
        self._name = head + tail
        self._symbol = (head[:3] + tail[0]).lower()
        born = Random(self._name)  # noqa: S311 - no secret
        price: float = 10 ** born.uniform(-3, 4)
        market_cap = 300e9 * (7 / (place + 7)) ** 1.7 * born.lognormvariate(0, 0.15)
        self._supply: int = round(market_cap / price)
        self._most = round(self._supply * born.uniform(1, 2)) if born.random() < 0.5 else None
        # a part of the price, as the standard deviation of a day
        self._restless = born.uniform(0.03, 0.12)
        # from one trade to the next, on average; the large ones are traded all the time
        self._pause = timedelta(seconds=8 + place * born.uniform(0.5, 1))
        self._volume = market_cap * born.lognormvariate(-3, 0.7)
        self._issued_for = price / born.lognormvariate(1, 1.5) if born.random() < 0.15 else None
        self._highest = (price * born.uniform(1.3, 20), _LISTED_AT + born.random() * timedelta(days=400))
        self._lowest = (price / born.uniform(2, 50), _LISTED_AT + born.random() * timedelta(days=400))
        self._price: float = price
        self._traded_at = at
        self._day = deque([_Part(at, price, price, price)])

    @property
    def market_cap(self) -> float:
        return self._price * self._supply

    def is_traded(self, during: timedelta, random: Random) -> bool:
        return random.random() < -expm1(-during / self._pause)

    def trade(self, at: datetime, random: Random) -> None:
        """Give it another price: a geometric random walk, as far as the time since the last trade lets it go."""
        far = sqrt(min(1.0, (at - self._traded_at) / _DAY))
        self._price *= exp(self._restless * far * random.gauss())
        self._volume *= exp(0.3 * far * random.gauss())
        self._traded_at = at
        self._highest = max(self._highest, (self._price, at))
        self._lowest = min(self._lowest, (self._price, at))
        if at - self._day[-1].began_at >= _PART:
            self._day.append(_Part(at, self._price, self._price, self._price))
        part = self._day[-1]
        part.low, part.high = min(part.low, self._price), max(part.high, self._price)
        while self._day[0].began_at < at - _DAY:
            self._day.popleft()

    def row(self, rank: int) -> _Row:
        """What CoinGecko says of a coin."""
        before = self._day[0].first
        change = self._price - before
        return {
            "id": self._name.lower(),
            "symbol": self._symbol,
            "name": self._name,
            "image": None,
            "current_price": _price(self._price),
            "market_cap": round(self.market_cap),
            "market_cap_rank": rank,
            "fully_diluted_valuation": round(self._price * (self._most or self._supply)),
            "total_volume": round(self._volume),
            "high_24h": _price(max(part.high for part in self._day)),
            "low_24h": _price(min(part.low for part in self._day)),
            "price_change_24h": _price(change),
            "price_change_percentage_24h": _percent(self._price, before),
            "market_cap_change_24h": round(change * self._supply),
            "market_cap_change_percentage_24h": _percent(self._price, before),
            "circulating_supply": self._supply,
            "total_supply": self._most or self._supply,
            "max_supply": self._most,
            "ath": _price(self._highest[0]),
            "ath_change_percentage": _percent(self._price, self._highest[0]),
            "ath_date": _time(self._highest[1]),
            "atl": _price(self._lowest[0]),
            "atl_change_percentage": _percent(self._price, self._lowest[0]),
            "atl_date": _time(self._lowest[1]),
            "roi": self._roi(),
            "last_updated": _time(self._traded_at),
        }

    def _roi(self) -> _Row | None:
        if self._issued_for is None:
            return None
        times = self._price / self._issued_for - 1
        return {"times": times, "currency": "usd", "percentage": times * 100}


class InventedMarket:
    """The coins at any time; safe with any number of threads.

    Nothing runs in the background: asked for its rows, it catches up with what was traded meanwhile.
    """

    def __init__(self, *, random: Random, now: datetime):
        self._random = random
        self._lock = threading.Lock()
        self._at = now - _DAY
        pairs = list(product(_HEADS, _TAILS))
        named = Random("coins").sample(pairs, COINS)  # noqa: S311 - no secret
        self._coins = [_Coin(head, tail, place, self._at) for place, (head, tail) in enumerate(named)]

    def rows(self, now: datetime) -> list[_Row]:
        """All coins as of `now`, the largest first."""
        with self._lock:
            self._catch_up(now)
            ranked = sorted(self._coins, key=lambda coin: coin.market_cap, reverse=True)
            return [coin.row(rank) for rank, coin in enumerate(ranked, 1)]

    def _catch_up(self, now: datetime) -> None:
        # After a long sleep of the machine, only the day that a row tells of is made up.
        self._at = max(self._at, now - _DAY)
        while now - self._at >= _STEP:
            step = _LONG_STEP if now - self._at >= _LONG_AGO else _STEP
            self._at += step
            for coin in self._coins:
                if coin.is_traded(step, self._random):
                    coin.trade(self._at - step * self._random.random(), self._random)


def answer(rows: Sequence[_Row], query: Mapping[str, str]) -> tuple[int, object]:
    """The status and the body as CoinGecko answers; a `page` or `per_page` that is no number is left out of account."""
    currency = query.get("vs_currency")
    if not currency:
        return 422, {"error": "Missing parameter vs_currency"}
    if currency.lower() != "usd":
        return 422, {"error": "invalid vs_currency"}
    per_page = min(_count(query.get("per_page")) or 100, 250)
    page = _count(query.get("page")) or 1
    return 200, rows[per_page * (page - 1) : per_page * page]


def _count(text: str | None) -> int:
    return int(text) if text and re.fullmatch(r"[0-9]{1,9}", text) else 0


def _price(number: float) -> float:
    """Five digits, and all before the point."""
    return round(number, max(2, 4 - floor(log10(abs(number))))) if number else 0.0


def _percent(number: float, before: float) -> float:
    return round((number / before - 1) * 100, 5)


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
