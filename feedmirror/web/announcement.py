"""Saying where the page is, once it is really there. Knows no server."""

import math
import sys
import threading
import time
import urllib.error
import urllib.request
from http import HTTPStatus
from http.client import HTTPException

_EVERY_S = 0.2
_AWAY_AFTER_S = 5


def announce(host: str, port: int) -> None:
    """Print the address as soon as the page answers, its database included; does not wait for that."""
    threading.Thread(target=_announce, args=(_address(host, port),), daemon=True).start()


def _address(host: str, port: int) -> str:
    """Where a browser on this machine finds the page."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}/"


def _announce(address: str) -> None:
    ticker = threading.Event()
    patient_until = time.monotonic() + _AWAY_AFTER_S
    while (status := _status(address)) != HTTPStatus.OK:
        if status == HTTPStatus.SERVICE_UNAVAILABLE and time.monotonic() > patient_until:
            print(f"{address} answers, but its database is away", file=sys.stderr, flush=True)
            patient_until = math.inf
        ticker.wait(_EVERY_S)
    print(f"Feedmirror is at {address}", flush=True)


def _status(address: str) -> int | None:
    """What the page answers with; None if there is nobody who answers."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except (OSError, HTTPException):
        return None
