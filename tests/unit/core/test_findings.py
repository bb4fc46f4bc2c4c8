import pytest

from cdi_refreshd.core.findings import Finding, alike, reported, together

LOST = [Finding("degraded", f"GPU {number}", "is lost", "see dmesg", (str(number),)) for number in (1, 2, 10)]
OTHER = Finding("degraded", "GPU 3", "has no name", "see dmesg", ("3",))


def test_the_same_fact_about_several_places_is_one_line():
    assert together([*LOST, OTHER]) == "GPU 1, GPU 2, GPU 10: is lost; see dmesg"
    assert together([OTHER, *LOST]) == "GPU 3: has no name; see dmesg"


@pytest.mark.parametrize(("findings", "expected"), [([*LOST, OTHER], LOST), ([OTHER, *LOST], [OTHER])])
def test_a_line_is_stored_with_the_findings_that_it_reports(findings, expected):
    assert alike(findings) == tuple(expected)


def test_every_form_of_the_finding_about_a_left_out_device_says_that_it_is_left_out():
    assert str(LOST[0]) == "GPU 1: is lost, so it is left out; see dmesg"
    assert reported(LOST[0])["fact"] == "is lost, so it is left out"
    assert str(LOST[0]._replace(left_out=())) == "GPU 1: is lost; see dmesg"


def test_a_finding_in_a_document_has_severity_place_fact_and_hint():
    assert list(reported(LOST[0])) == ["severity", "place", "fact", "hint"]
