"""The sources file: what can be used is used, and every mistake is told with its line."""

import subprocess
import sys
from pathlib import Path

import pytest

from feedmirror import checks
from feedmirror.errors import ConfigError, FetchError
from feedmirror.models import Source
from feedmirror.poll.api.options import ApiOptions, Paging
from feedmirror.sources_file import parse_sources, read_sources, source_id
from feedmirror.table import Column, ColumnType

ROOT = Path(__file__).resolve().parent.parent

GOOD = """
[[source]]
name = "Good"
url = "https://good.example/feed"
"""


def one(lines: str) -> Source:
    """The source that these lines describe, which hold no mistake."""
    file = parse_sources(f'[[source]]\nname = "A"\nurl = "https://a.example/"\n{lines}')
    assert file.mistakes == ()
    (source,) = file.sources
    return source


def mistake(line: str) -> str:
    """The one mistake of a source with this fourth line, without where it stands; the source after it is used."""
    file = parse_sources(f'[[source]]\nname = "A"\nurl = "https://a.example/"\n{line}\n{GOOD}')
    assert [source.id for source in file.sources] == ["good"]
    (told,) = file.mistakes
    where, _, what = told.partition(": ")
    assert where == "sources.toml, line 4"
    return what


# -- what a source can say


def test_a_source_needs_a_name_and_an_address_only() -> None:
    (source,) = parse_sources(GOOD).sources
    assert source == Source(id="good", name="Good", url="https://good.example/feed")
    assert (source.kind, source.every_s, source.private, source.tags) == ("feed", None, False, ())


def test_every_key_is_kept() -> None:
    source = one(
        'kind = "feed"\nevery = "5m"\ngroup = "news"\nin_flight = 2\nper_minute = 10\nper_day = 300\n'
        "per_month = 10_000\nprivate = true\n"
        'tags = ["python", " web "]\nkeep = "90d"\nkeep_items = 500'
    )
    assert source == Source(
        id="a",
        name="A",
        url="https://a.example/",
        kind="feed",
        every_s=300,
        group="news",
        in_flight=2,
        per_minute=10,
        per_day=300,
        per_month=10_000,
        private=True,
        tags=("python", "web"),
        keep_s=90 * 86400,
        keep_items=500,
    )


def test_sources_keep_the_order_of_the_file() -> None:
    file = parse_sources(
        "".join(f'[[source]]\nname = "{name}"\nurl = "https://{name}.example/"\n' for name in ("z", "a", "m"))
    )
    assert [source.name for source in file.sources] == ["z", "a", "m"]


@pytest.mark.parametrize(("every", "seconds"), [("1s", 1), ("30s", 30), ("5m", 300), ("2h", 7200), ("30d", 2_592_000)])
def test_intervals(every: str, seconds: float) -> None:
    assert one(f'every = "{every}"').every_s == seconds


