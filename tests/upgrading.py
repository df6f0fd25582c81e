"""A process that brings data up to date with a step of its own: python -m tests.upgrading URI SECONDS_EACH."""

import sys
import time
from contextlib import closing
from typing import Any

from pymongo.database import Database

from feedmirror.db import Connection
from feedmirror.storage.schema import Say, Schema, Step


def main(uri: str, seconds_each: float) -> None:
    def double(database: Database[dict[str, Any]], say: Say) -> None:
        numbers = database["numbers"]
        left = list(numbers.find({"doubled": {"$ne": True}}))
        for done, one in enumerate(left):
            say(f"{done} of {len(left)}")
            change = [{"$set": {"value": {"$multiply": ["$value", 2]}, "doubled": True}}]
            if numbers.update_one({"_id": one["_id"], "doubled": {"$ne": True}}, change).matched_count:
                print("doubled", one["_id"])
            time.sleep(seconds_each)

    with closing(Connection(uri, timeout_s=10)) as connection:
        Schema(connection.database(), [Step("double the numbers", double)]).upgrade()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
