"""Other projects' feeds, read as `python -m feedmirror parse` reads them, against what their authors expect.

    python -m tests.conformance [CORPORA_DIR]

A corpus is a folder of other projects' test data, which are no part of this project. `feedparser`, `gofeed` and
`yarr` read the expectations of those projects in their own notations; every other file is read for what must hold
for any file: no crash, no hang. A *claim* is one expectation about something that the mirror keeps; a case agrees if
all its claims hold. Cases where the mirror differs on purpose are in `differences.txt`, each with its reason.
"""
