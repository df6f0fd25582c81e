"""Which characters the bytes of a document stand for.

The order is that of RFC 7303, 3: a byte order mark, then the charset of the Content-Type, then the XML declaration,
then UTF-8. Each of them may lie, so each is only believed if the bytes can be read that way; what is left is read as
UTF-8 with stray bytes from Windows, which is what most broken feeds are.

Knows nothing of XML but its declaration.
"""

import codecs
import re
from dataclasses import dataclass

_MARKS = (  # the longer ones first: UTF-32's begins as UTF-16's does
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# How "<?" or "<r" looks without a mark (XML 1.0, appendix F).
_FIRST_BYTES = (
    (re.compile(rb"<\x00\x00\x00"), "utf-32-le"),
    (re.compile(rb"\x00\x00\x00<"), "utf-32-be"),
    (re.compile(rb"<\x00[^\x00]\x00"), "utf-16-le"),
    (re.compile(rb"\x00<\x00[^\x00]"), "utf-16-be"),
    (re.compile(rb"\x4c\x6f\xa7\x94"), "cp037"),
)
_DECLARATION = re.compile(rb"""\s*<\?xml\s[^>]{0,200}?encoding\s*=\s*["']\s*([\w.:-]{1,40})\s*["']""")
_EBCDIC_DECLARATION = re.compile(r"""encoding\s*=\s*["']\s*([\w.:-]{1,40})\s*["']""")
_CHARSET = re.compile(r"""charset\s*=\s*["']?\s*([\w.:-]{1,40})""", re.IGNORECASE)

# The names that people give, for what their bytes really are (WHATWG Encoding, 4.2): Windows' supersets of the
# standards. A document in the standard itself reads the same.
_SUPERSETS = {
    "ascii": "utf-8",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
}
_SPELLINGS = {
    "x-sjis": "shift_jis",
    "windows-31j": "cp932",
    "x-gbk": "gb18030",
    "x-euc-jp": "euc_jp",
    "x-mac-roman": "mac-roman",
    "macintosh": "mac-roman",
    "iso-8859-8-i": "iso8859-8",
    "unicode": "utf-16",
    "utf8mb4": "utf-8",
    "windows-874": "cp874",
    "dos-874": "cp874",
    "x-x-big5": "big5",
    "cn-big5": "big5",
    "csbig5": "big5",
    "windows-949": "cp949",
    "ks_c_5601-1987": "euc_kr",
    "ksc5601": "euc_kr",
}
# Python decodes these, and no document is written in them; idna and punycode take time quadratic in the length.
_REFUSED = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "utf-7"})
_SINGLE_BYTE = ("cp125", "cp874", "iso8859", "koi8", "mac-")
# Where a document has more stray bytes than this, it is not UTF-8 with accidents. Bounds the time of the loop too.
_MAX_STRAY = 10_000
# Western words have single accented letters; four in a row are a word in another script.
_FOREIGN_WORD = re.compile(rb"[\x80-\xff]{4}")
# Enough text to tell languages apart, and a fraction of a second at worst.
_SNIFFED = 16_384
_STRAY = "feedmirror-stray-bytes"


@dataclass(frozen=True, slots=True)
class Decoded:
    """A document's characters, the encoding they were in, and whether that fitted every byte."""

    text: str
    encoding: str
    clean: bool


def presumed(body: bytes, content_type: str) -> str:
    """The encoding that the document is in if nobody lies: the first that is named, else UTF-8."""
    return _names(body, content_type)[0]


def decode(body: bytes, content_type: str) -> Decoded:
    """The characters of a document, whatever it takes."""
    names = _names(body, content_type)
    body, _ = _without_mark(body)
    for name in names:
        text = _strictly(body, name)
        if text is not None:
            return Decoded(text, public_name(name), clean=name == names[0])
    return _forgivingly(body, names[0])


def public_name(codec: str) -> str:
    """The name under which people know Python's codec."""
    return codec.replace("cp125", "windows-125").replace("iso8859", "iso-8859")


def _names(body: bytes, content_type: str) -> list[str]:
    """What mark, transport and document say that can be true, in the order in which it counts, and UTF-8."""
    _, marked = _without_mark(body)
    looks = _by_first_bytes(body)
    charset = _CHARSET.search(content_type)
    transported = _codec(charset[1]) if charset else None
    said = [name for name in (transported, looks, _declared(body, looks)) if name and _possible(name, looks)]
    if any(name.startswith(_SINGLE_BYTE) for name in said) and _is_utf_8(body):
        # A server's or a template's default: text in a single-byte encoding is next to never valid UTF-8 by accident.
        said = ["utf-8"]
    return list(dict.fromkeys([*([marked] if marked else ()), *said, "utf-8"]))


def _possible(name: str, looks: str | None) -> bool:
    """Whether a document can be in this encoding, by what its first characters look like."""
    return name.startswith(("utf-16", "utf-32")) == (looks is not None and looks.startswith(("utf-16", "utf-32")))


def _is_utf_8(body: bytes) -> bool:
    return not body.isascii() and _strictly(body, "utf-8") is not None


def _without_mark(body: bytes) -> tuple[bytes, str | None]:
    for mark, name in _MARKS:
        if body.startswith(mark):
            return body[len(mark) :], name
    return body, None


def _by_first_bytes(body: bytes) -> str | None:
    for pattern, name in _FIRST_BYTES:
        if pattern.match(body):
            return name
    return None


def _declared(body: bytes, looks: str | None) -> str | None:
    if looks == "cp037":
        inside = _EBCDIC_DECLARATION.search(body[:200].decode("cp037"))
        return _codec(inside[1]) if inside else None
    match = _DECLARATION.match(body)
    return _codec(match[1].decode("ascii", "replace")) if match else None


def _codec(label: str) -> str | None:
    """Python's name of the codec for an encoding's name in the wild; None where there is none."""
    label = label.strip().lower()
    try:
        codec = codecs.lookup(_SPELLINGS.get(label, label))
        "".encode(codec.name)  # refuses what is no text encoding, such as base64
    except (LookupError, ValueError, UnicodeError):
        return None
    if codec.name in _REFUSED:
        return None
    return _SUPERSETS.get(codec.name, codec.name)


def _strictly(body: bytes, name: str) -> str | None:
    try:
        return body.decode(name)
    except (UnicodeError, ValueError):
        return None


def _forgivingly(body: bytes, name: str) -> Decoded:
    """The text of a document that is in no encoding that anybody named."""
    if name != "utf-8":
        return Decoded(body.decode(name, "replace"), public_name(name), clean=False)
    intact = body.decode("utf-8", "ignore")
    strays = len(body) - len(intact.encode())
    genuine = len(intact) - len(intact.encode("ascii", "ignore"))
    if strays > min(genuine, _MAX_STRAY):
        # what little of it is UTF-8 is so by accident
        guess = _sniffed(body)
        return Decoded(body.decode(guess, "replace"), public_name(guess), clean=False)
    return Decoded(body.decode("utf-8", _STRAY), "utf-8", clean=False)


def _sniffed(body: bytes) -> str:
    """The encoding that the letters speak for, of a document that names none or a wrong one."""
    if _FOREIGN_WORD.search(body) is None:
        return "cp1252"
    from charset_normalizer import from_bytes  # imported late: hardly any document needs it

    best = from_bytes(body[:_SNIFFED]).best()
    return (_codec(best.encoding) if best else None) or "cp1252"


def _stray_byte(error: UnicodeError) -> tuple[str, int]:
    """A codec error handler: bytes that are no UTF-8 are what a Windows program pasted in."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error(_STRAY, _stray_byte)