@pytest.mark.parametrize("every", ['"0.5s"', '"31d"', '"0"', '"often"', '""', "30", "true"])
def test_an_interval_that_cannot_be_used_says_what_can(every: str) -> None:
    told = mistake(f"every = {every}")
    assert told.startswith("every must be")
    assert '"30s"' in told or '"1s" to "30d"' in told


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('kind = "rss"', "kind must be 'feed' or 'api'"),
        ('group = ""', "group must be a text"),
        ("in_flight = 0", "in_flight must be a whole number from 1"),
        ("per_day = 0", "per_day must be a whole number from 1"),
        ("per_month = 2.5", "per_month must be a whole number from 1"),
        ("per_month = 100_000_000_000_000_000_000", "per_month must not be above 1000000000"),
        ("in_flight = true", "in_flight must be a whole number from 1"),
        ('per_minute = "10"', "per_minute must be a whole number from 1"),
        ('private = "yes"', "private must be true or false"),
        ('tags = "python"', 'tags must be a list of texts, such as ["python"]'),
        ('tags = ["python", ""]', 'tags must be a list of texts, such as ["python"]'),
        ('keep = "59m"', 'keep must be a time in quotes from "1h" to "36500d", such as "90d"'),
        ('keep = "for ever"', 'keep must be a time in quotes from "1h" to "36500d", such as "90d"'),
        ("keep = true", 'keep must be a time in quotes from "1h" to "36500d", such as "90d"'),
        (
            "keep = 500",
            'keep must be a time in quotes, such as "90d"; a number of items is written keep_items = 500',
        ),
        ("keep_items = 0", "keep_items must be a whole number from 1 to 10000000"),
        ('keep_items = "90d"', "keep_items must be a whole number from 1 to 10000000"),
        ("keep_items = true", "keep_items must be a whole number from 1 to 10000000"),
        ("keep_items = 99999999999999999999", "keep_items must be a whole number from 1 to 10000000"),
        ("[source.tags]", 'tags must be a list of texts, such as ["python"]'),
    ],
)
def test_a_value_that_cannot_be_used_is_told_with_its_line(line: str, told: str) -> None:
    assert mistake(line) == told


@pytest.mark.parametrize("key", ["params", "headers", "items", "max_pages", "cursor"])
def test_a_key_of_another_kind_of_source_is_refused_with_a_hint(key: str) -> None:
    assert mistake(f'{key} = "x"') == f"{key!r} is for sources of kind = 'api'"


def test_an_unknown_key_is_refused_with_those_that_there_are() -> None:
    told = mistake('evrey = "5m"')
    assert told.startswith("unknown key 'evrey'")
    assert "every" in told.split("there are: ")[1].split(", ")


@pytest.mark.parametrize(
    "url",
    [
        '"ftp://a.example/"',
        '"a.example/feed"',
        '"https://"',
        '"file:///etc/passwd"',
        '"javascript:alert(1)"',
        '"http://[::1/"',
        '"http://a.example:99999/"',
        '""',
        "5",
        f'"https://a.example/{"x" * 4000}"',
    ],
)
def test_an_address_that_cannot_be_fetched_is_refused(url: str) -> None:
    file = parse_sources(f'[[source]]\nname = "A"\nurl = {url}\n')
    assert file.sources == ()
    assert [told.startswith("sources.toml, line 3: url must ") for told in file.mistakes] == [True]


@pytest.mark.parametrize(
    "url", ["http://a.example", "https://a.example:8443/f?x=1&y=%20#top", "http://127.0.0.1:80/", "http://[::1]:8000/f"]
)
def test_addresses_that_can_be_fetched(url: str) -> None:
    assert checks.url(url) is None


# -- names and ids


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Stack Overflow", "stack-overflow"),
        ("stack-overflow", "stack-overflow"),
        ("C", "c"),
        ("Heise Ü 24", "heise-ü-24"),
        ("日本語", "日本語"),
    ],
)
def test_a_plain_name_is_readable_in_its_id(name: str, expected: str) -> None:
    assert source_id(name) == expected


@pytest.mark.parametrize(
    ("name", "readable"),
    [("C++", "c-"), ("C#", "c-"), (".NET", "net-"), ("a/b", "a-b-"), ("a  b", "a-b-"), ("!!!", "")],
)
def test_a_name_whose_signs_get_lost_has_six_digits_of_its_digest_as_well(name: str, readable: str) -> None:
    made = source_id(name)
    assert made.startswith(readable)
    digits = made.removeprefix(readable)
    assert len(digits) == 6
    assert set(digits) <= set("0123456789abcdef")


def test_c_and_its_children_are_different_sources() -> None:
    names = ["C", "C++", "C#", "C--", "c.", "!!!", "???"]
    assert len({source_id(name) for name in names}) == len(names)


