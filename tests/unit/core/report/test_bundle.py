"""Names that identify a reporter's machine are replaced, each by the same word everywhere."""

from typing import NamedTuple

import pytest

from cdi_refreshd.core.report.bundle import named, without_private

ONE, TWO = "b0000000-aaaa-4aaa-8aaa-000000000001", "a0000000-aaaa-4aaa-8aaa-000000000002"
ZEROTH, FIRST = "00000000-0000-4000-8000-000000000000", "00000000-0000-4000-8000-000000000001"


class Inner(NamedTuple):
    text: str = "x"


class Outer(NamedTuple):
    inner: tuple[Inner, ...] = (Inner(),)
    number: int = 1


def test_a_record_becomes_an_object_with_the_names_of_its_fields():
    assert named(Outer()) == {"inner": [{"text": "x"}], "number": 1}


def test_uuids_keep_their_order_and_are_the_same_everywhere():
    document = {f"GPU-{ONE}": [f"MIG-{TWO}", f"see GPU-{ONE}/1/0"], "b": 1, "c": None}
    assert without_private(document, []) == {
        f"GPU-{FIRST}": [f"MIG-{ZEROTH}", f"see GPU-{FIRST}/1/0"],
        "b": 1,
        "c": None,
    }


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ("gpu01.example.org: no", "host: no"),
        ("on gpu01 alone", "on host alone"),
        ("/etc/cdi/gpu01.yaml", "/etc/cdi/host.yaml"),
        ("GPU01", "host"),
        ("gpu010 and my-gpu01", "gpu010 and my-gpu01"),
        ("/home/alice/x.csv, /home/bob", "/home/user/x.csv, /home/user"),
    ],
)
def test_names_of_the_host_and_of_homes_are_replaced_only_as_whole_words(text, reported):
    assert without_private([text], ["gpu01.example.org"]) == [reported]


@pytest.mark.parametrize("name", ["nvidia", "localhost", ""])
def test_a_host_name_that_is_a_word_of_every_report_stays(name):
    assert without_private(["nvidia.com/gpu at localhost"], [name]) == ["nvidia.com/gpu at localhost"]
