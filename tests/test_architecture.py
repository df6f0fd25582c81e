"""The house keeps its arrows: imports point down only, and nothing reaches MongoDB before it is used.

errors, models <- config, schedule <- fetch, parse, db, storage (which never import each other) <- poll
<- stack_scrap; the web stands on models, errors, politeness, words and storage, and is imported by site.py alone
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ("site", "stack_scrap", "celeryconfig")

BASE = {"errors", "models"}
# What each part may import of ours, itself apart. A part is a module of `feedmirror`, a package of it, or a script.
ALLOWED: dict[str, set[str]] = {
    "__init__": set(),
    "errors": set(),
    "models": {"errors"},
    "words": set(),
    "preflight": set(),
    "parent": set(),
    "memory": set(),
    "ticks": set(),
    "pool": set(),
    "outages": set(),
    "worker_log": {"outages"},
    "signals": set(),
    "data_lock": set(),
    "config": {*BASE, "data_lock"},
    "schedule": BASE,
    "politeness": BASE,
    "identity": BASE,
    "table": set(),
    "checks": {"config"},
    "toml_slips": set(),
    "data_dir": {*BASE, "data_lock", "process_identity"},
    "disk": {"config", "data_dir"},
    "part": set(),
    "supervisor": {"parent", "part", "signals"},
    "sources_file": {*BASE, "checks", "config", "poll", "toml_slips"},
    "recognition": {*BASE, "sources_file"},
    "fetch": {*BASE, "config", "__init__"},
    "parse": {*BASE, "config"},
    "db": {*BASE, "config"},
    "storage": {*BASE, "config", "politeness", "process_identity", "table", "words"},
    "mongod": {*BASE, "config", "data_dir", "disk", "parent", "preflight"},
    "mongodb_part": {*BASE, "config", "data_dir", "data_lock", "disk", "mongod", "part"},
    "system": {*BASE, "config", "mongodb_part", "parent", "part", "preflight", "supervisor"},
    "sources_watch": {*BASE, "config", "recognition", "sources_file", "storage"},
    "trial": {*BASE, "config", "fetch", "identity", "parse"},
    "crew": BASE,
    "poll": {
        *BASE,
        *("__init__", "checks", "config", "crew", "politeness", "schedule", "identity", "fetch", "parse", "storage"),
        "table",
    },
    "web": {*BASE, "__init__", "outages", "politeness", "storage", "table", "words"},
    "process_identity": set(),
    "heartbeat": {*BASE, "process_identity", "storage"},
    "polling_process": {*BASE, "config", "crew", "heartbeat", "poll", "sources_watch", "storage", "work"},
    "worker_steps": set(),
    "by_hand": {
        *BASE,
        *(
            "checks",
            "config",
            "data_dir",
            "data_lock",
            "db",
            "heartbeat",
            "mongod",
            "poll",
            "sources_file",
            "sources_watch",
            "storage",
            "trial",
        ),
    },
    "command_line": {"errors"},
    "broker": {"config", "outages"},
    "data_check": {*BASE, "config", "db", "storage"},
    "schema_gate": {*BASE, "command_line", "config", "data_check"},
    "mongodb_broker": set(),
    "work": {*BASE, "config", "fetch", "poll", "politeness", "storage", "table"},
    "celeryconfig": {"ticks"},
    "stack_scrap": {
        *BASE,
        *(
            "broker",
            "by_hand",
            "config",
            "celeryconfig",
            "command_line",
            "db",
            "memory",
            "parent",
            "polling_process",
            "schema_gate",
            "storage",
            "worker_log",
            "worker_steps",
        ),
    },
    "site": {*BASE, "command_line", "config", "data_check", "web"},
}
# Alone among the web's modules they know settings, or that they are processes which listen.
ALLOWED_TO_MODULES = {
    "feedmirror.web.assembled": {"broker", "config", "db", "disk"},
    "feedmirror.web.server": {"memory", "preflight"},
    "feedmirror.web.processes": {"command_line", "config", "data_check", "memory", "parent", "preflight"},
}

# Programs of their own, which use whatever they show or try out; nothing of the house may stand on them.
TOOLS = {"commands", "__main__", "demo"}

# Libraries that belong to one side of the house.
FORBIDDEN_LIBRARIES = {
    "stack_scrap": {"cherrypy", "cheroot", "jinja2", "matplotlib", "xlsxwriter"},
    "poll": {"celery", "kombu", "requests", "urllib3", "lxml", "matplotlib", "xlsxwriter"},
    "work": {"celery", "cherrypy", "matplotlib", "xlsxwriter"},
    "web": {"celery", "requests", "lxml", "nh3"},
    "fetch": {"pymongo", "celery", "lxml", "cherrypy"},
    "parse": {"pymongo", "celery", "requests", "cherrypy"},
    "storage": {"celery", "requests", "lxml", "cherrypy", "matplotlib", "xlsxwriter"},
    "db": {"celery", "requests", "lxml", "cherrypy"},
    "models": {"pymongo", "bson", "requests", "lxml", "celery", "cherrypy"},
    "table": {"pymongo", "bson", "requests", "lxml", "celery", "cherrypy", "xlsxwriter", "time", "random"},
    "schedule": {"pymongo", "time", "random"},
    "politeness": {"pymongo", "time", "random"},
}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@cache
def modules() -> dict[str, Path]:
    """Every module of ours by its dotted name; a package's is that of its `__init__`."""
    package = {name_of(path): path for path in sorted((ROOT / "feedmirror").rglob("*.py"))}
    return package | {name: ROOT / f"{name}.py" for name in SCRIPTS}


