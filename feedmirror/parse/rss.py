"""RSS 0.90 to 2.0 and RSS 1.0 (RDF): one family, one reader, because real feeds mix its members.

Knows RSS's elements; how markup sits in them, and what other modules add, is read by `fields` and `modules`.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from feedmirror.models import Entry, Page
from feedmirror.parse import atom, html, limits, modules
from feedmirror.parse.fields import Fields, Reading, markup_in, text_in
from feedmirror.parse.hints import hints_of
from feedmirror.parse.limits import author_of, guid_of, summary_of, title_of
from feedmirror.parse.names import split_tag
from feedmirror.parse.xml import Element

_RDF_ABOUT = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}about"
_SUMMARIES = (
    "description",
    "summary",
    "content:encoded",
    "fullitem",
    "content",
    "media:description",
    "itunes:summary",
    "itunes:subtitle",
    "dcterms:abstract",
    "dc:description",
    "xhtml:body",
    "xhtml:div",
    "body",
)
_ATOM_SUMMARIES = ("atom:summary", "atom:content")


def read(root: Element, reading: Reading) -> Page:
    """The page that an RSS document is. Items stand in the channel (2.0), beside it (1.0), or both."""
    top = Fields(root, reading)
    channel_element = top.first("channel")
    channel = top if channel_element is None else top.within(channel_element)
    in_site = replace(reading, url=_site(channel) or reading.url)
    items = limits.first_of(_items(top, channel))
    return Page(
        entries=tuple(_entry(Fields(item, in_site)) for item in items),
        format=_format(root),
        title=title_of(_title(channel.first("title", "dc:title"))),
        next=atom.next_page(channel, "atom:link"),
        hints=hints_of(channel),
    )


def _items(top: Fields, channel: Fields) -> Iterator[Element]:
    yield from channel.each("item")
    if channel is not top:
        yield from top.each("item")
    for gathered in channel.each("items"):  # RSS 1.1
        yield from gathered.iterchildren("{*}item")


def _site(channel: Fields) -> str | None:
    """What the items' links are relative to: the site that the channel names, for a feed is often served elsewhere."""
    element = channel.first("link")
    return None if element is None else channel.link(text_in(element), element)


def _format(root: Element) -> str:
    if split_tag(root.tag)[1].lower() == "rdf":
        netscape = any("netscape.com/rdf" in (uri or "") for uri in root.nsmap.values())
        return "rss 0.90" if netscape else "rss 1.0"
    version = (root.get("version") or "").strip()
    return f"rss {version}" if re.fullmatch(r"\d(\.\d{1,3}){0,2}", version) else "rss"


def _entry(fields: Fields) -> Entry:
    guid = (
        fields.text("guid", "atom:id") or (fields.element.get(_RDF_ABOUT) or "").strip() or fields.text("dc:identifier")
    )
    return Entry(
        title=title_of(_title(fields.first("title")) or _other_title(fields)),
        link=_link(fields, guid),
        guid=guid_of(guid),
        author=author_of(_author(fields)),
        summary=_summary(fields),
        tags=modules.tags(_tags(fields), fields),
        published=fields.date("pubdate", "atom:published", "dcterms:issued", "dc:date", "dcterms:created"),
        updated=fields.date("atom:updated", "dcterms:modified", "dc:date"),
        comments_link=_comments_link(fields),
        thumbnail=modules.thumbnail(fields),
        score=modules.score(fields),
        comments=modules.comments(fields),
    )


def _title(element: Element | None) -> str:
    """A title as text. RSS never said whether titles are HTML, and publishers do both."""
    if element is None:
        return ""
    return html.text_of(text_in(element))


def _other_title(fields: Fields) -> str:
    return atom.title(fields.first("atom:title")) or _title(fields.first("dc:title", "media:title", "itunes:title"))


def _link(fields: Fields, guid: str) -> str | None:
    for element in fields.each("link"):
        if link := fields.link(text_in(element), element):
            return link
    alternates = atom.links_by_relation(fields).get("alternate", ())
    if link := atom.first_address(fields, (element for element in alternates if element.get("href"))):
        return link
    if link := atom.first_address(fields, atom.links_by_relation(fields, "atom:link").get("alternate", ())):
        return link
    permalink = fields.first("guid")
    if permalink is not None and permalink.get("isPermaLink", "true").strip().lower() == "false":
        return None
    return fields.permanent(guid)


def _comments_link(fields: Fields) -> str | None:
    element = fields.first("comments")
    return None if element is None else fields.link(text_in(element), element)


def _tags(fields: Fields) -> list[str]:
    tags = [html.name_of(text_in(element)) for element in fields.each("category")]
    for element in fields.each("tags"):  # in no standard, and in feeds
        tags += modules.listed(text_in(element))
    return tags


def _author(fields: Fields) -> str:
    """Who wrote it: a name, where one is given beside the address."""
    return _people(fields, "author") or modules.creator(fields) or _people(fields, "atom:author")


def _people(fields: Fields, name: str) -> str:
    people = fields.each(name)
    return modules.joined([_person(fields, element) for element in people]) if people else ""


def _person(fields: Fields, element: Element) -> str:
    if len(element) > 0:
        named = fields.within(element).text("name", "atom:name", "email", "atom:email")
        return named or html.text_of(text_in(element))
    return modules.person_name(element.text or "")


def _summary(fields: Fields) -> str:
    for element in fields.all(*_SUMMARIES):
        if summary := html.clean(summary_of(markup_in(element)), fields.base(element)):
            return summary
    for element in fields.all(*_ATOM_SUMMARIES):
        if summary := atom.summary(element, fields.base(element)):
            return summary
    return ""
