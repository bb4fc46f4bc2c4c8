import fnmatch

from hypothesis import example, given
from hypothesis import strategies as st

from cdi_refreshd.core.formats.globs import matches, matching

WORDS = st.text("ab.*", max_size=6)


@given(st.text("ab.", max_size=6), WORDS)
@example("aba", "ab*ba")
@example("ab", "*a*b*")
def test_stars_match_what_fnmatch_matches(name, pattern):
    assert matches(name, pattern) == fnmatch.fnmatchcase(name, pattern)


@given(st.sets(st.text("ab.", max_size=4)), st.lists(WORDS, max_size=3))
def test_sorted_names_are_found_as_one_by_one(names, patterns):
    names = sorted(names)
    wanted = [name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]
    assert matching(names, tuple(patterns)) == wanted
