"""What is wrong with a piece of TOML, in words for the person who typed it, and in which line.

    slip_of     the statement that cannot be parsed -> the line of it -> what is usually mistyped there

Pure. Which keys there are, and what their values are for, is not known here.
"""

import re
import tomllib
from collections.abc import Callable

# A source has some twenty lines; in more, tomllib's own line is good enough.
_MOST_LINES = 200
# Of a line that is quoted in a mistake: a page and a log have to show it.
_MOST_SHOWN = 80
_MEANT = ((("true", "yes", "on", "y"), "true"), (("false", "no", "off", "n"), "false"))
_NOTHING = ("null", "none", "nil", "undefined")
_STRAIGHT = str.maketrans("“”„‟«»‘’‚‛", '""""""' + "''''")
_KEY = r"""(?:[\w.-]+|"[^"]*"|'[^']*')"""
_TEXT = r"""(?:"(?:[^"\\]|\\.)*"|'[^']*')"""


def slip_of(text: str, error: tomllib.TOMLDecodeError, *, first_line: int = 1) -> tuple[int, str]:
    """The line of the mistake that tomllib found in a text whose first line has this number, and what it is."""
    lines = text.split("\n")
    said, reported = _said(error, lines)
    start = _unparsable(lines) if len(lines) <= _MOST_LINES else reported
    if start is None:  # each statement by itself is well: two of them do not go together
        return first_line + reported, _given_twice(lines, reported, first_line) or f"not TOML: {said}"
    number = reported if reported > start and not _parses(lines[reported]) else start
    return first_line + number, _words(lines[number], continues=number > start) or f"not TOML: {said}"


def _said(error: tomllib.TOMLDecodeError, lines: list[str]) -> tuple[str, int]:
    """What tomllib says without its place, and that as an index of the lines."""
    said = str(error)
    match = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", said)
    last = max((number for number, line in enumerate(lines) if line.strip()), default=0)
    number = int(match[1]) - 1 if match and match[1] else last
    return said[: match.start()] if match else said, min(number, last)


def _parses(text: str) -> bool:
    try:
        tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return False
    return True


def _unparsable(lines: list[str]) -> int | None:
    """Where the first statement begins that is no TOML even by itself; it may go over several lines."""
    number = 0
    while number < len(lines):
        ends = (end for end in range(number + 1, len(lines) + 1) if _parses("\n".join(lines[number:end])))
        end = next(ends, None)
        if end is None:
            return number
        number = end
    return None


def _given_twice(lines: list[str], number: int, first_line: int) -> str | None:
    match = re.match(rf"[ \t]*\[*[ \t]*({_KEY})", lines[number])
    if match is None:
        return None
    key = match[1]
    again = re.compile(rf"[ \t]*\[*[ \t]*{re.escape(key)}[ \t]*[=\].]")
    before = next((at for at, line in enumerate(lines[:number]) if again.match(line)), None)
    where = "" if before is None else f": it stands in line {first_line + before} as well"
    hint = "; is [[source]] missing between them?" if key in ("name", "url") else ""
    return f"{key!r} is given twice{where}{hint}"


# -- one line, from what is most likely


def _words(line: str, *, continues: bool) -> str | None:
    """What is wrong with a line, None if that is uncommon. `continues`: it goes on with a list or a table."""
    line = line.strip()
    for check in (_signs, _inside if continues else _statement):
        if words := check(line):
            return words if len(words) <= 2 * _MOST_SHOWN else f"{words[:_MOST_SHOWN]}..."
    return None


def _signs(line: str) -> str | None:
    if line.translate(_STRAIGHT) != line:
        return 'quotes must be straight ones: "'
    if any(sign.isspace() and sign not in " \t" for sign in line):
        return "a blank in this line is none that TOML knows: type it anew"
    if line.startswith(("//", ";", "--", "/*")):
        return "a comment begins with #"
    return None


def _statement(line: str) -> str | None:
    if line.startswith("["):
        return _header(line)
    if line.startswith("="):
        return "the key before the = is missing"
    if match := re.match(rf"({_KEY})[ \t]*:", line):
        return f"write {match[1]} = ..., with = instead of the colon"
    if match := re.match(r"(\w+(?:[ \t]+\w+)+)[ \t]*=", line):
        return f"a key has no blanks in it: {'_'.join(match[1].split())}"
    match = re.match(rf"({_KEY})[ \t]*(=*)[ \t]*(.*)", line)
    if match is None:
        return None
    key, sign, value = match.groups()
    if sign != "=":
        return f"the = after {key} is missing" if not sign else "one = is enough"
    return _value(key, value)


