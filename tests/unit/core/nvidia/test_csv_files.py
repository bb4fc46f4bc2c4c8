import pytest

from cdi_refreshd.core.nvidia import csv_files


def test_each_kind_of_line_is_kept_once_and_in_order():
    found = csv_files.parse(["dev, /dev/nvmap\nlib ,/usr/lib/a.so\n", "dev,/dev/nvhost-*\ndev,/dev/nvmap\n"])
    assert found == csv_files.Entries(dev=("/dev/nvmap", "/dev/nvhost-*"), lib=("/usr/lib/a.so",))


def test_other_lines_are_comments():
    assert csv_files.parse(["# dev,/x\nDEV,/x\nfoo,/x\ndev\ndev,\n,/x\n\n"]) == csv_files.Entries()


def test_a_path_with_a_comma_is_not_split():
    assert csv_files.parse(["sym,/a,b"]).sym == ("/a,b",)


def test_a_relative_path_starts_at_the_root():
    assert csv_files.parse(["dir,etc/x"]).dir == ("/etc/x",)


@pytest.mark.parametrize(
    ("pattern", "hit"),
    [
        ("/usr/lib/libnvdla.so", True),
        ("/usr/lib/libnv*", True),
        ("/usr/*", False),
        ("**/libnvdla.so", True),
        ("**/*.so", True),
        ("**/lib", False),
        ("libnvdla.so", False),
    ],
)
def test_a_pattern_matches_a_whole_path_or_with_leading_stars_a_file_name(pattern, hit):
    assert csv_files.ignored("/usr/lib/libnvdla.so", [pattern]) is hit
