"""The loader's cache, valid and damaged."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdi_refreshd.core.formats.ld_so_cache import NEW_ENTRY, NEW_MAGIC, OLD_MAGIC, libraries

X86_64, I386, AARCH64 = 0x0303, 0x0003, 0x0A03


def cache(*entries, old=False):
    """Entries are pairs of flags and path."""
    start = 48 + len(entries) * NEW_ENTRY.size
    table, strings = b"", b""
    for flags, path in entries:
        at = start + len(strings)
        table += NEW_ENTRY.pack(flags, at, at, 0, 0)
        strings += path + b"\0"
    new = NEW_MAGIC + struct.pack("<II", len(entries), len(strings)) + bytes(20) + table + strings
    head = OLD_MAGIC + struct.pack("<I", 1) + bytes(12)
    return (head.ljust(-(-len(head) // 8) * 8, b"\0") if old else b"") + new


LISTED = ((X86_64, b"/usr/lib64/libcuda.so.1"), (I386, b"/usr/lib/libcuda.so.1"), (AARCH64, b"/opt/libcuda.so.1"))
GOOD = cache(*LISTED)


@pytest.mark.parametrize("old", [False, True])
def test_64_bit_libraries_are_listed_in_order(old):
    assert libraries(cache(*LISTED, old=old)) == ("/usr/lib64/libcuda.so.1", "/opt/libcuda.so.1")


def test_32_bit_libraries_are_listed_on_request():
    assert libraries(GOOD, 32) == ("/usr/lib/libcuda.so.1",)


@pytest.mark.parametrize(
    "content", [b"", bytes(4096), b"ld.so-1.7.0\0", GOOD[:40], GOOD[:60], GOOD[:-1], b"#!/bin/sh\n"]
)
def test_a_truncated_or_foreign_file_is_a_value_error(content):
    with pytest.raises(ValueError):
        libraries(content)


@given(st.binary(max_size=200), st.sampled_from([b"", NEW_MAGIC, OLD_MAGIC, GOOD[:50], GOOD[:90]]))
def test_arbitrary_bytes_raise_nothing_but_a_value_error(content, head):
    with contextlib.suppress(ValueError):
        assert all(isinstance(path, str) for path in libraries(head + content))


@given(st.lists(st.tuples(st.integers(20, len(GOOD) - 1), st.integers(0, 255)), max_size=4))
def test_a_damaged_cache_raises_nothing_but_a_value_error(damage):
    content = bytearray(GOOD)
    for place, value in damage:
        content[place] = value
    with contextlib.suppress(ValueError):
        libraries(bytes(content))
