"""Indexes as this version wants them, whatever an older one has made."""

from collections.abc import Sequence
from typing import Any

from pymongo.collection import Collection
from pymongo.errors import OperationFailure

# IndexOptionsConflict and IndexKeySpecsConflict: there is one of these fields, or of this name, that is made otherwise.
_MADE_OTHERWISE = (85, 86)
# IndexNotFound, IndexBuildAborted: another process is at it as well.
_OTHERS_AT_WORK = (27, 276)
_TRIES = 10


def have_index(collection: Collection[dict[str, Any]], *fields: tuple[str, int], **options: Any) -> None:
    """Make an index; one over the same fields that was made with other options is made anew.

    Several processes may do so at once, as those of an installation do that start after an update.
    """
    for remaining in reversed(range(_TRIES)):
        try:
            _make(collection, fields, options)
        except OperationFailure as error:
            if not remaining or error.code not in _OTHERS_AT_WORK:
                raise
        else:
            return


def _make(collection: Collection[dict[str, Any]], fields: Sequence[tuple[str, int]], options: dict[str, Any]) -> None:
    try:
        collection.create_index(fields, **options)
    except OperationFailure as error:
        if error.code not in _MADE_OTHERWISE:
            raise
        collection.drop_index(list(fields))
        collection.create_index(fields, **options)
