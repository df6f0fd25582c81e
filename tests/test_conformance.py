"""Other projects' feeds, where they are at hand."""

import pytest

from tests.conformance.__main__ import CORPORA, GOAL, agreement, run


@pytest.mark.corpora
@pytest.mark.skipif(not CORPORA.is_dir(), reason="the corpora are no part of this project")
def test_we_agree_with_other_projects_and_crash_on_none_of_their_feeds():
    scores = run(CORPORA)
    assert [line for score in scores.values() for line in score.crashed] == []
    assert agreement(scores) >= GOAL
