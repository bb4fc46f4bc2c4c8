import fnmatch

from hypothesis import example, given
from hypothesis import strategies as st

from cdi_refreshd.core.formats.globs import matches, matching

WORDS = st.text("ab.*", max_size=6)


@given(st.text("ab.", max_size=6), WORDS)
@example("aba", "ab*ba")
@example("ab", "*a*b*")
def test_a_pattern_with_stars_matches_the_names_that_fnmatch_matches(name, pattern):
    assert matches(name, pattern) == fnmatch.fnmatchcase(name, pattern)


@given(st.sets(st.text("ab.", max_size=4)), st.lists(WORDS, max_size=3))
def test_a_search_in_sorted_names_finds_the_names_that_fnmatch_finds(names, patterns):
    names = sorted(names)
    wanted = [name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]
    assert matching(names, tuple(patterns)) == wanted
