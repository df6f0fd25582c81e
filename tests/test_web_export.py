"""Tables as files: what is in them, as other programs read it, and how they leave, from a real database to a client."""

import csv
import io
import json
import socket
import tracemalloc
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from http.client import IncompleteRead
from itertools import count
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.utils.escape import unescape
from pymongo.errors import AutoReconnect
from python_calamine import CalamineWorkbook

from feedmirror.errors import StorageError
from feedmirror.storage import Storage
from feedmirror.storage.row_document import row_id
from feedmirror.table import Column, ColumnType, Row, RowText, Run
from feedmirror.web import table_export
from feedmirror.web.answer import Answer
from feedmirror.web.export import FORMATS, workbook
from feedmirror.web.export.spreadsheet_cells import CUT, LONGEST_TEXT
from tests.fronts import Front
from tests.serving import client_of, serving
from tests.waiting import wait_until

TEXT, NUMBER, TIME, LINK = ColumnType.TEXT, ColumnType.NUMBER, ColumnType.TIME, ColumnType.LINK


def column(name: str, kind: ColumnType | None = None, title: str | None = None) -> Column:
    return Column((name,), title or name, kind)


def row(text: str, number: int = 0) -> Row:
    return Row(id=str(number), text=text, changed_us=1)


def written(kind: str, columns: Sequence[Column], *texts: str) -> bytes:
    return b"".join(FORMATS[kind].write(columns, [row(text) for text in texts]))


def csv_rows(columns: Sequence[Column], *texts: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(written("csv", columns, *texts).decode("utf-8-sig"), newline="")))


def moment(text: str) -> datetime:
    """As openpyxl has it, which knows no zones."""
    return datetime.fromisoformat(text)


def in_csv(value: str, kind: ColumnType | None = None) -> str:
    """What a file has for a value that is written so in JSON."""
    return csv_rows([column("a"), column("v", kind)], f'{{"v": {value}}}')[1][1]


def in_xlsx(value: str, kind: ColumnType | None = None) -> Any:
    """The cell of a value that is written so in JSON, as openpyxl has it."""
    book = openpyxl.load_workbook(io.BytesIO(written("xlsx", [column("v", kind)], f'{{"v": {value}}}')))
    return book.worksheets[0]["A2"]


def sheets(data: bytes) -> list[list[list[Any]]]:
    """As another reader has them, which knows nothing of openpyxl."""
    book = CalamineWorkbook.from_filelike(io.BytesIO(data))
    return [book.get_sheet_by_name(name).to_python() for name in book.sheet_names]


# -- JSON Lines


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"a": 1.10, "b": 123456789012345678901234567890, "c": 1E-400}', None),
        ('{"a":\n  [1,\r\n   2 ],\t"b": "two  spaces\\n"}', '{"a":[1,2 ],\t"b": "two  spaces\\n"}'),
        ('{"a": "\u2028 \u2029 \x85 é 😀 \\u0000 \\ud800"}', None),
        ("3.0", None),
        ('"=1+1"', None),
        ("[\n]", "[]"),
    ],
)
def test_a_row_is_one_line_as_its_api_gave_it(text: str, line: str | None) -> None:
    expected = line or text
    assert written("jsonl", [], text, text).decode() == f"{expected}\n{expected}\n"
    assert json.loads(expected, parse_float=Decimal) == json.loads(text, parse_float=Decimal)


def test_of_no_rows_there_is_no_line() -> None:
    assert written("jsonl", [column("a")]) == b""


# -- .csv


def test_headings_are_titles_and_names_where_titles_repeat() -> None:
    columns = [column("id", title="Id"), column("a", title="Name"), Column(("b", "a"), "Name")]
    assert csv_rows(columns) == [["Id", "a", "b.a"]]
    assert written("csv", columns) == b"\xef\xbb\xbfId,a,b.a\r\n"


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("1.10", NUMBER, "1.10"),
        ("0.00000001", NUMBER, "0.00000001"),
        ("1e400", NUMBER, "1E+400"),
        ("123456789012345678901234567890.5", NUMBER, "123456789012345678901234567890.5"),
        ("18446744073709551616", None, "18446744073709551616"),
        ("-5", NUMBER, "-5"),
        ("-1.5E-7", None, "-0.00000015"),
        ('"-12.50"', NUMBER, "-12.50"),
        ('"0.00"', NUMBER, "0.00"),
        ("true", None, "true"),
        ("null", None, ""),
        ('"2026-01-02T03:04:05+01:00"', TIME, "2026-01-02T02:04:05.000Z"),
        ("1767323045.25", TIME, "2026-01-02T03:04:05.250Z"),
        ('"soon"', TIME, "soon"),
        ('{"b": [1.10, "x"]}', None, '{"b": [1.10, "x"]}'),
        ('"say \\"a, b\\"\\r\\nand more"', TEXT, 'say "a, b"\r\nand more'),
        ('"😀 \\ud800 \\u2028"', TEXT, "😀 \ufffd \u2028"),
    ],
)
def test_values_in_csv(value: str, kind: ColumnType | None, expected: str) -> None:
    assert in_csv(value, kind) == expected


