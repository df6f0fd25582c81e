"""A paginated API for measuring: one loopback server, in a process of its own, that makes its pages when asked.

python -m bench.api             serves until its standard input ends; prints its port

/rows/COUNT?page=N&per_page=M   a page of the table that has so many rows, each of the shape of CoinGecko's coins
/turn/N                         from now on, one row in a hundred has the price that it has at turn N
"""

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

CHANGED_IN = 100

_REQUEST = re.compile(rb"GET /rows/(\d+)\?(\S*) HTTP/1\.1\r\n")
_TURN = re.compile(rb"GET /turn/(\d+) ")
_PAGE, _PER_PAGE = re.compile(rb"(?:^|&)page=(\d+)"), re.compile(rb"(?:^|&)per_page=(\d+)")

_ROW = (
    b'{"id":"coin-%(n)d","symbol":"c%(n)d","name":"Coin %(n)d",'
    b'"image":"https://example.org/coins/images/%(n)d/large/coin.png?1696501400","current_price":%(price)d.25,'
    b'"market_cap":%(cap)d,"market_cap_rank":%(n)d,"fully_diluted_valuation":%(cap)d,"total_volume":%(volume)d,'
    b'"high_24h":%(price)d.75,"low_24h":%(price)d.125,"price_change_24h":-1.3245,'
    b'"price_change_percentage_24h":-0.87129,"market_cap_change_24h":-1230012.5,'
    b'"market_cap_change_percentage_24h":-0.5,"circulating_supply":19675987.0,"total_supply":21000000.0,'
    b'"max_supply":null,"ath":%(price)d.5,"ath_change_percentage":-4.5,"ath_date":"2024-03-14T07:10:36.635Z",'
    b'"atl":0.5,"atl_change_percentage":103455.83,"atl_date":"2013-07-06T00:00:00.000Z","roi":null,'
    b'"last_updated":"2026-01-02T03:04:05.736Z"}'
)


class Api(asyncio.Protocol):
    """One connection of a client."""

    turn: ClassVar[int] = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head, self._received = self._received[: end + 2], self._received[end + 4 :]
            self._transport.write(_response(self._body(head)))

    def _body(self, head: bytes) -> bytes:
        if turn := _TURN.match(head):
            Api.turn = int(turn[1])
            return b"{}"
        request = _REQUEST.match(head)
        assert request, head
        page, per_page = _PAGE.search(request[2]), _PER_PAGE.search(request[2])
        assert page, head
        assert per_page, head
        return rows(int(request[1]), int(page[1]), int(per_page[1]), self.turn)


def rows(count: int, page: int, per_page: int, turn: int) -> bytes:
    """A page, counted from 1, of a table of `count` rows."""
    numbers = range(per_page * (page - 1), min(per_page * page, count))
    return b"[" + b",".join(_row(number, turn if number % CHANGED_IN == 0 else 0) for number in numbers) + b"]"


def _row(number: int, turn: int) -> bytes:
    price = number * 7919 % 100_000 + turn
    values = {b"n": number, b"price": price, b"cap": 10**12 - 1000 * number, b"volume": number * 104_729 % 10**9}
    return _ROW % values


def _response(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Api, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


@contextmanager
def running() -> Iterator[str]:
    """Its address, for the time of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.api"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        process.wait(10)


if __name__ == "__main__":
    asyncio.run(_serve())
