"""How fast tables leave as files, and what memory that takes, against whoever else writes such files.

    python -m bench.export              # a hundred thousand rows
    python -m bench.export --million

Rows of twelve columns, as an API of coins gives them, come from a generator: what is measured begins at a row's JSON,
the database apart, and ends at bytes, which nobody keeps. The peers get the cells of these rows, so they do less.
Each runs in a process of its own, for a peak of memory is never forgotten. Whatever else the machine does meanwhile
changes the seconds more than those of CPU.
"""

import csv
import io
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from bench.peers import output
from feedmirror.table import Column, ColumnType, Row, Value, extended, loaded, value_in
from feedmirror.web.export import FORMATS

ROWS = 100_000
MILLION = 1_000_000


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measured(WAYS[sys.argv[2]], int(sys.argv[3]))))
        return
    number = MILLION if "--million" in sys.argv else ROWS
    print(f"{number:,} rows of {len(columns())} columns")
    for name in WAYS:
        seconds, cpu, peak = json.loads(output(sys.executable, "-m", "bench.export", "--one", name, str(number)))
        print(
            f"  {name:34}{seconds:8.1f} s{cpu:8.1f} s of CPU{number / cpu:10,.0f} rows/s by CPU{peak / 1e6:8.1f} MB",
            flush=True,
        )


def measured(way: Callable[[int], None], number: int) -> tuple[float, float, int]:
    """The seconds that it takes, those of CPU, and the bytes by which the process grows."""
    way(10)  # what is loaded once
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, cpu_started = time.perf_counter(), time.process_time()
    way(number)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu_started
    return seconds, cpu, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024


def ours(kind: str) -> Callable[[int], None]:
    def way(number: int) -> None:
        for _ in FORMATS[kind].write(columns(), rows(number)):
            pass

    return way


def csv_writer(number: int) -> None:
    """Of the standard library: the text of each value, whatever it is."""
    line = io.StringIO()
    writer = csv.writer(line)
    for row in cells(number):
        writer.writerow(row)
        line.seek(0)
        line.truncate()


def xlsxwriter(number: int) -> None:
    """In constant memory, to a file."""
    from xlsxwriter import Workbook

    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "remove_timezone": True}
    with (
        tempfile.TemporaryDirectory() as directory,
        Workbook(Path(directory) / "peer.xlsx", {**options, "tmpdir": directory}) as book,
    ):
        sheet = book.add_worksheet()
        moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        for place, row in enumerate(cells(number)):
            for letter, value in enumerate(row):
                sheet.write(place, letter, value, *([moment] if isinstance(value, datetime) else []))


def openpyxl(number: int) -> None:
    """Write-only, to a file."""
    from openpyxl import Workbook

    with tempfile.TemporaryDirectory() as directory:
        book = Workbook(write_only=True)
        sheet = book.create_sheet()
        for row in cells(number):
            sheet.append([value.replace(tzinfo=None) if isinstance(value, datetime) else value for value in row])
        book.save(Path(directory) / "peer.xlsx")


def only_read(number: int) -> None:
    """The rows' values and nothing else, which is a part of each of ours and the peers."""
    for _ in cells(number):
        pass


WAYS: dict[str, Callable[[int], None]] = {
    "jsonl": ours("jsonl"),
    "csv": ours("csv"),
    "csv, csv.writer": csv_writer,
    "xlsx": ours("xlsx"),
    "xlsx, XlsxWriter constant_memory": xlsxwriter,
    "xlsx, openpyxl write_only": openpyxl,
    "values only": only_read,
}


def cells(number: int) -> Iterator[list[Value]]:
    for row in rows(number):
        value = loaded(row.text)
        yield [value_in(value, column) for column in columns()]


_COLUMNS: list[Column] = []


def columns() -> list[Column]:
    if not _COLUMNS:
        _COLUMNS.extend(extended((), [loaded(coin(number)) for number in range(5)], new=True))
        assert {column.type for column in _COLUMNS} > {ColumnType.NUMBER, ColumnType.TIME, ColumnType.IMAGE}
    return _COLUMNS


def rows(number: int) -> Iterator[Row]:
    return (Row(id=str(one), text=coin(one), changed_us=one) for one in range(number))


def coin(number: int) -> str:
    price = Decimal(number * 7 + 3) / 1000
    return (
        f'{{"id": "coin-{number}", "symbol": "C{number % 977}", "name": "Coin {number} & Söhne", '
        f'"image": "https://example.org/coins/{number}/large.png", "current_price": {price}, '
        f'"market_cap": {number * 1_000_003}, "market_cap_rank": {number}, '
        f'"price_change_percentage_24h": {(number % 2000) / 97 - 10}, "circulating_supply": {number * 1.25e7}, '
        f'"is_active": {"true" if number % 3 else "false"}, "homepage": "https://example.org/{number}", '
        f'"last_updated": "2026-01-02T03:{number // 60 % 60:02}:{number % 60:02}.{number % 1000:03}Z"}}'
    )


if __name__ == "__main__":
    main()
