"""Which characters a document's bytes are, whoever lies about it."""

import codecs

import pytest

from feedmirror.parse import parse
from feedmirror.parse.encoding import decode

DOCUMENT = '<?xml version="1.0"{}?><rss version="2.0"><channel><title>{}</title></channel></rss>'
FRENCH = "Déjà vu – “été”"
RUSSIAN = "Новости России и всего мира"
CHINESE = "今天的新闻"
JAPANESE = "今日のニュースです"


def document(title: str, encoding: str, declared: str | None = None) -> bytes:
    declaration = f' encoding="{declared}"' if declared else ""
    return DOCUMENT.format(declaration, title).encode(encoding)


@pytest.mark.parametrize(
    ("title", "body", "content_type", "encoding"),
    [
        (FRENCH, document(FRENCH, "utf-8"), "", "utf-8"),
        (FRENCH, codecs.BOM_UTF8 + document(FRENCH, "utf-8"), "", "utf-8"),
        (FRENCH, document(FRENCH, "cp1252", "windows-1252"), "", "windows-1252"),
        # the standard's name for what is Windows' in truth
        (FRENCH, document(FRENCH, "cp1252", "iso-8859-1"), "", "windows-1252"),
        (RUSSIAN, document(RUSSIAN, "koi8-r", "KOI8-R"), "", "koi8-r"),
        (CHINESE, document(CHINESE, "gbk", "gb2312"), "", "gb18030"),
        (JAPANESE, document(JAPANESE, "shift_jis", "x-sjis"), "", "cp932"),
        (JAPANESE, document(JAPANESE, "iso2022_jp", "iso-2022-jp"), "", "iso2022_jp"),
        (FRENCH, document(FRENCH, "utf-16", "utf-16"), "", "utf-16-le"),
        (FRENCH, document(FRENCH, "utf-16-be"), "", "utf-16-be"),
        (FRENCH, document(FRENCH, "utf-16-le", "utf-16"), "", "utf-16-le"),
        (FRENCH, document(FRENCH, "utf-32-be"), "", "utf-32-be"),
        # the transport comes before the document (RFC 7303, 3)
        (RUSSIAN, document(RUSSIAN, "cp1251", "koi8-r"), "text/xml; charset=windows-1251", "windows-1251"),
        (CHINESE, document(CHINESE, "gbk"), 'application/xml; charset="GBK"', "gb18030"),
        # and a mark before both
        (FRENCH, codecs.BOM_UTF8 + document(FRENCH, "utf-8", "koi8-r"), "text/xml; charset=koi8-r", "utf-8"),
        # a server's default against bytes that prove what they are
        (FRENCH, document(FRENCH, "utf-8"), "text/xml; charset=iso-8859-1", "utf-8"),
        (RUSSIAN, document(RUSSIAN, "utf-8", "windows-1251"), "", "utf-8"),
        # names of nothing, and of what no document is in
        (FRENCH, document(FRENCH, "utf-8", "utf-99"), "", "utf-8"),
        (FRENCH, document(FRENCH, "utf-8", "punycode"), "text/xml; charset=base64", "utf-8"),
        (FRENCH, document(FRENCH, "utf-8", "utf-16"), "", "utf-8"),
        (FRENCH, document(FRENCH, "utf-8", "us-ascii"), "", "utf-8"),
    ],
)
def test_an_encoding_is_recognised(title: str, body: bytes, content_type: str, encoding: str):
    page = parse(body, url="", content_type=content_type)
    assert (page.title, page.encoding, page.recovered) == (title, encoding, False)


@pytest.mark.parametrize(
    ("title", "body", "encoding"),
    [
        (FRENCH, document(FRENCH, "cp1252", "utf-8"), "windows-1252"),
        (FRENCH, document(FRENCH, "cp1252"), "windows-1252"),
        # a stray byte from Windows among UTF-8
        ("naïve “été”", document("na\ue000ve “été”", "utf-8").replace("\ue000".encode(), b"\xef"), "utf-8"),
        (RUSSIAN, document(RUSSIAN, "cp1251"), "windows-1251"),
        (JAPANESE, document(JAPANESE, "shift_jis", "utf-8"), "cp932"),
    ],
)
def test_a_document_in_no_encoding_that_it_names_is_read_all_the_same(title: str, body: bytes, encoding: str):
    page = parse(body, url="")
    assert (page.title, page.encoding, page.recovered) == (title, encoding, True)


def test_noise_is_decoded_in_no_time():
    noise = bytes(range(256)) * 4_000
    assert decode(noise, "").clean is False


def test_an_xml_base_counts_in_any_encoding():
    document = '<feed xml:base="https://base.example/"><entry><link href="x"/></entry></feed>'
    for encoding in ("utf-8", "utf-16", "utf-32-le"):
        page = parse(document.encode(encoding), url="https://example.org/")
        assert page.entries[0].link == "https://base.example/x"
