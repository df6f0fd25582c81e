"""Invented programming questions, for trying the mirror without a network.

Every word is made up here, people included. Given the same random generator they come out the same. It knows no
HTTP, no XML and no clock.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from random import Random
from typing import NamedTuple


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What somebody who does not exist would like to know. `summary` is HTML."""

    title: str
    tags: tuple[str, ...]
    author: str
    author_number: int
    summary: str

    @property
    def slug(self) -> str:
        """The title as it stands in a link."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")[:80].rstrip("-")


def questions(random: Random) -> Iterator[Question]:
    """Ask for ever; each template has its turn before any comes again, so that neighbours differ."""
    while True:
        for template in random.sample(_TEMPLATES, len(_TEMPLATES)):
            yield _asked(template, random)


class _Template(NamedTuple):
    """A question with gaps: `{thing}` is filled from _GAPS, with the same word wherever it stands."""

    title: str
    tags: str
    text: str
    code: str = ""
    points: tuple[str, ...] = ()


def _asked(template: _Template, random: Random) -> Question:
    words = {gap: random.choice(options) for gap, options in _GAPS.items()}
    title = _filled(template.title, words)
    tags = dict.fromkeys([*template.tags.split(), *random.sample(_MORE_TAGS, random.choice((0, 0, 0, 1)))])
    return Question(
        title=title[0].upper() + title[1:],
        tags=tuple(tags),
        author=_author(random),
        author_number=random.randrange(100_000, 30_000_000),
        summary=_filled("\n".join(_blocks(template, random)), words),
    )


def _filled(text: str, words: dict[str, str]) -> str:
    """Fill the gaps; other braces are code, and stay."""
    return re.sub(r"\{([a-z]+)\}", lambda gap: words.get(gap[1], gap[0]), text)


def _blocks(question: _Template, random: Random) -> Iterator[str]:
    yield _paragraph(question.text)
    if question.code:
        yield f"<pre><code>{escape(question.code, quote=False)}\n</code></pre>"
    if question.points:
        yield "<ul>\n" + "\n".join(f"<li>{_with_code(point)}</li>" for point in question.points) + "\n</ul>"
    yield _paragraph(random.choice(_CLOSINGS))


def _paragraph(text: str) -> str:
    return f"<p>{_with_code(text)}</p>"


def _with_code(text: str) -> str:
    """Escape a text; what stands between backticks becomes code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))


def _author(random: Random) -> str:
    first, second = random.choice(_FIRST), random.choice(_SECOND)
    return random.choice(
        (
            f"{first} {second}",
            f"{first}{second}",
            f"{first.lower()}_{second.lower()}",
            f"{second}{random.randrange(9, 99)}",
        )
    )


_FIRST = "Amber Brisk Clever Dusty Eager Fuzzy Gentle Humble Indigo Jolly Keen Lunar Mellow Nimble Orbital".split() + (
    "Patient Quiet Rusty Silent Teal Umber Velvet Wandering Yellow Zesty Copper Misty Paper Salty Sunny".split()
)
_SECOND = "Badger Comet Dumpling Ember Falcon Gecko Heron Iguana Juniper Kettle Lantern Marmot Noodle Otter".split() + (
    "Pebble Quokka Raven Sparrow Teapot Umbrella Vole Walrus Yak Zeppelin Biscuit Cactus Magpie Turnip".split()
)

_MORE_TAGS = "performance unit-testing debugging refactoring".split()

_GAPS: dict[str, tuple[str, ...]] = {
    "thing": (
        *("invoice", "booking", "parcel", "recipe", "playlist", "ticket", "sensor reading", "order", "report"),
        *("timetable", "voucher", "crossword", "weather station", "timesheet", "lottery draw", "floor plan"),
    ),
    "kind": ("Invoice", "Booking", "Parcel", "Recipe", "Playlist", "Ticket", "Reading", "Order", "Report"),
    "place": ("the staging server", "a Raspberry Pi", "CI", "a colleague's laptop", "an ARM container", "an old NAS"),
    "count": ("200", "5,000", "40,000", "a million", "about 3 million", "a few hundred"),
    "size": ("4 GB", "12 GB", "700 MB", "60 MB", "250 GB"),
    "delay": ("exactly 30 seconds", "two minutes", "400 ms", "an hour or so", "a second and a half", "90 seconds"),
    "field": (
        *("created_at", "due_date", "weight", "status", "owner_id", "amount", "label", "priority", "colour"),
        *("postcode", "quantity", "checksum", "latitude"),
    ),
    "widget": (
        *("sidebar", "date picker", "modal dialog", "data grid", "search box", "progress bar", "tab strip"),
        *("colour picker", "tree view", "toolbar", "map", "command palette"),
    ),
    "when": (
        *("after an update", "only on Mondays", "under load", "on the second run", "after a restart", "after sleep"),
        *("behind a VPN", "at midnight", "with more than one core", "in a fresh checkout"),
    ),
    "file": ("settings.toml", "fixtures.json", "routes.yaml", "export.csv", "Makefile", "notes.md", "strings.xml"),
    "old": ("3.9", "3.10", "3.8"),
    "new": ("3.11", "3.12", "3.13", "3.14"),
}

