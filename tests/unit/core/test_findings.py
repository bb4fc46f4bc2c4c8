import pytest

from cdi_refreshd.core.findings import LEFT_OUT, Finding, is_said, together

LOST = [Finding("degraded", f"GPU {number}", f"is lost{LEFT_OUT}", "see dmesg") for number in (1, 2, 10)]
OTHER = Finding("degraded", "GPU 3", f"has no name{LEFT_OUT}", "see dmesg")


def test_what_says_the_same_of_several_is_one_line():
    assert together([*LOST, OTHER]) == "GPU 1, GPU 2, GPU 10: is lost; see dmesg"
    assert together([OTHER, *LOST]) == "GPU 3: has no name; see dmesg"


@pytest.mark.parametrize("finding", LOST)
def test_each_that_is_together_is_said(finding):
    assert is_said(finding, f"failed: {together(LOST)}")
    assert is_said(finding, f"degraded: 7 GPUs; {finding}")


def test_another_place_or_another_fact_is_not_said():
    assert not is_said(OTHER, together([*LOST, OTHER]))
    assert not is_said(LOST[0], f"degraded: 7 GPUs; {LOST[2]}")
    assert not is_said(OTHER._replace(place="GPU 1"), together(LOST))