def test_an_id_is_the_same_in_every_process() -> None:
    say = "from feedmirror.sources_file import source_id; print(source_id('C++'))"
    other = subprocess.run([sys.executable, "-c", say], cwd=ROOT, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == source_id("C++")


def test_white_space_around_and_within_a_name_makes_no_difference() -> None:
    file = parse_sources('[[source]]\nname = "  Stack \\t Overflow "\nurl = "https://a.example/"\n')
    assert [(source.name, source.id) for source in file.sources] == [("Stack Overflow", "stack-overflow")]


def test_of_two_sources_with_one_name_the_first_is_used_and_the_second_told() -> None:
    file = parse_sources(GOOD + GOOD.replace("good.example", "other.example").replace("Good", "GOOD"))
    assert [source.url for source in file.sources] == ["https://good.example/feed"]
    (told,) = file.mistakes
    assert told.startswith("sources.toml, line 6: the name 'GOOD' is taken by the source in line 2")


@pytest.mark.parametrize("name", ["''", "'  '", "7", f"'{'x' * 201}'"])
def test_a_name_must_be_a_text_that_fits_on_a_page(name: str) -> None:
    file = parse_sources(f"[[source]]\nurl = 'https://a.example/'\nname = {name}\n")
    assert file.sources == ()
    assert [told.startswith("sources.toml, line 3: name must ") for told in file.mistakes] == [True]


# -- more than one mistake


def test_every_mistake_of_every_source_is_reported_at_once_and_the_others_are_used() -> None:
    file = parse_sources(
        "\n".join(
            [
                "[[source]]",  # 1
                'name = "No address"',
                "",
                "[[source]]",
                'name = "Two mistakes"',  # 5
                'url = "nowhere"',
                'every = "never"',
                "[[source]]",
                'name = "Good"',
                'url = "https://good.example/"',  # 10
                "[[source]]",
                "name = unquoted",
                "[[source]]",
                'name = "Last"',
                'url = "https://last.example/"',  # 15
            ]
        ),
        file="feeds.toml",
    )
    assert [source.id for source in file.sources] == ["good", "last"]
    assert [told.partition(": ")[0] for told in file.mistakes] == [
        "feeds.toml, line 1",
        "feeds.toml, line 6",
        "feeds.toml, line 7",
        "feeds.toml, line 12",
    ]
    assert [told.partition(": ")[2] for told in file.mistakes][:3] == [
        "the source has no 'url'",
        "url must be an http or https address",
        'every must be a time such as "30s", "5m", "2h" or "1d"',
    ]


def test_a_slip_of_syntax_in_one_source_leaves_the_rest_in_use() -> None:
    file = parse_sources(GOOD + '[[source]]\nname = "Broken\nurl = "https://x.example/"\n' + GOOD.replace("Good", "B"))
    assert [source.id for source in file.sources] == ["good", "b"]
    assert file.mistakes == ("sources.toml, line 6: a quote is missing",)


def test_a_text_that_never_ends_is_told_where_it_begins() -> None:
    file = parse_sources(GOOD + '[[source]]\nname = """never closed')
    assert [source.id for source in file.sources] == ["good"]
    assert [told.partition(":")[0] for told in file.mistakes] == ["sources.toml, line 6"]
    assert "three quotes are missing" in file.mistakes[0]


def test_a_source_in_single_brackets_is_told_and_the_one_above_it_is_used() -> None:
    file = parse_sources(GOOD + '[source]\nname = "B"\nurl = "https://b.example/"\n')
    assert [source.id for source in file.sources] == ["good"]
    assert file.mistakes == ("sources.toml, line 5: a source is written [[source]], in two pairs of brackets",)


@pytest.mark.parametrize("text", ["source = 5", "source = [1, 2]", "[source]\nname = 'a'"])
def test_what_is_no_table_of_a_source_is_told(text: str) -> None:
    file = parse_sources(text)
    assert file.sources == ()
    assert file.mistakes == ("sources.toml, line 1: a source is written [[source]], in two pairs of brackets",)


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ('# feeds\nevery = "5m"\n' + GOOD, 2, "every"),
        (GOOD + "[defaults]\nevery = '5m'\n", 5, "defaults"),
    ],
)
def test_what_stands_outside_of_a_source_is_told_with_its_line(text: str, line: int, key: str) -> None:
    file = parse_sources(text)
    assert [source.id for source in file.sources] == ["good"]
    assert file.mistakes == (f"sources.toml, line {line}: {key!r} stands outside of a [[source]] table",)


