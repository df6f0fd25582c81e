"""Data sets that somebody asked for: a document for each, and its data as it came, whatever its size.

The data stands in parts of its own (GridFS), since a document of MongoDB has 16 MB at most. New data is written beside
the old, and then named instead: a reader has one or the other, and whoever dies between leaves what is swept up with
the next one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from gridfs import GridFSBucket
from gridfs.errors import NoFile
from pymongo import DESCENDING, ReturnDocument
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from feedmirror.models import SERIES, Job, Preview, Series, SeriesPlace, SeriesStatus
from feedmirror.storage.jobs import Jobs, new_job_id

_Document = dict[str, Any]

_WITHOUT_PREVIEW = {"preview": 0}
_BUCKET = "series_data"
_PART_BYTES = 255 * 1024


class SeriesStore:
    """The data sets of an installation."""

    def __init__(self, database: Database[_Document], jobs: Jobs):
        self._client = database.client
        self._series = database["series"]
        self._files = GridFSBucket(database, bucket_name=_BUCKET, chunk_size_bytes=_PART_BYTES)
        self._names = database[f"{_BUCKET}.files"]
        self._parts = database[f"{_BUCKET}.chunks"]
        self._jobs = jobs

    def create_indexes(self) -> None:
        """One for the list."""
        self._series.create_index([("requested_at", DESCENDING), ("_id", DESCENDING)])

    # -- asking for one

    def request(
        self, series_id: str, codes: tuple[str, str], *, fresh_s: float, refresh: bool = False
    ) -> tuple[Series, Job | None]:
        """The series of this id; asked for now, with a job that fetches it, unless it is pending or fresh.

        Data that is younger than `fresh_s` is fresh unless a `refresh` is wanted. However many ask at once, one of them
        gets the job.
        """
        while True:
            try:
                with self._client.start_session() as session:
                    return session.with_transaction(
                        lambda session: self._request(series_id, codes, fresh_s, session, refresh=refresh)
                    )
            except DuplicateKeyError:  # of two who were the first, one was
                continue

    def _request(
        self, series_id: str, codes: tuple[str, str], fresh_s: float, session: ClientSession, *, refresh: bool
    ) -> tuple[Series, Job | None]:
        is_there: _Document = {"$eq": ["$status", SeriesStatus.PENDING]}
        if not refresh:
            youngest = {"$subtract": ["$$NOW", int(fresh_s * 1000)]}
            is_fresh = [{"$eq": ["$status", SeriesStatus.SUCCESS]}, {"$gt": ["$refreshed_at", youngest]}]
            is_there = {"$or": [is_there, {"$and": is_fresh}]}
        job_id = new_job_id()
        asked = {
            "job": job_id,
            "status": SeriesStatus.PENDING,
            "requested_at": "$$NOW",
            "codes": {"$literal": list(codes)},
        }
        change = {name: {"$cond": [is_there, f"${name}", value]} for name, value in asked.items()}
        document = self._series.find_one_and_update(
            {"_id": series_id},
            [{"$set": change}],
            upsert=True,
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        assert document is not None  # upserted
        if document["job"] != job_id:
            return _series(document), None
        return _series(document), self._jobs.insert(job_id, SERIES, series_id, session=session)

    def get(self, series_id: str) -> Series | None:
        """What is known of a series; None if nothing."""
        document = self._series.find_one({"_id": series_id}, _WITHOUT_PREVIEW)
        return _series(document) if document else None

    def latest(self, *, limit: int, after: Series | SeriesPlace | None = None) -> list[Series]:
        """Those that were asked for last first, from behind one on."""
        behind: _Document = {}
        if after is not None:
            same = {"requested_at": after.requested_at, "_id": {"$lt": after.id}}
            behind = {"$or": [same, {"requested_at": {"$lt": after.requested_at}}]}
        found = (
            self._series.find(behind, _WITHOUT_PREVIEW)
            .sort([("requested_at", DESCENDING), ("_id", DESCENDING)])
            .limit(limit)
        )
        return [_series(document) for document in found]

    # -- how it went

    def succeed(self, job: Job, data: bytes, *, columns: Sequence[str], rows: int | None, preview: Preview) -> None:
        """Keep the data that this job brought, unless the series was removed, or the job has come to its end already.

        The latter where somebody was thought dead, and the job done anew.
        """
        file_id = f"{_files_of(job.subject, job.id)}{job.lease}"
        self._files.upload_from_stream_with_id(file_id, job.subject, data)
        known: _Document = {"columns": list(columns), "rows": rows, "bytes": len(data), "file": file_id}
        known["preview"] = _preview_document(preview)
        change: _Document = {name: {"$literal": value} for name, value in known.items()}
        change |= {"status": SeriesStatus.SUCCESS, "error": None, "refreshed_at": "$$NOW", "former_file": "$file"}
        if not self._series.update_one(_asked_by(job), [{"$set": change}]).matched_count:
            self._remove_files([file_id])
        self._sweep(job.subject)

    def fail(self, job: Job, error: str) -> None:
        """Note why this job brought no data; what was there stays."""
        self._series.update_one(_asked_by(job), {"$set": {"status": SeriesStatus.ERROR, "error": error}})

    def preview(self, series_id: str) -> Preview | None:
        """What is shown of its data; None if there is none."""
        document = self._series.find_one({"_id": series_id}, {"preview": 1})
        return _preview(document["preview"]) if document and "preview" in document else None

    def data(self, series_id: str) -> Iterator[bytes] | None:
        """The data as it came, part by part; None if there is none. Raises NoFile within if it is removed meanwhile."""
        tried = None
        while (file_id := self._file_of(series_id)) not in (None, tried):
            try:
                return iter(self._files.open_download_stream(file_id).readchunk, b"")
            except NoFile:  # replaced between the two questions; or lost, if it is still the same
                tried = file_id
        return None

    def _file_of(self, series_id: str) -> str | None:
        document = self._series.find_one({"_id": series_id}, {"file": 1})
        return document.get("file") if document else None

    def remove(self, series_id: str) -> bool:
        """Remove a series and its data; whether it was there."""
        was_there = self._series.delete_one({"_id": series_id}).deleted_count > 0
        self._sweep(series_id)
        return was_there

    def _sweep(self, series_id: str) -> None:
        """Remove data that nobody names any more, and what was begun by somebody who died within it.

        The last one before stays for those who are reading it, and so does what is being written.
        """
        # what was there before it is asked which of it is of use
        files = self._files_under(series_id)
        document = self._series.find_one({"_id": series_id}, {"file": 1, "former_file": 1, "job": 1, "status": 1}) or {}
        named = (document.get("file"), document.get("former_file"))
        is_pending = document.get("status") == SeriesStatus.PENDING
        written = _files_of(series_id, document["job"]) if is_pending else None
        self._remove_files(
            one for one in files if one not in named and not (written is not None and one.startswith(written))
        )

    def _files_under(self, series_id: str) -> set[str]:
        """The ids of all data of a series, of which there may be parts alone."""
        prefix = _files_of(series_id)
        these = {"$gte": prefix, "$lt": prefix[:-1] + chr(ord(prefix[-1]) + 1)}
        whole = self._names.distinct("_id", {"_id": these})
        return {*whole, *self._parts.distinct("files_id", {"files_id": these})}

    def _remove_files(self, file_ids: Iterable[str]) -> None:
        for file_id in file_ids:
            with suppress(NoFile):  # there were parts alone, or somebody else sweeps as well
                self._files.delete(file_id)


def _files_of(series_id: str, job_id: str | None = None) -> str:
    """How the ids of the files of a series begin, or of those that a job writes."""
    return f"{series_id}/" if job_id is None else f"{series_id}/{job_id}/"


def _asked_by(job: Job) -> _Document:
    return {"_id": job.subject, "job": job.id, "status": SeriesStatus.PENDING}


def _series(document: Mapping[str, Any]) -> Series:
    optional = {name: document.get(name) for name in ("refreshed_at", "error", "rows", "bytes")}
    database_code, dataset_code = document["codes"]
    return Series(
        id=document["_id"],
        database_code=database_code,
        dataset_code=dataset_code,
        status=SeriesStatus(document["status"]),
        requested_at=document["requested_at"],
        columns=tuple(document.get("columns", ())),
        job_id=document["job"],
        **optional,
    )


def _preview_document(preview: Preview) -> _Document:
    # names of columns may be such as no document can have
    lines = [
        {"name": name, "x": [x for x, _ in line], "y": [y for _, y in line]} for name, line in preview.lines.items()
    ]
    return {"is_time": preview.is_time, "lines": lines, "rows": list(preview.rows), "further": preview.further}


def _preview(document: Mapping[str, Any]) -> Preview:
    lines = {line["name"]: tuple(zip(line["x"], line["y"], strict=True)) for line in document["lines"]}
    return Preview(
        is_time=document["is_time"], lines=lines, rows=tuple(document["rows"]), further=document.get("further", 0)
    )