def _header(line: str) -> str:
    opened, closed = line.count("["), line.count("]")
    if opened == closed:
        return "what follows the brackets belongs in the next line"
    return f"a {']' if opened > closed else '['} is missing"


def _value(key: str, value: str) -> str | None:
    bare = re.sub(r"[ \t]*#.*", "", value).rstrip(",; \t")
    if not bare:
        return f"the value of {key} is missing"
    for words, meant in _MEANT:
        if bare.casefold() in words:
            return "the comma at the end is too much" if bare == meant else f"write {meant}"
    if bare.casefold() in _NOTHING:
        return f"leave the line out: without it {key} is not set"
    kinds: dict[str, Callable[[str, str], str | None]] = {'"': _text, "'": _text, "[": _list, "{": _table}
    return kinds.get(bare[0], _unquoted)(key, value)


def _text(key: str, value: str) -> str | None:
    quote = value[0]
    if value.startswith(quote * 3):
        return f"three quotes are missing at the end of the text that begins here: {quote * 3}"
    match = re.match(_TEXT, value)
    if match is None:
        return "a quote is missing"
    if quote == '"' and "\\" in match[0] and not _parses(f"x = {match[0]}"):
        return r"a \ between double quotes is written \\ (between single quotes, \)"
    return _behind_text(key, value[match.end() :].strip(), quote)


def _behind_text(key: str, rest: str, quote: str) -> str | None:
    if rest in (",", ";") or re.match(r"[,;][ \t]*#", rest):
        return f"the {'comma' if rest[0] == ',' else 'semicolon'} at the end is too much"
    if rest.startswith(","):
        return f'several texts stand in brackets: {key} = ["...", "..."]'
    if re.match(rf"{_KEY}[ \t]*=", rest):
        return "each key stands in a line of its own"
    if quote in rest:
        other = "'" if quote == '"' else '"'
        return f"a text ends at its second quote; one with {quote} in it stands between {other} and {other}"
    return None


def _list(key: str, value: str) -> str | None:
    return _inside(value) or _unbalanced(value, "[", "]")


def _table(key: str, value: str) -> str | None:
    if words := _inside(value):
        return words
    if "}" not in value:
        return "a { ... } stands in one line, and its } is missing here"
    return _unbalanced(value, "{", "}") or (None if "=" in value else f"a list stands in [ ]: {key} = [...]")


def _unbalanced(value: str, opening: str, closing: str) -> str | None:
    outside = re.sub(_TEXT, "", value)
    missing = outside.count(opening) - outside.count(closing)
    if missing:
        return f"a {closing} is missing" if missing > 0 else f"a {closing} is too much"
    return None


def _inside(value: str) -> str | None:
    """What is wrong between brackets or braces, or in a line of those."""
    outside = re.sub(_TEXT, '""', value)
    without = re.sub(r"#.*", "", outside)
    if without.count('"') % 2 or without.count("'") % 2:
        return "a quote is missing"
    if re.search(rf'({_KEY}|"")[ \t]*:', without):
        return "within { }, write = instead of the colon"
    if re.search(r'""[ \t]+""', without):
        return "a comma is missing"
    return _bare_word(without)


def _bare_word(without: str) -> str | None:
    """The first thing between brackets and commas that is neither a text, nor a number, true or false."""
    for part in re.split(r"[\[\]{},]", without):
        word = part.rpartition("=")[2].strip()
        if word and not _parses(f"x = {word}"):
            meant = next((right for words, right in _MEANT if word.casefold() in words), None)
            return f"write {meant}" if meant else f'text stands in quotes: "{word}"'
    return None


def _unquoted(key: str, value: str) -> str | None:
    bare = re.sub(r"[ \t]+#.*", "", value).strip()
    if bare.endswith(("'", '"')):
        return "a quote is missing"
    if re.fullmatch(r"\d{1,3}(,\d{3})+", bare):
        return f"a number has no commas in it: {bare.replace(',', '')}"
    if re.fullmatch(r"0\d+", bare):
        return f"a number does not begin with 0: {bare.lstrip('0') or '0'}"
    if re.fullmatch(r"[\d_.]+[,;]", bare):
        return "the sign at the end is too much"
    return f'text stands in quotes: {key} = "{bare.rstrip(",;")}"'
