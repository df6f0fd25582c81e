"""Documents of every format and module, each beside what `parse --json` prints for it."""

import json
from pathlib import Path

import pytest

from feedmirror.commands.parse import as_json, seen
from feedmirror.models import Document

FOLDER = Path(__file__).parent / "parse"
DOCUMENTS = sorted(path for path in FOLDER.iterdir() if not path.name.endswith(".expected.json"))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_a_document_is_seen_as_written_beside_it(path: Path):
    document = Document(url="https://example.org/feeds/it", body=path.read_bytes())
    shown = as_json(*seen(document, source_id="it"))
    expected = json.loads(path.with_name(f"{path.name}.expected.json").read_text("utf-8"))
    assert shown == expected
