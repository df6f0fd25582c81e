"""Leases: who holds something for a while. Each begins with the id of the process that holds it.

token(holder)     a new lease, which no other is equal to
of(holder)        the condition that finds all leases of a process, answered from an index
not_of(holders)   the condition that finds those of all other processes
"""

import re
import secrets
from collections.abc import Iterable
from typing import Any


def token(holder: str) -> str:
    return f"{holder}.{secrets.token_hex(8)}"


def of(holder: str) -> dict[str, Any]:
    return {"$regex": f"^{re.escape(holder)}\\."}


def not_of(holders: Iterable[str]) -> dict[str, Any]:
    """Held, and by none of these processes."""
    held: dict[str, Any] = {"$gt": ""}
    theirs = "|".join(map(re.escape, holders))
    return {**held, "$not": re.compile(f"^(?:{theirs})\\.")} if theirs else held