def part_of(module: str) -> str:
    """`feedmirror.web.app` and `feedmirror.web` are of the part `web`."""
    names = module.split(".")
    if names[0] != "feedmirror":
        return names[0]
    return names[1] if len(names) > 1 else "__init__"


@cache
def imports_of(module: str) -> frozenset[str]:
    """The dotted names that a module imports anywhere in it, within functions and for type checkers as well."""
    return frozenset(_imported(ast.walk(ast.parse(modules()[module].read_text("utf-8"))), module))


def _imported(nodes: Iterator[ast.AST], module: str) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative imports hide where they point"
            # `from feedmirror import mongod` imports the module, `from feedmirror import __version__` a name
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in modules() or f"{full}.__init__" in modules() else str(node.module)


def ours(module: str) -> set[str]:
    return {name for name in imports_of(module) if name.split(".")[0] in ("feedmirror", "stack_scrap", "celeryconfig")}


HOUSE = sorted(name for name in modules() if part_of(name) not in TOOLS)


@pytest.mark.parametrize("module", HOUSE)
def test_imports_point_down_only(module: str) -> None:
    part = part_of(module)
    assert part in ALLOWED, f"{part} is new: say in this test what it stands on"
    allowed = {part, *ALLOWED[part], *ALLOWED_TO_MODULES.get(module, ())}
    assert {name for name in ours(module) if part_of(name) not in allowed} == set()


def test_the_arrows_have_no_circle() -> None:
    above: dict[str, set[str]] = {part: stands_on - {part} for part, stands_on in ALLOWED.items()}
    while above:
        free = {part for part, stands_on in above.items() if not stands_on & above.keys()}
        assert free, f"in a circle: {sorted(above)}"
        above = {part: stands_on for part, stands_on in above.items() if part not in free}


def test_what_is_allowed_is_what_there_is() -> None:
    """A part that is gone must not go on allowing something."""
    assert set(ALLOWED) - {part_of(name) for name in HOUSE} == set()


def test_the_web_is_imported_by_the_site_alone() -> None:
    users = {name for name in HOUSE if part_of(name) != "web" and any(part_of(used) == "web" for used in ours(name))}
    assert users == {"site"}


