import pytest

from cdi_refreshd.core.cdi.names import QualifiedName, annotation_key_problem, device_problem, qualified, split_kind
from cdi_refreshd.core.findings import Fault


def test_a_qualified_name_splits_at_the_first_equals_sign_and_the_first_slash():
    assert qualified("nvidia.com/gpu=0:1") == QualifiedName("nvidia.com", "gpu", "0:1")
    assert str(qualified("nvidia.com/gpu=all")) == "nvidia.com/gpu=all"
    assert split_kind("a/b/c") == ("a", "b/c")


UNQUALIFIED = [
    "",
    "/dev/nvidia0",
    "0",
    "gpu=0",
    "/gpu=0",
    "ab/=0",
    "ab/cd=",
    "ab/cd",
    "a/cd=0",
    "ab/cd=x=y",
    "ab/cd/e=0",
]


@pytest.mark.parametrize("text", UNQUALIFIED)
def test_a_text_that_is_not_a_qualified_name_is_refused(text):
    with pytest.raises(Fault):
        qualified(text)


@pytest.mark.parametrize("name", ["0", "a", "0:0", "GPU-1234", "a.b_c-d"])
def test_device_names_may_begin_with_a_digit_and_hold_a_colon(name):
    assert device_problem(name) == ""


@pytest.mark.parametrize(
    ("key", "fine"),
    [("a", True), ("a" * 63, True), ("a" * 64, False), ("example.org/a_b", True), ("Example.ORG/a", True), ("", False),
     ("/a", False), ("a/", False), ("a/b/c", False), ("***", False), ("-a", False), ("a..b/c", False),
     ("d." * 130 + "d/a", False)],
)  # fmt: skip
def test_annotation_keys_follow_kubernetes(key, fine):
    assert (annotation_key_problem(key) == "") == fine
