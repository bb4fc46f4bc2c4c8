"""Sonames of files that may be anything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdi_refreshd.core.formats.elf import flaw, image
from tests.machine.elf import PHDR, shared_library

LIBRARY = shared_library("libmade.so.1")
DYNAMIC_ENTRIES_AT = len(LIBRARY) - 7 * 16


def read(content):
    return image(lambda offset, size: content[offset : offset + size])


def of(content):
    found = read(content)
    return found.soname if found else None


def flaw_of(content, machine="x86_64"):
    return flaw(read(content), len(content), machine)


X86 = shared_library("libmade.so.1", "x86_64")


def test_a_library_has_its_soname_read():
    assert of(LIBRARY) == "libmade.so.1"


def test_a_file_that_is_not_elf_has_no_soname():
    assert of(b"") is None
    assert of(b"GROUP ( libc.so.6 )") is None


@pytest.mark.parametrize("size", [4, 5, 6, 20, 57, 64, 120, len(LIBRARY) - 120])
def test_a_truncated_library_has_no_soname(size):
    assert of(LIBRARY[:size]) is None


@pytest.mark.parametrize("name", ["../libx.so", "a/b.so.1", ".", "..", "lib\n.so"])
def test_a_soname_that_is_not_a_file_name_is_ignored(name):
    assert of(shared_library(name)) is None


def test_a_library_with_two_sonames_has_none():
    entry = LIBRARY[DYNAMIC_ENTRIES_AT : DYNAMIC_ENTRIES_AT + 16]
    second = DYNAMIC_ENTRIES_AT + 16  # DT_HASH, which is not needed here
    assert of(LIBRARY[:second] + entry + LIBRARY[second + 16 :]) is None


def test_a_library_without_a_dynamic_segment_has_the_empty_soname():
    start = 64 + PHDR.size
    assert of(LIBRARY[:start] + b"\7\0\0\0" + LIBRARY[start + 4 :]) == ""


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_nothing(content):
    of(content)
    of(b"\x7fELF" + content)


@given(st.lists(st.tuples(st.integers(0, len(LIBRARY) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_damaged_library_raises_nothing(damage):
    content = bytearray(LIBRARY)
    for place, value in damage:
        content[place] = value
    name = of(bytes(content))
    assert name is None or "/" not in name


@given(st.binary(min_size=64, max_size=128), st.booleans(), st.booleans())
def test_an_arbitrary_header_raises_nothing(content, wide, little):
    of(b"\x7fELF" + bytes([1 + wide, 2 - little]) + content)


def test_a_complete_library_for_this_architecture_has_no_flaw():
    assert flaw_of(X86) == ""
    assert flaw_of(shared_library("libmade.so.1", "aarch64"), "aarch64") == ""


def test_an_empty_file_is_called_empty():
    assert flaw_of(b"") == "is empty"


@pytest.mark.parametrize("size", [64, 100, 200, len(X86) - 1])
def test_a_library_that_is_shorter_than_its_headers_say_is_cut_short(size):
    assert flaw_of(X86[:size]).startswith(f"is cut short: {size} of ")


def test_a_library_that_lacks_its_section_headers_is_cut_short():
    """They are at the end of a file, so that they are incomplete if almost any byte is missing."""
    sections_at, entry, count = len(X86), 64, 3
    changed = bytearray(X86)
    changed[40:48] = sections_at.to_bytes(8, "little")
    changed[58:62] = entry.to_bytes(2, "little") + count.to_bytes(2, "little")
    assert flaw_of(bytes(changed)) == f"is cut short: {len(X86)} of {len(X86) + entry * count} bytes"
    assert flaw_of(bytes(changed) + bytes(entry * count)) == ""


def test_text_is_not_an_elf_file():
    assert flaw_of(b"GROUP ( libc.so.6 )") == "is not an ELF file"


def test_a_library_for_another_architecture_is_recognised_by_its_header():
    assert flaw_of(X86, "aarch64") == "is a 64-bit library for another processor than aarch64"
    assert flaw_of(shared_library("libmade.so.1", "i386")) == "is a 32-bit library for another processor than x86_64"


def test_an_unknown_processor_is_not_a_flaw():
    assert flaw_of(X86, "riscv64") == ""


def test_a_32_bit_library_has_its_soname_read():
    assert read(shared_library("libmade.so.1", "i386"))[:2] == (32, 3)
    assert of(shared_library("libmade.so.1", "i386")) == "libmade.so.1"
