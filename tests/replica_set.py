"""A MongoDB of a test's own, of one member or of several, whose primary can be killed and started again.

with closing(ReplicaSet(directory, members=3)) as mongodb:
    Connection(mongodb.uri, ...)
    mongodb.kill_primary()     another one takes over, if there is one
    mongodb.restart()
"""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from feedmirror.mongod import Mongod
from tests.processes import free_port
from tests.waiting import wait_until

_NAME = "feedmirror"  # as Mongod calls it
# The others elect another one when they have not heard of the primary for this long; MongoDB's own is ten seconds.
_SILENT_MS = 1000
_ALREADY_INITIATED = 23


class ReplicaSet:
    """The members on loopback; `uri` names all of them. `options` are mongod's own."""

    def __init__(self, directory: Path, *, members: int = 1, options: Sequence[str] = ()):
        self._directory = directory
        self._options = options
        self._ports = {member: free_port() for member in range(1, members + 1)}
        self._hosts = {member: f"127.0.0.1:{port}" for member, port in self._ports.items()}
        self.uri = f"mongodb://{','.join(self._hosts.values())}/feedmirror?replicaSet={_NAME}"
        self._running: dict[int, Mongod] = {}
        with ExitStack() as stack:
            stack.callback(self.close)
            self._start()
            wait_until(self._initiated, "the members to know each other")
            self._wait_until_complete()
            stack.pop_all()

    def kill_primary(self) -> None:
        """Kill the one that takes writes, and wait until another one does where there are several."""
        member = wait_until(self._primary, "a primary")
        assert member
        killed = self._running.pop(member).process
        killed.kill()
        killed.wait()
        if self._running:
            wait_until(self._primary, "another primary")

    def restart(self) -> None:
        """Start what was killed where it was, and wait until all are up: only then may one be lost again."""
        self._start()
        self._wait_until_complete()

    def close(self) -> None:
        """End all of them."""
        for mongod in self._running.values():
            mongod.process.kill()
        for mongod in self._running.values():
            mongod.process.wait()

    def _start(self) -> None:
        for member, port in self._ports.items():
            if member not in self._running:
                self._running[member] = Mongod(self._directory / f"member{member}", port, self._options)

    def _initiated(self) -> bool:
        members = [{"_id": member, "host": host} for member, host in self._hosts.items()]
        config = {"_id": _NAME, "members": members, "settings": {"electionTimeoutMillis": _SILENT_MS}}
        with self._client(1) as client:
            try:
                client.admin.command("replSetInitiate", config)
            except OperationFailure as error:  # or a member that it cannot reach yet
                return error.code == _ALREADY_INITIATED
            except PyMongoError:  # still starting
                return False
        return True

    def _primary(self) -> int | None:
        """The member that takes writes; None while there is none."""
        for member in self._running:
            with self._client(member) as client:
                try:
                    if client.admin.command("hello").get("isWritablePrimary"):
                        return member
                except PyMongoError:  # still starting
                    continue
        return None

    def _wait_until_complete(self) -> None:
        complete = ["PRIMARY", *["SECONDARY"] * (len(self._ports) - 1)]
        wait_until(lambda: self._states() == complete, "all members")

    def _states(self) -> list[str]:
        primary = self._primary()
        if primary is None:
            return []
        with self._client(primary) as client:
            return sorted(member["stateStr"] for member in client.admin.command("replSetGetStatus")["members"])

    def _client(self, member: int) -> MongoClient[Any]:
        return MongoClient(
            "127.0.0.1", self._ports[member], directConnection=True, serverSelectionTimeoutMS=500, timeoutMS=5000
        )