@pytest.mark.parametrize(
    "text",
    [
        *(
            "=1+1",
            "+1+1",
            "-1+1",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            "\n=1",
            "  =1",
            "＝1+1",
            "=cmd|' /C calc'!A0",
            "-",
            "+49 30 1",
        ),
        *("-2+3+cmd|' /C calc'!A0", "- item"),
    ],
)
@pytest.mark.parametrize("kind", [TEXT, NUMBER, TIME, LINK, None])
def test_a_text_that_would_be_calculated_gets_an_apostrophe(text: str, kind: ColumnType | None) -> None:
    assert in_csv(json.dumps(text), kind) == f"'{text}"


@pytest.mark.parametrize("text", ["-5", "+5", "-1.5e-7", "1=1", "a-b", "a@b", "https://example.org/?a=1", "'=1"])
def test_a_text_that_is_calculated_to_itself_stays_as_it_is(text: str) -> None:
    assert in_csv(json.dumps(text), TEXT) == text


def test_a_heading_is_no_formula_either() -> None:
    assert csv_rows([column("=1+1")], "{}")[0] == ["'=1+1"]
    assert sheets(written("xlsx", [column("=1+1")])) == [[["=1+1"]]]


# -- .xlsx


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("5", NUMBER, 5),
        ("-5", NUMBER, -5),
        ("1.10", NUMBER, 1.1),
        ("0.1234567890123456", NUMBER, 0.1234567890123456),  # as a double is written
        ("999999999999999", NUMBER, 999_999_999_999_999),
        ('"0.00"', NUMBER, 0),
        ('"-12.50"', NUMBER, -12.5),
        # what would come back as another number is text
        ("1234567890123456", NUMBER, "1234567890123456"),
        ("1234567890123456.0", NUMBER, "1234567890123456.0"),
        ("18446744073709551616", None, "18446744073709551616"),
        ("0.12345678901234567890", NUMBER, "0.12345678901234567890"),
        ("1e308", NUMBER, "1E+308"),
        ("1e400", NUMBER, "1E+400"),
        ("-1e-320", NUMBER, "-1E-320"),
        ("true", None, True),
        ("false", NUMBER, False),
        ("null", None, None),
        ('"2026-01-02T03:04:05.5+01:00"', TIME, moment("2026-01-02T02:04:05.5")),
        ('"1900-03-01"', TIME, moment("1900-03-01")),
        ('"9999-12-31T23:59:59Z"', TIME, moment("9999-12-31T23:59:59")),
        ('"1899-12-31T23:59:59Z"', TIME, "1899-12-31T23:59:59.000Z"),
        ('"soon"', TIME, "soon"),
        ('"https://example.org/?a=1&b=<2>"', LINK, "https://example.org/?a=1&b=<2>"),
        ('{"b": [1.10]}', None, '{"b": [1.10]}'),
        ('"  two  \\n lines\\t"', TEXT, "  two  \n lines\t"),
        ('"😀 \\ud800 \\u2028"', TEXT, "😀 \ufffd \u2028"),
        ('"-5"', TEXT, "-5"),
    ],
)
def test_values_in_a_workbook(value: str, kind: ColumnType | None, expected: Any) -> None:
    found = in_xlsx(value, kind)
    assert found.value == expected
    assert type(found.value) is type(expected) or isinstance(expected, int | float)
    assert found.hyperlink is None


def test_moments_are_shown_as_such() -> None:
    found = in_xlsx('"2026-01-02T03:04:05Z"', TIME)
    assert found.is_date
    assert found.number_format == "yyyy-mm-dd hh:mm:ss"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1+1", "@SUM(A1)", '=HYPERLINK("https://example.org","x")', "{=1}"])
def test_a_text_is_never_a_formula(text: str) -> None:
    found = in_xlsx(json.dumps(text), TEXT)
    assert found.value == text
    assert found.data_type != "f"
    assert bool(found.quotePrefix) == (text[0] in "=+-@")  # stays a text when somebody edits it


