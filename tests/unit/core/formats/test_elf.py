"""Sonames out of files that may be anything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdi_refreshd.core.formats.elf import soname
from tests.machine.elf import PHDR, shared_library

LIBRARY = shared_library("libmade.so.1")
DYNAMIC_ENTRIES_AT = len(LIBRARY) - 7 * 16


def of(content):
    return soname(lambda offset, size: content[offset : offset + size])


def test_a_library_tells_its_soname():
    assert of(LIBRARY) == "libmade.so.1"


def test_what_is_no_elf_file_has_none():
    assert of(b"") is None
    assert of(b"GROUP ( libc.so.6 )") is None


@pytest.mark.parametrize("size", [4, 5, 6, 20, 57, 64, 120, len(LIBRARY) - 120])
def test_half_a_library_has_none(size):
    assert of(LIBRARY[:size]) is None


@pytest.mark.parametrize("name", ["../libx.so", "a/b.so.1", ".", "..", "lib\n.so"])
def test_a_soname_that_is_no_file_name_is_none(name):
    assert of(shared_library(name)) is None


def test_a_library_with_two_sonames_has_none():
    entry = LIBRARY[DYNAMIC_ENTRIES_AT : DYNAMIC_ENTRIES_AT + 16]
    second = DYNAMIC_ENTRIES_AT + 16  # DT_HASH, which nobody needs here
    assert of(LIBRARY[:second] + entry + LIBRARY[second + 16 :]) is None


def test_a_library_without_a_dynamic_segment_has_the_empty_soname():
    start = 64 + PHDR.size
    assert of(LIBRARY[:start] + b"\7\0\0\0" + LIBRARY[start + 4 :]) == ""


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(content):
    of(content)
    of(b"\x7fELF" + content)


@given(st.lists(st.tuples(st.integers(0, len(LIBRARY) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_no_damage_to_a_library_makes_it_raise(damage):
    content = bytearray(LIBRARY)
    for place, value in damage:
        content[place] = value
    name = of(bytes(content))
    assert name is None or "/" not in name


@given(st.binary(min_size=64, max_size=128), st.booleans(), st.booleans())
def test_no_header_makes_it_raise(content, wide, little):
    of(b"\x7fELF" + bytes([1 + wide, 2 - little]) + content)
