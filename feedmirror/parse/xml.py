"""From the bytes of an XML document to its tree, however broken they are.

    bytes --strict parser--> tree                                   nearly always
      └─ decoded, without DOCTYPE --strict--> tree                  other encodings, DOCTYPEs
           └─ mended --strict--> tree                               `recovered`
                └─ cut to whole entries --forgiving--> tree         `recovered`, perhaps `truncated`

Entities are never expanded by a parser, nothing is loaded, and libxml2's own limits on depth and size stay on. Knows
nothing of what the elements mean, except which of them repeat.
"""

from dataclasses import dataclass, replace

from lxml import etree

from feedmirror.errors import ParseError
from feedmirror.parse import encoding, repair
from feedmirror.parse.names import split_tag

Element = etree._Element

# The names of what a feed lists. A document that breaks off is cut behind the last whole one.
_REPEATED = ("item", "entry")


@dataclass(frozen=True, slots=True)
class Tree:
    """A parsed document. `recovered`: not by the strict parser; `truncated`: its end was missing.

    `has_base`: whether there may be an xml:base in it; in most there is none, and then no element need be asked.
    """

    root: Element
    encoding: str
    has_base: bool
    recovered: bool = False
    truncated: bool = False


def read(body: bytes, content_type: str, url: str) -> Tree:
    """The tree of a document; ParseError where nothing in it looks like an element."""
    presumed = encoding.presumed(body, content_type)
    if presumed == "utf-8" and not repair.has_doctype(body):
        root = _strict(body, url)
        if root is not None:
            # no other prefix may stand for this namespace (Namespaces in XML, 3): it is written so or not there
            return Tree(root, encoding.public_name(presumed), has_base=b"xml:base" in body)
    return _read_text(encoding.decode(body, content_type), url)


def _read_text(decoded: encoding.Decoded, url: str) -> Tree:
    text = repair.without_doctype(decoded.text)
    has_base = "xml:base" in text
    root = _strict(_bytes(text), url)
    if root is not None:
        return Tree(_elements_only(root), decoded.encoding, has_base, recovered=not decoded.clean)
    text = repair.mended(text)
    root = _strict(_bytes(text), url)
    if root is not None:
        return Tree(_elements_only(root), decoded.encoding, has_base, recovered=True)
    root = _forgiving(_bytes(text), url)
    return _without_half_entry(Tree(root, decoded.encoding, has_base, recovered=True), text, url)


def _without_half_entry(tree: Tree, text: str, url: str) -> Tree:
    """The tree of what had arrived in full: half an entry must not overwrite a stored whole one."""
    repeated = _repeated(tree.root)
    whole = repair.cut_to_whole(text, _written(tree.root), repeated)
    if whole is None:
        # nested beyond libxml2's limits, the rest of a document is dropped without a word
        dropped = repair.count_whole(text, repeated) > _count(tree.root, repeated)
        return replace(tree, truncated=dropped)
    return replace(tree, root=_forgiving(_bytes(whole), url), truncated=True)


def _repeated(root: Element) -> str:
    """The name, as the document writes it, of the element that it lists."""
    for element in root.iter():
        if split_tag(element.tag)[1].lower() in _REPEATED:
            return _written(element)
    return _REPEATED[0]


def _count(root: Element, repeated: str) -> int:
    return sum(_written(element) == repeated for element in root.iter())


def _written(element: Element) -> str:
    local = element.tag.rpartition("}")[2]
    return f"{element.prefix}:{local}" if element.prefix else local


def _strict(document: bytes, url: str) -> Element | None:
    try:
        return etree.fromstring(document, _parser(recover=False), base_url=url)
    except (etree.XMLSyntaxError, ValueError):
        return None


def _forgiving(document: bytes, url: str) -> Element:
    try:
        root = etree.fromstring(document, _parser(recover=True), base_url=url)
    except (etree.XMLSyntaxError, ValueError):
        root = None
    if root is None:
        raise ParseError("the document is neither XML nor JSON")
    return _elements_only(root)


def _elements_only(root: Element) -> Element:
    """The tree without references that nothing resolved: they are no elements, and all others expect only such."""
    etree.strip_elements(root, etree.Entity, with_tail=False)
    return root


def _parser(*, recover: bool) -> etree.XMLParser:
    return etree.XMLParser(
        encoding="utf-8",
        recover=recover,
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        collect_ids=False,
    )


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