def test_what_xml_cannot_hold_is_escaped_and_read_again() -> None:
    text = "".join(map(chr, range(0x20))) + "\ufffe\uffff _x0041_ _x41_ <&>"
    assert unescape(in_xlsx(json.dumps(text)).value) == text


@pytest.mark.parametrize("sign", ["x", "😀"])
def test_a_text_that_is_too_long_is_cut_and_says_so(sign: str) -> None:
    def found(length: int) -> str:
        return str(in_xlsx(json.dumps(sign * length), TEXT).value)

    units = len(sign.encode("utf-16-le")) // 2
    assert found(LONGEST_TEXT // units) == sign * (LONGEST_TEXT // units)
    cut = found(LONGEST_TEXT) if units == 2 else found(LONGEST_TEXT + 1)
    assert cut.endswith(CUT)
    assert cut.removesuffix(CUT) == sign * ((LONGEST_TEXT - len(CUT)) // units)


def test_headings_are_bold_and_stay_in_sight() -> None:
    data = written("xlsx", [column("id", NUMBER), column("a" * 40)], '{"id": 1}')
    sheet = openpyxl.load_workbook(io.BytesIO(data)).worksheets[0]
    assert sheet.freeze_panes == "A2"
    assert [(cell.value, cell.font.b) for cell in sheet[1]] == [("id", True), ("a" * 40, True)]
    assert not sheet["A2"].font.b
    assert 10 < sheet.column_dimensions["A"].width < 20
    assert 40 < sheet.column_dimensions["B"].width < 50


def test_a_table_without_rows_has_headings() -> None:
    assert sheets(written("xlsx", [column("a"), column("b")])) == [[["a", "b"]]]
    assert sheets(written("xlsx", [])) == [[]]


def test_rows_that_do_not_fit_go_on_on_further_sheets() -> None:
    rows = [row(f'{{"n": {number}}}') for number in range(7)]
    data = b"".join(workbook.write([column("n")], rows, sheet_rows=3))
    assert sheets(data) == [[["n"], [0], [1], [2]], [["n"], [3], [4], [5]], [["n"], [6]]]
    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True)
    assert [list(sheet.values)[-1] for sheet in book] == [(2,), (5,), (6,)]
    assert book.sheetnames == ["Rows", "Rows 2", "Rows 3"]
    full = b"".join(workbook.write([column("n")], rows[:3], sheet_rows=3))
    assert len(sheets(full)) == 1
    assert workbook.SHEET_ROWS == 2**20 - 1


def test_a_sheet_ends_before_it_needs_zip64_which_excel_dislikes() -> None:
    rows = [row(json.dumps({"t": "x" * 20_000, "n": number})) for number in range(20)]
    data = b"".join(workbook.write([column("n"), column("t")], rows, sheet_bytes=150_000))
    found = sheets(data)
    assert len(found) > 2
    assert [one[0] for sheet in found for one in sheet[1:]] == list(range(20))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert all(part.extract_version == 20 and not part.extra for part in archive.infolist())


# -- on their way


@pytest.mark.parametrize("kind", FORMATS)
def test_memory_does_not_depend_on_how_many_rows_there_are(kind: str) -> None:
    columns = [column("n", NUMBER), column("t", TEXT), column("at", TIME)]

    def peak(number: int) -> int:
        text = '{{"n": {0}, "t": "text {0}", "at": "2026-01-02T03:04:05Z"}}'
        rows = (row(text.format(one)) for one in range(number))
        tracemalloc.start()
        try:
            for _ in FORMATS[kind].write(columns, rows):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = peak(2_000), peak(10_000)
    assert many < few + 200_000
    assert many < 3_000_000


class Table:
    """A table in the real database, as a run over pages leaves it."""

    def __init__(self, storage: Storage, source_id: str = "coins"):
        self.storage = storage
        self.id = source_id

    def fill(self, number: int, *, page: int = 500, long: int = 0) -> None:
        columns = [column("n", NUMBER, "N"), column("t", TEXT, "T")]
        run: Run = self.storage.tables.begin(self.id, now=datetime.now(UTC))
        for start in range(0, max(number, 1), page):
            rows = {
                row_id(self.id, str(one)): RowText(text, text.encode(), json.loads(text))
                for one in range(start, min(start + page, number))
                for text in [json.dumps({"n": one, "t": "=" + "x" * long})]
            }
            following = {"page": start} if start + page < number else None
            run = self.storage.tables.store(run, rows, following, columns=columns)
        self.storage.tables.end(run, now=datetime.now(UTC))

    def answer(self, kind: str = "jsonl", *, head: bool = False) -> Answer:
        return table_export.answer(self.id, kind, lambda: self.storage, head=head)


@pytest.fixture
def table(storage: Storage) -> Table:
    return Table(storage)


@pytest.fixture(autouse=True)
def no_export_is_left() -> Iterator[None]:
    yield
    wait_until(lambda: free_places() == table_export.AT_ONCE, "every export to end")


def free_places() -> int:
    return table_export._places._value


def body_of(answer: Answer) -> bytes:
    assert answer.chunks is not None
    with closing(answer.chunks) as chunks:
        return b"".join(chunks)


def test_a_table_leaves_in_each_format(table: Table) -> None:
    table.fill(1200)
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    client = client_of(lambda: table.storage)
    for kind, content_type in {"csv": "text/csv", "jsonl": "application/x-ndjson", "xlsx": "application/vnd"}.items():
        reply = client.get(f"/tables/coins.{kind}")
        assert reply.status == 200
        assert reply.headers["content-type"].startswith(content_type)
        name = f"coins-{today}.{kind}"
        assert reply.headers["content-disposition"] == f"attachment; filename=\"{name}\"; filename*=UTF-8''{name}"
        assert reply.headers["cache-control"] == "no-store"
        assert "content-length" not in reply.headers
        assert "content-security-policy" in reply.headers
        if kind == "csv":
            assert list(csv.reader(io.StringIO(reply.body.decode("utf-8-sig"))))[1::1199] == [
                ["0", "'="],
                ["1199", "'="],
            ]
        elif kind == "jsonl":
            assert [json.loads(line)["n"] for line in reply.body.splitlines()] == list(range(1200))
        else:
            assert sheets(reply.body)[0][:2] == [["N", "T"], [0, "="]]


def test_a_name_in_any_script_is_given_in_two_ways(storage: Storage) -> None:
    table = Table(storage, "größe-中")
    table.fill(1)
    answer = table.answer(head=True)
    said = answer.headers["Content-Disposition"]
    assert said.startswith('attachment; filename="gr__e-_-20')
    assert "; filename*=UTF-8''gr%C3%B6%C3%9Fe-%E4%B8%AD-20" in said
    assert said.isascii()
    assert (
        client_of(lambda: storage).get("/tables/größe-中.jsonl".encode().decode("latin-1")).body
        == b'{"n": 0, "t": "="}\n'
    )


def test_what_is_no_table_is_not_found(table: Table) -> None:
    table.fill(1)
    client = client_of(lambda: table.storage)
    for address in ("/tables/nobody.csv", "/tables/coins.pdf", "/tables/coins.", "/tables/.csv"):
        reply = client.get(address)
        assert reply.status == 404
        assert "error" in reply.json()


def test_a_table_whose_run_brought_nothing_is_empty_and_there(table: Table) -> None:
    table.fill(0)
    assert body_of(table.answer("csv")).endswith(b"N,T\r\n")
    assert body_of(table.answer("jsonl")) == b""


def test_who_asks_for_the_head_alone_is_told_without_an_export(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    table.fill(10)
    taken = [table.answer(), table.answer()]
    monkeypatch.setattr("feedmirror.storage.sheets.Sheets.every", failing(0, AssertionError("rows are read")))
    reply = client_of(lambda: table.storage).request("HEAD", "/tables/coins.xlsx")
    assert (reply.status, reply.body) == (200, b"")
    assert "content-length" not in reply.headers
    assert reply.headers["content-disposition"].startswith("attachment")
    for answer in taken:
        assert answer.chunks is not None
        answer.chunks.close()


def test_a_third_export_at_once_is_asked_to_come_back(table: Table) -> None:
    table.fill(10)
    first, second = table.answer(), table.answer("xlsx")
    refused = table.answer("csv")
    assert refused.status == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert "under way" in json.loads(refused.body)["error"]
    assert body_of(first).count(b"\n") == 10
    assert table.answer("csv").chunks is not None  # given up by whoever held it
    assert body_of(second)


def failing(rows: int, error: Exception) -> Callable[..., Iterator[Row]]:
    """Reads so many rows, and no further."""

    def every(*_: object) -> Iterator[Row]:
        for number in range(rows):
            yield row(json.dumps({"n": number, "t": f"{number * 7919}" * 30}))
        raise error

    return every


def test_a_database_that_is_away_is_told_before_the_first_bytes(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    table.fill(1)
    monkeypatch.setattr("feedmirror.storage.sheets.Sheets.every", failing(0, AutoReconnect("away")))

    def away() -> Storage:
        raise AutoReconnect("away")

    clients = [client_of(lambda: table.storage), client_of(away)]
    # of others the headings are there, which need no row
    for reply in (
        clients[0].get("/tables/coins.jsonl"),
        *(clients[1].get(f"/tables/coins.{kind}") for kind in FORMATS),
    ):
        assert reply.status == 503
        assert "retry-after" in reply.headers
        assert "away" in reply.json()["error"]


@pytest.mark.parametrize("error", [AutoReconnect("away"), RuntimeError("a bug")], ids=["away", "bug"])
def test_a_file_that_breaks_off_is_noticed_by_its_reader(
    table: Table, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    table.fill(1)
    monkeypatch.setattr("feedmirror.storage.sheets.Sheets.every", failing(20_000, error))
    for kind, read in READ.items():
        chunks = table.answer(kind).chunks
        assert chunks is not None
        got: list[bytes] = []
        with pytest.raises(table_export.Incomplete if isinstance(error, AutoReconnect) else RuntimeError):
            got.extend(chunks)
        assert sum(map(len, got)) > 50_000
        with pytest.raises((ValueError, csv.Error, zipfile.BadZipFile)):
            read(b"".join(got))


READ: dict[str, Callable[[bytes], object]] = {
    "csv": lambda data: list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)),
    "jsonl": lambda data: list(map(json.loads, data.splitlines())),
    "xlsx": lambda data: zipfile.ZipFile(io.BytesIO(data)),
}


def test_a_broken_off_file_is_a_broken_off_answer(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    table.fill(1)
    monkeypatch.setattr("feedmirror.storage.sheets.Sheets.every", failing(3_000, AutoReconnect("away")))
    with (
        serving(lambda: table.storage, 5) as address,
        urllib.request.urlopen(f"{address}/tables/coins.jsonl", timeout=20) as reply,
        pytest.raises(IncompleteRead),
    ):
        reply.read()


def test_an_export_goes_on_when_a_run_ends_and_breaks_off_when_another_begins(table: Table) -> None:
    table.fill(2_500, page=100)
    first, second = table.storage.sheets.every("coins"), table.storage.sheets.every("coins")
    next(first)
    next(second)
    table.fill(2_500, page=100)
    assert len(list(first)) == 2_499
    table.storage.tables.begin("coins", now=datetime.now(UTC))
    with pytest.raises(StorageError, match="begin again"):
        list(second)
    assert len(list(table.storage.sheets.every("coins"))) == 2_500


def leave_after_some(address: str, path: str) -> None:
    """Ask, take the first bytes, and go without a word."""
    host, _, port = address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert client.recv(200).startswith(b"HTTP/1.1 200")


def test_a_client_that_goes_away_ends_its_export(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    table.fill(1)
    ended: list[str] = []

    def every(*_: object) -> Iterator[Row]:
        try:
            for number in count():
                yield row(json.dumps({"n": number, "t": f"{number * 7919}" * 30}))
        finally:
            ended.append("rows")

    monkeypatch.setattr("feedmirror.storage.sheets.Sheets.every", every)
    with serving(lambda: table.storage, 5) as address:
        for number, kind in enumerate(FORMATS, 1):
            leave_after_some(address, f"/tables/coins.{kind}")
            wait_until(lambda number=number: len(ended) == number, "nobody to read rows any more")  # type: ignore[misc]
            wait_until(lambda: free_places() == table_export.AT_ONCE, "its place")


def test_make_serve_streams_it_and_ends_it_with_its_client(table: Table, database_uri: str, tmp_path: Path) -> None:
    table.fill(1_000, page=500, long=40_000)  # 40 MB: more than any buffer between us and a client
    with Front("granian", database_uri, tmp_path, FEEDMIRROR_PROCESSES="1").wait_until_usable() as front:

        def status() -> int:
            try:
                with urllib.request.urlopen(f"{front.address}/tables/coins.xlsx", timeout=20) as reply:
                    return int(reply.status)
            except urllib.error.HTTPError as error:
                return error.code

        readers = [socket.create_connection(("127.0.0.1", front.sites[0].port), timeout=20) for _ in range(2)]
        try:
            for reader in readers:
                reader.sendall(b"GET /tables/coins.jsonl HTTP/1.1\r\nHost: x\r\n\r\n")
                assert reader.recv(200).startswith(b"HTTP/1.1 200")
            assert status() == 503  # both places are taken by clients that read no further
        finally:
            for reader in readers:
                reader.close()
        wait_until(lambda: status() == 200, "the places of those that have gone")
        with urllib.request.urlopen(f"{front.address}/tables/coins.jsonl", timeout=20) as reply:
            assert sum(1 for _ in reply) == 1_000
        assert "Traceback" not in front.sites[0].running.output
