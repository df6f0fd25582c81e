"""Room on the disk of the bundled MongoDB, in words: little is left, or too little for it to run.

MongoDB ends itself when it cannot write. Another MongoDB than the bundled one of this data directory has a disk of its
own, about which nothing is known here.
"""

import shutil
from contextlib import suppress
from pathlib import Path

from feedmirror.config import Settings
from feedmirror.data_dir import has_database

_MB = 1_000_000
# A gigabyte lasts for days of ordinary feeds: time enough to make room.
_LITTLE_MB = 1000
# The journal, the oplog and the collections of a MongoDB without an item.
_EMPTY_MB = 310
# What a MongoDB that has all of this needs to start again: a second journal file, and its checkpoints.
_GOING_ON_MB = 150
# It is said again when less than this part of the room is left that there was when it was said last.
_NOTABLY = 0.5


def shortage(settings: Settings) -> str | None:
    """Say so where less than a gigabyte is left; None if there is more, or another MongoDB is in use.

    For every reader: of the data directory only its last part is named.
    """
    return _shortage(settings, settings.data_dir.name)


def full(data_dir: Path) -> str | None:
    """Say so where MongoDB cannot run because of the room that is left; None if it can."""
    return _full(data_dir, str(data_dir))


class Watch:
    """Says once that there is little room, and again when much of it is gone."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._said_mb: int | None = None

    def news(self) -> str | None:
        """What has to be said now, None if there is nothing new."""
        told = _shortage(self._settings, str(self._settings.data_dir))
        left = _left_mb(self._settings.data_dir)
        if told is None:
            self._said_mb = None
        elif self._said_mb is None or left < self._said_mb * _NOTABLY:
            self._said_mb = left
            return told
        return None


def _shortage(settings: Settings, name: str) -> str | None:
    if not _is_bundled(settings):
        return None
    if told := _full(settings.data_dir, name):
        return told
    left = _left_mb(settings.data_dir)
    return f"the disk of {name}/ is nearly full ({left} MB left)" if left < _LITTLE_MB else None


def _full(data_dir: Path, name: str) -> str | None:
    left = _left_mb(data_dir)
    if has_database(data_dir):
        return f"the disk of {name}/ is full ({left} MB left)" if left < _GOING_ON_MB else None
    if left < _EMPTY_MB:
        return f"the disk of {name}/ is full ({left} MB left; an empty installation takes {_EMPTY_MB})"
    return None


def _is_bundled(settings: Settings) -> bool:
    if settings.mongodb_uri is None:
        return True
    try:
        return settings.bundled_uri_path.read_text("utf-8").strip() == settings.mongodb_uri
    except (OSError, UnicodeDecodeError):
        return False


def _left_mb(path: Path) -> int:
    """Megabytes that this user may still write there, or where the directory will be made; many if that is unknown."""
    for one in (path, *path.parents):
        with suppress(OSError):
            return shutil.disk_usage(one).free // _MB
    return _LITTLE_MB
