"""Indexes as this version wants them, whatever an older one has made; those of a collection at once."""

from typing import Any

from pymongo import IndexModel
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

# IndexOptionsConflict and IndexKeySpecsConflict: there is one of these fields, or of this name, that is made otherwise.
_MADE_OTHERWISE = (85, 86)
# IndexNotFound, IndexBuildAborted: another process is at it as well.
_OTHERS_AT_WORK = (27, 276)
_TRIES = 10


def have_indexes(collection: Collection[dict[str, Any]], indexes: list[IndexModel]) -> None:
    """Make a collection's indexes; one over the same fields that was made with other options is made anew.

    Several processes may do so at once, as those of an installation do that start after an update.
    """
    for remaining in reversed(range(_TRIES)):
        try:
            _make(collection, indexes)
        except OperationFailure as error:
            if not remaining or error.code not in _OTHERS_AT_WORK:
                raise
        else:
            return


def _make(collection: Collection[dict[str, Any]], indexes: list[IndexModel]) -> None:
    try:
        collection.create_indexes(indexes)
    except OperationFailure as error:
        if error.code not in _MADE_OTHERWISE:
            raise
        for index in indexes:  # none has been made, and which of them it was is not said
            _make_anew(collection, index)


def _make_anew(collection: Collection[dict[str, Any]], index: IndexModel) -> None:
    try:
        collection.create_indexes([index])
    except OperationFailure as error:
        if error.code not in _MADE_OTHERWISE:
            raise
        collection.drop_index(list(index.document["key"].items()))
        collection.create_indexes([index])