# -- what is mistyped


@pytest.mark.parametrize(
    ("line", "told"),
    [
        # quotes
        ('every = "30s', "a quote is missing"),
        ('every = 30s"', "a quote is missing"),
        ("every = '30s\"", "a quote is missing"),
        ('tags = ["a", "b]', "a quote is missing"),
        ('group = "The "best" one"', "a text ends at its second quote; one with \" in it stands between ' and '"),
        ("group = 'It's'", 'a text ends at its second quote; one with \' in it stands between " and "'),
        ("group = “news”", 'quotes must be straight ones: "'),
        ("every = 30s", 'text stands in quotes: every = "30s"'),
        ("every = 30s  # often", 'text stands in quotes: every = "30s"'),
        ("group = news", 'text stands in quotes: group = "news"'),
        ("group = https://a.example/#x", 'text stands in quotes: group = "https://a.example/#x"'),
        ("tags = [python, web]", 'text stands in quotes: "python"'),
        ("headers = { Authorization = Bearer ${T} }", 'text stands in quotes: "Bearer $"'),
        (r'group = "C:\docs"', r"a \ between double quotes is written \\ (between single quotes, \)"),
        ('group = """news', 'three quotes are missing at the end of the text that begins here: """'),
        # true and false
        ("private = True", "write true"),
        ("private = TRUE  # ours", "write true"),
        ("private = yes", "write true"),
        ("private = False", "write false"),
        ("private = true,", "the comma at the end is too much"),
        ("headers = { X = True }", "write true"),
        ("every = null", "leave the line out: without it every is not set"),
        ("every = None", "leave the line out: without it every is not set"),
        # the sign between key and value
        ('every: "30s"', "write every = ..., with = instead of the colon"),
        ('every "30s"', "the = after every is missing"),
        ("every", "the = after every is missing"),
        ("every =", "the value of every is missing"),
        ('every == "30s"', "one = is enough"),
        ('= "30s"', "the key before the = is missing"),
        ('headers = { "X": "y" }', "within { }, write = instead of the colon"),
        ("keep items = 5", "a key has no blanks in it: keep_items"),
        # commas and brackets
        ('every = "30s",', "the comma at the end is too much"),
        ('every = "30s";', "the semicolon at the end is too much"),
        ('tags = "a", "b"', 'several texts stand in brackets: tags = ["...", "..."]'),
        ('tags = ["a" "b"]', "a comma is missing"),
        ('tags = ["a", "b"', "a ] is missing"),
        ('tags = ["a", "b"]]', "a ] is too much"),
        ('tags = {"a", "b"}', "a list stands in [ ]: tags = [...]"),
        ('headers = { X = "y"', "a { ... } stands in one line, and its } is missing here"),
        ('headers = { X = "y" }}', "a } is too much"),
        ("[source.params", "a ] is missing"),
        ('every = "30s" private = true', "each key stands in a line of its own"),
        # numbers and comments
        ("per_day = 1,000", "a number has no commas in it: 1000"),
        ("in_flight = 02", "a number does not begin with 0: 2"),
        ("// often", "a comment begins with #"),
        ("; often", "a comment begins with #"),
        # a key twice
        ('name = "A"', "'name' is given twice: it stands in line 2 as well; is [[source]] missing between them?"),
        ("private = true\nprivate = false", "'private' is given twice: it stands in line 4 as well"),
        # blanks that come with pasting
        ("every\u00a0= '30s'", "a blank in this line is none that TOML knows: type it anew"),
        # tables
        ("[params]", "'params' stands outside of a [[source]] table; for the source above it, write [source.params]"),
    ],
)
def test_what_is_mistyped_is_told_in_plain_words_with_its_line(line: str, told: str) -> None:
    number = 4 + line.count("\n")
    file = parse_sources(f'[[source]]\nname = "A"\nurl = "https://a.example/"\n{line}\nper_minute = 5\n{GOOD}')
    assert [source.id for source in file.sources] == ["good"]
    assert file.mistakes == (f"sources.toml, line {number}: {told}",)


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("[source]", "a source is written [[source]], in two pairs of brackets"),
        ("[[source]", "a source is written [[source]], in two pairs of brackets"),
        ("[source]]", "a source is written [[source]], in two pairs of brackets"),
        ("[[source", "a source is written [[source]], in two pairs of brackets"),
        ("[[[source]]]", "a source is written [[source]], in two pairs of brackets"),
        ("[[sources]]", "a source is written [[source]], and not [[sources]]"),
        ("[[Source]]  # mine", "a source is written [[source]], and not [[Source]]"),
        ("[[souce]]", "a source is written [[source]], and not [[souce]]"),
        ("[[sour ce]]", "a source is written [[source]], and not [[sour ce]]"),
        ('[[source]] every = "5m"', "what follows [[source]] belongs in the next line"),
        ("[[feed]]", "'feed' stands outside of a [[source]] table"),
    ],
)
def test_a_mistyped_header_is_told_and_the_source_above_it_used(header: str, told: str) -> None:
    file = parse_sources(f'{GOOD}{header}\nname = "B"\nurl = "https://b.example/"\n')
    assert [source.id for source in file.sources] == ["good"]
    assert file.mistakes == (f"sources.toml, line 5: {told}",)
    (broken,) = file.broken
    assert (broken.names, broken.urls) == (("B",), ("https://b.example/",))