_CLOSINGS = (
    "What am I missing?",
    "Is there an idiomatic way to do this?",
    "I would rather not add another dependency for it. Any pointer is welcome.",
    "It works, but it feels wrong. How would you write it?",
    "I have read the manual page twice and am none the wiser.",
    "Is this a known limitation, or am I holding it wrong?",
    "This is the smallest example that shows it; the real one has the same problem.",
    "Any idea where to look next?",
)

_TEMPLATES = (
    _Template(
        "Why does my generator yield only the first {thing}?",
        "python generator",
        "I read {count} rows and would like to process one {thing} at a time. The loop ends after the first one, "
        "without an error.",
        "def each_row(path):\n    with open(path) as lines:\n"
        "        for line in lines:\n            return line.split(',')",
    ),
    _Template(
        "Pandas: fill missing {field} with the previous value, but only within the same {thing}",
        "python pandas dataframe",
        "My frame has {count} rows. `ffill()` carries values over from one {thing} to the next, which it must not.",
        "df = df.sort_values('time')\ndf['{field}'] = df['{field}'].ffill()",
    ),
    _Template(
        "asyncio task is never awaited {when}",
        "python python-asyncio",
        "On {place} I see `coroutine was never awaited`, on my own machine I do not. The task is made in a callback "
        "and nobody keeps a reference to it.",
        "def on_message(message):\n    asyncio.create_task(store(message))",
    ),
    _Template(
        "Python {new}: type hint for a decorator that keeps the signature of a {thing} handler",
        "python python-typing",
        "Since the move from {old} to {new} the checker reports `Untyped decorator makes function untyped`.",
        "def retried(times: int):\n    def wrap(function):\n        ...\n    return wrap",
    ),
    _Template(
        "CSS grid: {widget} overflows its column instead of shrinking",
        "html css css-grid",
        "The second column is `1fr`, yet a long word in the {widget} pushes it beyond the viewport.",
        ".page {\n  display: grid;\n  grid-template-columns: 16rem 1fr;\n}",
    ),
    _Template(
        "React: {field} is one step behind in the {widget}",
        "javascript reactjs react-hooks",
        "The handler logs the {field} from before the click. The next click shows what the first should have shown.",
        "const [chosen, setChosen] = useState(null);\n\n"
        "function onPick(next) {\n  setChosen(next);\n  console.log(chosen);\n}",
    ),
    _Template(
        "How to abort the pending fetch of a {thing} when the {widget} closes?",
        "javascript fetch-api",
        "Answers arrive {delay} after the {widget} is gone, and then write into an element that is no longer there.",
        "const answer = await fetch(`/api/{field}?id=${id}`);\nelement.textContent = await answer.text();",
    ),
    _Template(
        "TypeScript narrows `{field}` inside `if`, but not after an early return",
        "typescript",
        "The union has three members, of which one has no `{field}`. The compiler insists that it may be undefined.",
        "type Answer = { ok: true; {field}: string } | { ok: false };\n\nfunction show(answer: Answer) {\n"
        "  if (!answer.ok) return;\n  [1].forEach(() => print(answer.{field}));\n}",
    ),
    _Template(
        "PostgreSQL ignores my index on {field} {when}",
        "sql postgresql indexing",
        "The table holds {count} rows, the plan shows a sequential scan. With `enable_seqscan` off the same query is "
        "twenty times as fast.",
        "SELECT * FROM entries\n WHERE lower({field}) = 'open'\n ORDER BY id DESC\n LIMIT 20;",
    ),
    _Template(
        "Select the latest {thing} for each customer, ties included",
        "sql greatest-n-per-group",
        "A customer may have several with the same `{field}`, and I need all of those. What I have tried:",
        points=(
            "`DISTINCT ON`, which drops the ties",
            "a window with `row_number()`, which does too",
            "a correlated subquery: right, and far too slow for {count} rows",
        ),
    ),
    _Template(
        "MongoDB: update a single element of a nested array by its {field}",
        "mongodb aggregation-framework",
        "The positional operator reaches the outer array only. Each document has up to {count} inner elements.",
        'db.entries.updateOne(\n  { "groups.items.{field}": 7 },\n  { $set: { "groups.$.items.$.done": true } }\n)',
    ),
    _Template(
        "Celery: {thing} task with an ETA runs twice {when}",
        "python celery message-queue",
        "It is due in {delay}, and runs once on each of two workers. Acknowledgement is late, the broker was restarted "
        "in between.",
    ),
    _Template(
        "Rust: cannot return a reference to a local `{kind}`",
        "rust lifetime borrow-checker",
        "I would like to look the {thing} up in a cache and load it otherwise, without a clone of each hit.",
        "fn find(&mut self, id: u64) -> &{kind} {\n    if let Some(hit) = self.cache.get(&id) {\n"
        "        return hit;\n    }\n    let loaded = load(id);\n    &loaded\n}",
    ),
    _Template(
        "Go: goroutines leak when the context of a {thing} is cancelled early",
        "go concurrency channel",
        "After {count} requests memory has grown by {size}. A dump shows all of them blocked on the send below.",
        "results := make(chan {kind})\ngo func() {\n\tresults <- compute(ctx)\n}()",
    ),
    _Template(
        "Java streams: collect into a map that keeps the order of {field}",
        "java java-stream collectors",
        "`toMap` gives a `HashMap`, and the page shows each {thing} somewhere else on every start.",
        "Map<String, {kind}> byKey = all.stream()\n    .collect(Collectors.toMap({kind}::key, each -> each));",
    ),
    _Template(
        "Kotlin flow emits the same {thing} again {when}",
        "android kotlin kotlin-flow",
        "The screen collects in `onViewCreated`. {count} entries are inserted twice into the {widget}.",
    ),
    _Template(
        "C++: is it undefined behaviour to keep a `string_view` of a temporary {thing} name?",
        "c++ string-view lifetime",
        "It prints what I expect on {place}, and noise with optimisation. The sanitiser stays quiet in both.",
        'std::string_view name = make_name("{field}") + ".txt";\nstd::cout << name << \'\\n\';',
    ),
    _Template(
        "Segmentation fault in qsort comparator when two {thing}s are equal",
        "c pointers qsort",
        "With {count} elements it is fine, with one more it crashes {when}. The comparator never returns zero.",
        "int compare(const void *a, const void *b) {\n    return *(int *)a < *(int *)b ? -1 : 1;\n}",
    ),
    _Template(
        "Docker build on {place} downloads everything again although only {file} changed",
        "docker dockerfile caching",
        "The image is {size}, and each build takes minutes on {place}. The relevant lines:",
        "COPY . /app\nRUN pip install --requirement requirements.txt",
    ),
    _Template(
        "git: move the last three commits to another branch without touching {file}",
        "git git-rebase cherry-pick",
        "I committed to the wrong branch. `{file}` has local changes that I must not lose.",
        points=(
            "`git stash` is what I would like to avoid",
            "nothing has been pushed yet",
            "one of the three is a merge commit",
        ),
    ),
    _Template(
        "bash: loop over files with spaces in their names and skip {file}",
        "bash shell",
        "The script is for {place}, where names come from users. It breaks at the first blank.",
        'for name in $(ls *.csv); do\n    process "$name"\ndone',
    ),
    _Template(
        "Regex that matches a quoted {field} with escaped quotes inside",
        "regex parsing",
        'For `"a \\"b\\" c", d` I need what is between the outer quotes. Mine stops at the first inner one.',
        '"([^"]*)"',
    ),
    _Template(
        "Kubernetes: {thing} service is restarted after {delay} although it is healthy",
        "kubernetes devops",
        "The probe answers when I ask from within the pod. The limits are {size}, and usage is a tenth of that.",
        "livenessProbe:\n  httpGet:\n    path: /health\n    port: 8080\n  periodSeconds: 5",
    ),
    _Template(
        "Django: annotate each {thing} with the count of related rows & filter on it",
        "python django django-orm",
        "Two annotations at once give a product of both counts. With {count} rows the result is absurd.",
        "{kind}.objects.annotate(\n    notes=Count('note'),\n    files=Count('file'),\n).filter(notes__gt=3)",
    ),
    _Template(
        "Swift: `@Published` {field} does not refresh the {widget}",
        "swift swiftui combine",
        "The object is shared between two views. The first one updates, the other one stays as it was {when}.",
    ),
    _Template(
        "LINQ: group each {thing} by the week of its {field}, weeks without any included",
        "c# linq datetime",
        "Empty weeks are missing from the result, so that the chart has gaps. The rows span four years.",
        "var weeks = all\n    .GroupBy(each => ISOWeek.GetWeekOfYear(each.Date))\n"
        "    .Select(week => (week.Key, week.Count()));",
    ),
    _Template(
        "Numpy broadcasting: subtract each row's mean {field} without a loop",
        "python numpy",
        "The array has shape `(3, n)` with {count} columns. The loop takes {delay}, the obvious expression fails with "
        "`operands could not be broadcast together`.",
        "values - values.mean(axis=1)",
    ),
    _Template(
        "nginx on {place} returns 502 {when}, upstream log is empty",
        "nginx reverse-proxy",
        "It happens once in {count} requests, always {delay} after the last one on that connection.",
        "upstream site {\n    server 127.0.0.1:8080;\n    keepalive 16;\n}",
    ),
)
