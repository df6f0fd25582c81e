"""What the documents say is so."""

import re
from dataclasses import fields
from pathlib import Path

from feedmirror import config
from feedmirror.config import Settings

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def test_the_table_of_settings_has_every_variable_and_no_other() -> None:
    table = README.split("## Settings")[1].split("\n## ")[0]
    told = {name for row in re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert told == {variable for variable, _ in config._VARIABLES.values()}


def test_the_table_of_settings_tells_the_defaults() -> None:
    defaults = {field.name: field.default for field in fields(Settings)}
    table = README.split("## Settings")[1]
    assert f"`{defaults['host']}`, `{defaults['port']}`" in table
    told = ("fetch_deadline_s", "fetch_max_bytes", "first_pages", "lease_s", "threads", "processes")
    datasets = ("datasets_deadline_s", "datasets_max_bytes", "datasets_fresh_s", "jobs_kept_s")
    for name in (*told, *datasets, "group_in_flight", "group_per_minute"):
        variable = config._VARIABLES[name][0]
        unit = "s" if name.endswith("_s") else ""
        assert f"| `{variable}` | `{defaults[name]}{unit}` |" in table


def test_every_make_target_that_the_documents_name_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    documents = README + (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    named = set(re.findall(r"\bmake ([a-z]+)\b", documents))
    assert {"run", "test", "demo", "db"} <= named
    assert not {target for target in named if not re.search(rf"^{target}:", makefile, re.MULTILINE)}


def test_every_local_link_leads_somewhere() -> None:
    for document in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text("utf-8")):
            assert "://" in target or (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_decision_is_listed() -> None:
    listed = set(re.findall(r"\((\d{4}-[a-z0-9-]+\.md)\)", (ROOT / "docs/decisions/README.md").read_text("utf-8")))
    assert listed == {path.name for path in (ROOT / "docs/decisions").glob("[0-9]*.md")}


def test_the_locks_pin_everything_with_hashes_and_name_no_host() -> None:
    for lock in (ROOT / "requirements").glob("*.txt"):
        text = lock.read_text("utf-8")
        pinned = re.findall(r"^\S+==\S+.*\\$", text, re.MULTILINE)
        assert len(pinned) > 20
        assert len(pinned) == len(re.findall(r"^[a-z0-9].*==", text, re.MULTILINE))
        assert "://" not in text
        assert "index" not in text