@pytest.mark.parametrize(
    "text", ["name = " + "[" * 50_000, "name = " + "a " * 50_000, "x" * 500_000, "[" * 50_000, 'a = "\n' * 5_000]
)
def test_a_file_of_nonsense_is_a_mistake_of_one_short_line(text: str) -> None:
    file = parse_sources(f"{GOOD}[[source]]\n{text}\n")
    assert [source.id for source in file.sources] == ["good"]
    assert file.mistakes
    assert max(map(len, file.mistakes)) < 200


def test_a_slip_within_a_list_of_lines_is_told_in_its_own_line() -> None:
    text = 'kind = "api"\ncolumns = [\n    "a",\n    { name = "b", title = "B },\n    "c",\n]'
    file = parse_sources(f'[[source]]\nname = "A"\nurl = "https://a.example/"\n{text}\n')
    assert file.mistakes == ("sources.toml, line 7: a quote is missing",)


@pytest.mark.parametrize(
    "text",
    [
        '[[source]]\n\tname\t=\t"A"\t\n\turl\t=\t"https://a.example/"\n',
        '\ufeff[[source]]\r\nname = "A"\r\nurl = "https://a.example/"\r\n',
        ' [[ source ]] # first\n  name = "A" # it\n  "url" = \'https://a.example/\'',
        '[["source"]]\nname = "A"\nurl = "https://a.example/"\ntags = [\n  "a", # one\n  "b",\n]\n',
    ],
)
def test_tabs_line_ends_blanks_and_comments_are_no_mistakes(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sources.toml"
    path.write_bytes(text.encode())
    file = read_sources(path)
    assert (file.mistakes, [source.url for source in file.sources]) == ((), ["https://a.example/"])


@pytest.mark.parametrize(
    ("lines", "names", "urls"),
    [
        ('name = "A B\nurl = "https://a.example/"', ["A B"], ["https://a.example/"]),
        ('name = A B"  # mine\nurl = https://a.example/#x', ["A B"], ["https://a.example/#x"]),
        ("name = “A B”\nurl = 'https://a.example/", ["A B"], ["https://a.example/"]),
        ('name: "A B",\nurl "https://a.example/"', ["A B"], ["https://a.example/"]),
        ('name = "A B"\nurl = 5', ["A B"], []),
        ("name = 5\nurl = 'https://a.example/'", [], ["https://a.example/"]),
        ('name = "New"\nformerly = "Old"\nurl = ""', ["New", "Old"], []),
        ('name = "A"\nurl = "u"\nname = "B"\nurl = "v"', ["A", "B"], ["u", "v"]),
        ('name = "A"\nurl = "u"\n[[source.columns]]\nname = "price"\n', ["A"], ["u"]),
    ],
)
def test_of_a_source_with_a_mistake_its_name_and_address_are_read(
    lines: str, names: list[str], urls: list[str]
) -> None:
    (broken,) = parse_sources(f"[[source]]\n{lines}\nevery = never\n").broken
    assert (list(broken.names), list(broken.urls)) == (names, urls)


def test_a_variable_that_is_not_set_is_no_mistake_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COINS_TOKEN", raising=False)
    source = one('kind = "api"\nheaders = { Authorization = "Bearer ${COINS_TOKEN}" }')
    with pytest.raises(FetchError, match="the environment variable COINS_TOKEN is not set"):
        ApiOptions.of(source.options).request_headers()
    monkeypatch.setenv("COINS_TOKEN", "a\r\nX: y")
    with pytest.raises(FetchError, match="COINS_TOKEN has signs in it that no header may have"):
        ApiOptions.of(source.options).request_headers()


def test_the_former_name_of_a_source_is_read() -> None:
    file = parse_sources(GOOD + 'formerly = "Better"\n')
    assert (file.mistakes, file.former) == ((), {"good": "Better"})


# -- the file


def test_a_file_of_another_editor_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "windows.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    file = read_sources(path)
    assert [source.name for source in file.sources] == ["Good"]
    assert file.mistakes == ()


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing yet\n", "\ufeff\r\n"])
def test_a_file_without_a_source_is_a_mistake(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sources.toml"
    path.write_text(text)
    file = read_sources(path)
    assert file.sources == ()
    assert file.mistakes == ("sources.toml, line 1: there is no source in it; one begins with [[source]]",)


def test_mistakes_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[[source]]\n")
    assert {told.partition(",")[0] for told in read_sources(path).mistakes} == {"mine.toml"}


def test_a_missing_file_says_where_it_was_looked_for_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: no such sources file; set FEEDMIRROR_SOURCES"):
        read_sources(tmp_path / "nowhere.toml")


def test_a_file_that_is_no_text_or_no_file_is_refused_whole(tmp_path: Path) -> None:
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    for path in (binary, tmp_path):
        with pytest.raises(ConfigError, match="cannot be read"):
            read_sources(path)


def test_a_file_in_another_encoding_is_told_with_the_line_to_look_at(tmp_path: Path) -> None:
    path = tmp_path / "sources.toml"
    path.write_bytes(f"{GOOD}# caf\u00e9".encode("latin-1"))
    with pytest.raises(ConfigError, match="cannot be read: line 5 is no UTF-8 text; save the file as UTF-8"):
        read_sources(path)


def test_the_file_that_comes_along_has_no_mistake_and_looks_at_stack_overflow_every_30_s() -> None:
    file = read_sources(ROOT / "sources.toml")
    assert file.mistakes == ()
    assert [(source.url, source.every_s) for source in file.sources] == [("https://stackoverflow.com/feeds", 30)]


# -- kind = "api"


def test_an_api_with_everything_that_can_be_said_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COINS_TOKEN", "abc")
    source = one(
        """kind = "api"
        params = { per_page = 50, vs_currency = "usd", sparkline = false }
        headers = { Authorization = "Token ${COINS_TOKEN}" }
        items = "data.rows"
        key = ["id", "market.name"]
        columns = ["name", { name = "price.usd", title = "Price", type = "money" }]
        delay = "1s"
        retries = 7
        max_pages = 5
        paging = "cursor"
        cursor = { field = "meta.next", parameter = "after" }
        history = "7d"
        """
    )
    assert (source.kind, source.every_s) == ("api", 300)
    assert "abc" not in repr(source)
    options = ApiOptions.of(source.options)
    assert options.params == {"per_page": "50", "vs_currency": "usd", "sparkline": "false"}
    assert options.request_headers() == {"Authorization": "Token abc"}
    assert (options.items, options.key) == (("data", "rows"), (("id",), ("market", "name")))
    assert options.columns == (
        Column(("name",), "Name", history_s=7 * 86400),
        Column(("price", "usd"), "Price", ColumnType.MONEY, history_s=7 * 86400),
    )
    assert (options.retries, ApiOptions.of({}).retries) == (7, 5)
    assert (options.delay_s, options.max_pages, options.history_s, options.page_size) == (1, 5, 7 * 86400, 50)
    assert (options.paging, options.field, options.parameter) == (Paging.CURSOR, ("meta", "next"), "after")


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ('headers = { Host = "a" }', "headers must not set 'Host'"),
        ('headers = { X = "a\\r\\nY: b" }', "headers must have printable ASCII"),
        ('params = "page=1"', "params must be a table"),
        ("params = { a = [1] }", "params must be a table"),
        ('key = ""', "key must be a name"),
        ("key = []", "key must be a name"),
        ('items = "a..b"', "items must be names with dots"),
        ('columns = [{ title = "x" }]', "columns must be a list"),
        ('columns = [{ name = "x", type = "colour" }]', "columns have types, which are: text, number"),
        ('delay = "2h"', "delay must be a time in quotes"),
        ("max_pages = 0", "max_pages must be a whole number from 1 to"),
        ("retries = -1", "retries must be a whole number from 0 to 100"),
        ("retries = true", "retries must be a whole number from 0 to 100"),
        ('paging = "pages"', "paging must be one of: none, page, next, cursor, offset"),
        ('page = "p"', "'page' goes with paging = \"page\""),
        ('paging = "next"\noffset = "o"', "'offset' goes with paging = \"offset\""),
        ('paging = "cursor"', "needs to know where the cursor stands"),
        ('paging = "cursor"\ncursor = { parameter = "a" }', "cursor must be where it stands"),
        ('paging = "next"\nhosts = "a.example"', "hosts must be a list of hosts"),
        ('history = "1s"', "history must be a time in quotes"),
    ],
)
def test_what_cannot_be_used_of_an_api_is_told(lines: str, told: str) -> None:
    file = parse_sources(f'[[source]]\nname = "A"\nurl = "https://a.example/"\nkind = "api"\n{lines}\n{GOOD}')
    assert [source.id for source in file.sources] == ["good"]
    (mistake_told,) = file.mistakes
    where, _, what = mistake_told.partition(": ")
    assert where in ("sources.toml, line 5", "sources.toml, line 6")
    assert told in what


def test_the_examples_only_need_their_signs_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKER_TOKEN", "t")
    lines = (ROOT / "sources.toml").read_text("utf-8").splitlines()
    # what is said of them is indented further, or is a sentence
    is_example = False
    uncommented = []
    for line in lines:
        is_example = line == "# [[source]]" or (is_example and line.startswith("# "))
        uncommented.append(line.removeprefix("# ") if is_example else line)
    read = parse_sources("\n".join(uncommented))
    assert read.mistakes == ()
    names = [source.name for source in read.sources]
    assert names == ["Stack Overflow", "Coin markets", "Stack Overflow, newest", "Issues"]


def test_page_by_page_until_one_is_empty_takes_five_lines() -> None:
    text = """
[[source]]
name = "Coins"
kind = "api"
url = "https://api.example.com/coins"
paging = "page"
key = "id"
"""
    assert parse_sources(text).mistakes == ()
