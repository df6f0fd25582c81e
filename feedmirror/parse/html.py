"""HTML as feeds carry it: made safe to show, or reduced to its text.

Summaries come from strangers and end in a reader's page: what is not on the lists below does not get through. Knows
nothing of feeds.
"""

import html
import re
from collections import Counter
from functools import lru_cache
from typing import Literal

import nh3

from feedmirror.models import Cut
from feedmirror.parse import limits

# nh3 (ammonia, html5ever) takes time quadratic in the depth of nesting, and a reader's page wants no book: 50,000
# nested elements took ten seconds, 256 take a quarter of a millisecond.
MAX_LENGTH = limits.SUMMARY
MAX_DEPTH = 256
# A line of text, such as a title, with its markup: ten times what is kept of it.
MAX_LINE_LENGTH = 20_000
# Longer than nearly all names of tags and of people; bounds what is remembered of them.
MAX_REMEMBERED_LENGTH = 100

_TOO_DEEP = Cut("summary", "summaries", f"without markup: nested more than {MAX_DEPTH} deep")
_TOO_LONG = Cut("title or name", "titles or names", f"cut at {MAX_LINE_LENGTH:,} characters of markup")

REL = "noopener nofollow ugc"

_TAGS = frozenset(
    "a abbr b bdi bdo blockquote br caption cite code col colgroup dd del details dfn div dl dt em figcaption figure "
    "h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q rp rt ruby s samp small strike strong sub summary sup "
    "table tbody td tfoot th thead time tr tt u ul var wbr".split()
)
# Elements whose text means nothing without them.
_TAGS_WITHOUT_CONTENT = frozenset("script style noembed noframes template title textarea select".split())
_ATTRIBUTES = {
    "a": {"href", "title"},
    "abbr": {"title"},
    "bdo": {"dir"},
    "col": {"span"},
    "img": {"src", "alt", "title", "width", "height"},
    "ol": {"start"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan"},
    "time": {"datetime"},
}
_SCHEMES = {"http", "https", "mailto"}
# A page holds a hundred summaries, folded: their pictures are fetched from the publisher when somebody looks.
_SET_ATTRIBUTES = {"img": {"loading": "lazy"}}

# Tags in a line of text are recognised by name, so that `Vec<String>` in a title without markup stays what it is.
_HTML_TAGS = "|".join(
    _TAGS
    | _TAGS_WITHOUT_CONTENT
    | frozenset(
        "acronym address applet area article aside audio base big blink body button canvas center datalist "
        "dialog dir embed fieldset font footer form frame frameset head header hgroup html iframe input label "
        "legend link main map marquee math menu meta meter nav nobr noscript object optgroup option output "
        "param picture plaintext progress script section slot source span spacer strike svg track video xmp".split()
    )
)
_HTML_TAG = re.compile(
    rf"""</?(?:{_HTML_TAGS})(?:\s(?:[^<>"']|"[^"]*"|'[^']*')*+|\s[^<>]*)?/?>|<!--.*?(?:-->|\Z)|<!DOCTYPE[^<>]*>""",
    re.IGNORECASE | re.DOTALL,
)
# What stands on lines of its own.
_BREAK = re.compile(
    r"</?(?:br|p|div|li|ul|ol|tr|td|th|h[1-6]|hr|blockquote|section|article)(?:\s[^<>]*)?/?>", re.IGNORECASE
)
_VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())
_SCRIPT = re.compile(r"<(script|style)\b[^<>]*>(?P<inside>.*?)(?:</\1\s*>|(?P<unclosed>\Z))", re.IGNORECASE | re.DOTALL)
_ANY_TAG = re.compile(r"<(/?)([a-zA-Z][^\s<>/]*)[^<>]*?(/?)>|<!--.*?(?:-->|\Z)", re.DOTALL)
_FRAME = re.compile(r"</?iframe\b[^<>]*>", re.IGNORECASE)
# A picture without a source shows nothing. One of at most one pixel is there to count readers, and so are those of the
# counting services. All as nh3 writes it: every value in double quotes, which are escaped within; other signs need not
# be. One expression, because a function of ours called for each picture takes twice as long.
_UNWANTED_IMAGE = re.compile(
    r"""<img
    (?: (?:[ ](?!src=)[a-z]+="[^"]*")*
      | (?:[ ][a-z]+="[^"]*")*?
        [ ](?: (?:width|height)="\s*[01]\s*(?:px)?\s*"
           | src="https?://
             (?: pixel\.wp\.com | stats\.wordpress\.com | feeds\.feedburner\.com/~ | feeds\.wordpress\.com/1\.0/
               | (?:www\.)?google-analytics\.com | b\.scorecardresearch\.com | [^/"]+\.doubleclick\.net
               | feedpress\.me/link )
             [^"]*" )
        (?:[ ][a-z]+="[^"]*")*
    )>""",
    re.VERBOSE,
)

