"""Saying where the page is, once it is really there. Knows no server."""

import sys
import threading
import urllib.request

_EVERY_S = 0.2
_AWAY_AFTER_S = 10


def announce(host: str, port: int) -> None:
    """Print the address as soon as the page answers, its database included; does not wait for that."""
    threading.Thread(target=_announce, args=(_address(host, port),), daemon=True).start()


def _address(host: str, port: int) -> str:
    """Where a browser on this machine finds the page."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}/"


def _announce(address: str) -> None:
    ticker = threading.Event()
    for attempt in range(100_000):
        if _answers(address):
            print(f"Feedmirror is at {address}", flush=True)
            return
        if attempt == _AWAY_AFTER_S / _EVERY_S:
            print(f"{address} answers, but its database is away", file=sys.stderr, flush=True)
        ticker.wait(_EVERY_S)


def _answers(address: str) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
