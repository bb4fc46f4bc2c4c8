import pytest

from cdi_refreshd.core.findings import LEFT_OUT, Finding, alike, reported, together

LOST = [
    Finding("degraded", f"GPU {number}", f"is lost{LEFT_OUT}", "see dmesg", (str(number),)) for number in (1, 2, 10)
]
OTHER = Finding("degraded", "GPU 3", f"has no name{LEFT_OUT}", "see dmesg")


def test_the_same_fact_about_several_places_is_one_line():
    assert together([*LOST, OTHER]) == "GPU 1, GPU 2, GPU 10: is lost; see dmesg"
    assert together([OTHER, *LOST]) == "GPU 3: has no name; see dmesg"


@pytest.mark.parametrize(("findings", "expected"), [([*LOST, OTHER], LOST), ([OTHER, *LOST], [OTHER])])
def test_a_line_comes_with_the_findings_that_it_reports(findings, expected):
    assert alike(findings) == tuple(expected)


def test_documents_have_the_same_keys_of_a_finding_as_before():
    assert list(reported(LOST[0])) == ["severity", "place", "fact", "hint"]