# What neither XML nor UTF-8 can carry (XML 1.0, 2.2), lone halves of surrogate pairs among it.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# C1 controls, without the five that Windows does not use either
_C1 = re.compile("[\x80\x82-\x8c\x8e\x91-\x9c\x9e\x9f]")


def clean(markup: str, base: str = "") -> str:
    """The markup with only what is safe and useful in a reader's page; its links resolved against `base`."""
    markup = windows_1252_controls(markup[:MAX_LENGTH]).strip()
    if "<" not in markup and "&" not in markup and ">" not in markup:
        return markup
    if markup.count("<") > MAX_DEPTH and _depth(markup) > MAX_DEPTH:
        limits.note(_TOO_DEEP)
        return from_text(html.unescape(_ANY_TAG.sub("", markup)))
    # What stands in a frame is meant for those who do not see the frame, and html5ever takes it for plain text. Asking
    # first whether there is one takes as long.
    markup = _FRAME.sub("", markup)
    return _UNWANTED_IMAGE.sub("", _cleaner(base).clean(markup))


def from_text(text: str) -> str:
    """Plain text as markup that shows just that."""
    return escaped(text[:MAX_LENGTH])


def escaped(text: str) -> str:
    """`from_text` of a part of what is still to be cleaned, however long."""
    return html.escape(windows_1252_controls(text).strip(), quote=False)


def text_of(markup: str) -> str:
    """What a reader of this markup would read, on one line."""
    if is_cut := len(markup) > MAX_LINE_LENGTH:
        markup = markup[:MAX_LINE_LENGTH]
    if "<" in markup:
        markup = _HTML_TAG.sub("", _BREAK.sub(" ", _SCRIPT.sub(_unclosed_script, markup)))
    if "&" in markup:
        markup = html.unescape(markup)
    line = one_line(markup)
    if is_cut and len(line) <= limits.AUTHOR:  # a longer one is cut again, and counted then
        limits.note(_TOO_LONG)
    return line


def name_of(markup: str) -> str:
    """`text_of` of what names a tag or a person: a feed says few of them, again and again, and each is kept but once.

    A fiftieth of all time in an RSS feed with two tags and an author an entry, mostly for want of strings to keep.
    """
    return _remembered_text_of(markup) if len(markup) <= MAX_REMEMBERED_LENGTH else text_of(markup)


def _unclosed_script(script: re.Match[str]) -> str:
    # without an end it is a title that speaks of scripts
    return script["inside"] if script["unclosed"] is not None else ""


_remembered_text_of = lru_cache(maxsize=4_096)(text_of)


def one_line(text: str) -> str:
    """The text with each run of white space as one space."""
    line = " ".join(text.split())
    return line if line.isascii() else windows_1252_controls(line)


def windows_1252_controls(text: str) -> str:
    """The text with C1 control characters read as Windows' authors meant them: `&#146;` is an apostrophe."""
    # isascii() is a flag of the string and costs nothing; most text ends here
    return text if text.isascii() else _C1.sub(_from_windows_1252, text)


def _from_windows_1252(control: re.Match[str]) -> str:
    return control[0].encode("latin-1").decode("windows-1252")


def without_forbidden(text: str) -> str:
    """The text without what neither XML nor UTF-8 can carry: control characters, halves of surrogate pairs."""
    return text if text.isprintable() else _FORBIDDEN.sub("", text)


@lru_cache(maxsize=256)
def _cleaner(base: str) -> nh3.Cleaner:
    if base:
        try:
            return _configured(("rewrite_with_base", base))
        except ValueError:  # addresses that Python takes and Rust does not, such as those of impossible hosts
            pass
    return _configured("deny")


def _configured(relative: Literal["deny"] | tuple[Literal["rewrite_with_base"], str]) -> nh3.Cleaner:
    return nh3.Cleaner(
        tags=_TAGS,
        clean_content_tags=_TAGS_WITHOUT_CONTENT,
        attributes=_ATTRIBUTES,
        set_tag_attribute_values=_SET_ATTRIBUTES,
        url_schemes=_SCHEMES,
        link_rel=REL,
        url_relative=relative,
    )


def _depth(markup: str) -> int:
    """How deep the elements nest, at least: an end tag closes what it names, and nothing where that is not open."""
    nested: list[str] = []
    open_ = Counter[str]()
    deepest = 0
    for tag in _ANY_TAG.finditer(markup):
        name = (tag[2] or "").lower()
        if tag[1] and open_[name]:
            while (closed := nested.pop()) != name:
                open_[closed] -= 1
            open_[name] -= 1
        elif name and not tag[1] and name not in _VOID:
            nested.append(name)
            open_[name] += 1
            deepest = max(deepest, len(nested))
    return deepest
