"""Scripts, styles and the icon, as they were when the process began.

They are few and small, so they are read once: a request cannot name a file that is not in the table, whatever it
writes into its path, and a page never gets the script of a later version. An address with the content's digest in
it may be kept for ever; one without is asked for again, and answered with 304 where nothing changed.
"""

import hashlib
import importlib.metadata
import mimetypes
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from feedmirror.web.answer import Answer
from feedmirror.web.streamed import unless_known

JQUERY = "vendor/jquery.min.js"

_A_YEAR_S = 365 * 24 * 3600

# What the system's own tables say of these differs between machines, and a browser told not to sniff takes them
# at their word.
_TYPES = {
    ".css": "text/css;charset=utf-8",
    ".js": "text/javascript;charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file: its content, media type and the digest that stands for this content."""

    content: bytes
    content_type: str
    digest: str


class Assets:
    """Everything under /static/, by its path below that."""

    def __init__(self, directory: Path):
        self._assets = {name: _read(path) for name, path in _files(directory)}
        self._assets[JQUERY] = _read(jquery_path())

    def url(self, name: str) -> str:
        """The address of an asset, which changes with its content."""
        return f"/static/{name}?v={self._assets[name].digest}"

    def answer(self, name: str, version: str | None, *, known: str = "") -> Answer | None:
        """The asset, or 304 for a client that has it already (`known`: If-None-Match); None if there is none."""
        asset = self._assets.get(name)
        if asset is None:
            return None
        kept_for = f"public, max-age={_A_YEAR_S}, immutable" if version == asset.digest else "no-cache"
        headers = {"Content-Type": asset.content_type, "ETag": f'"{asset.digest}"', "Cache-Control": kept_for}
        return unless_known(Answer(200, headers, asset.content), known)


def jquery_path() -> Path:
    """jQuery's one file within the package XStatic-jQuery.

    Found, not imported: the package's parent needs pkg_resources in some versions, which setuptools no longer has.
    """
    found = importlib.metadata.distribution("XStatic-jQuery").locate_file("xstatic/pkg/jquery/data/jquery.min.js")
    return Path(str(found))


def _files(directory: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(directory.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            yield path.relative_to(directory).as_posix(), path


def _read(path: Path) -> Asset:
    content = path.read_bytes()
    media_type = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Asset(content, media_type, hashlib.sha256(content).hexdigest()[:16])