def test_nothing_stands_on_the_tools() -> None:
    users = {name for name in HOUSE if any(part_of(used) in TOOLS for used in ours(name))}
    assert users == set()


@pytest.mark.parametrize("part", sorted(FORBIDDEN_LIBRARIES))
def test_libraries_stay_on_their_side_of_the_house(part: str) -> None:
    used = {name.split(".")[0] for module in HOUSE if part_of(module) == part for name in imports_of(module)}
    assert used & FORBIDDEN_LIBRARIES[part] == set()


@pytest.mark.parametrize("module", sorted(modules()))
def test_no_module_makes_a_mongodb_client_when_it_is_imported(module: str) -> None:
    tree = ast.parse(modules()[module].read_text("utf-8"))
    calls = [node for node in _run_at_import(tree.body) if isinstance(node, ast.Call)]
    assert [node.lineno for node in calls if "MongoClient" in ast.unparse(node.func)] == []


def _run_at_import(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """Every node that runs when the module is imported: all but the bodies of functions."""
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += [*node.decorator_list, *node.args.defaults, *(one for one in node.args.kw_defaults if one)]
        elif not isinstance(node, ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def test_site_imports_nothing_of_ours_until_it_is_run() -> None:
    # its name is one of the standard library's: whoever comes by it at import time must find nothing heavy
    tree = ast.parse((ROOT / "site.py").read_text("utf-8"))
    at_import = set(_imported(_run_at_import(tree.body), "site"))
    assert {name for name in at_import if part_of(name) in ALLOWED or name.startswith("feedmirror")} == set()
    assert at_import <= {"sys", "signal"}


@pytest.mark.parametrize(
    ("imported", "absent"),
    [
        ("stack_scrap", ["cherrypy", "cheroot", "jinja2", "matplotlib", "xlsxwriter"]),
        (
            "feedmirror.web.app",
            ["celery", "kombu", "requests", "lxml", "matplotlib", "feedmirror.poll", "feedmirror.storage"],
        ),
        ("feedmirror.preflight", ["pymongo", "feedmirror.config"]),
    ],
)
def test_a_process_loads_only_its_own_side(imported: str, absent: list[str]) -> None:
    """What the arrows promise, seen in a process: libraries import libraries."""
    script = f"import sys, {imported}; print([name for name in {absent!r} if name in sys.modules])"
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout.strip() == "[]"


# -- and the walk itself


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import feedmirror.poll", {"feedmirror.poll"}),
        ("from feedmirror import poll", {"feedmirror.poll"}),
        ("from feedmirror import storage", {"feedmirror.storage"}),
        ("from feedmirror import __version__", {"feedmirror"}),
        ("from feedmirror.storage.sources import Claim", {"feedmirror.storage.sources"}),
        ("def f():\n    from feedmirror.poll import Poller", {"feedmirror.poll"}),
        ("if TYPE_CHECKING:\n    import celery.app", {"celery.app"}),
    ],
)
def test_the_walk_finds_every_way_to_import(text: str, expected: set[str]) -> None:
    assert set(_imported(ast.walk(ast.parse(text)), "here")) == expected


def test_the_walk_knows_what_runs_at_import() -> None:
    tree = ast.parse(
        "a()\ndef f(x=b()):\n    c()\nclass K:\n    d()\n    def m(self):\n        e()\n"
        "if True:\n    g()\nh = lambda: i()"
    )
    calls = {ast.unparse(node.func) for node in _run_at_import(tree.body) if isinstance(node, ast.Call)}
    assert calls == {"a", "b", "d", "g"}


def test_setup_cfg_names_every_package() -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    found = {path.parent for path in (ROOT / "feedmirror").rglob("__init__.py")}
    assert set(setup["options"]["packages"].split()) == {".".join(path.relative_to(ROOT).parts) for path in found}
