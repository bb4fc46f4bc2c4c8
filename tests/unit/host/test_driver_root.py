"""Files below a driver root, as a process with that root as / sees them."""

import os

import pytest

from cdi_refreshd.host.driver_root import Tree
from tests.machine.elf import shared_library


@pytest.fixture
def root(tmp_path):
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/real").write_text("#!/bin/sh\n")
    (tmp_path / "usr/bin/real").chmod(0o755)
    return tmp_path


def link(root, path, target):
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)
    return str(place)


@pytest.mark.parametrize(
    ("target", "real"),
    [
        ("real", "usr/bin/real"),
        ("/usr/bin/real", "usr/bin/real"),
        ("../../usr/bin/real", "usr/bin/real"),
        ("../../../../../../../../usr/bin/real", "usr/bin/real"),
        ("./real", "usr/bin/real"),
        ("missing", ""),
        ("/usr/bin/missing", ""),
        ("a", ""),
        ("a" * 255, ""),
    ],
)
def test_a_link_is_followed_inside_the_root(root, target, real):
    path = link(root, "usr/bin/a", target)
    assert Tree(str(root)).resolve(path) == (str(root / real) if real else "")


def test_a_link_that_already_names_the_root_is_followed(root):
    path = link(root, "usr/bin/a", root / "usr/bin/real")
    assert Tree(str(root)).resolve(path) == str(root / "usr/bin/real")


def test_a_chain_of_links_through_directories_is_followed(root):
    link(root, "lib", "/usr/lib")
    link(root, "usr/lib", "bin")
    link(root, "etc/alternatives/a", "/lib/real")
    assert Tree(str(root)).resolve(link(root, "usr/a", "/etc/alternatives/a")) == str(root / "usr/bin/real")


def test_circular_links_lead_nowhere(root):
    link(root, "usr/b", "c")
    tree = Tree(str(root))
    assert tree.resolve(link(root, "usr/c", "b")) == ""
    assert not tree.is_file(str(root / "usr/c"))


def test_a_name_outside_the_root_is_followed_from_the_hosts_root(root, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "file").write_text("")
    assert Tree(str(root)).resolve(link(outside, "a", outside / "file")) == str(outside / "file")


def test_a_root_with_the_same_prefix_is_another_root(root):
    beside = root.parent / f"{root.name}x"
    beside.mkdir()
    (beside / "file").write_text("")
    assert Tree(str(root)).resolve(str(beside / "file")) == str(beside / "file")


@pytest.mark.parametrize(("target", "leads_astray"), [("real", False), ("/usr/bin/real", True)])
def test_a_link_that_the_host_would_follow_elsewhere_is_reported_with_its_real_path(root, target, leads_astray):
    path = link(root, "usr/bin/a", target)
    assert Tree(str(root)).astray(path) == (str(root / "usr/bin/real") if leads_astray else "")
    assert Tree("/").astray(path) == ""


def test_only_existing_files_that_match_are_found_and_in_order(root):
    folder = root / "usr/lib"
    folder.mkdir()
    for name in ("libcuda.so.2.0", "libcuda.so.1.1", "libcuda.so.1", "xlibcuda.so.1.1", "libcudart.so.1.1"):
        (folder / name).write_text("")
    (folder / "libcuda.so.3.0").mkdir()
    link(root, "usr/lib/libcuda.so.4.0", "nowhere")
    found = Tree(str(root)).find([str(folder), str(root / "none")], "libcuda.so.*.*")
    assert [os.path.basename(path) for path in found] == ["libcuda.so.1.1", "libcuda.so.2.0"]


@pytest.mark.parametrize("name", [b"a\nb.so", b"a\xff.so", b"a\x1b.so", "a\u2028.so".encode()])
def test_a_name_that_no_spec_can_hold_is_left_out_and_reported(root, name):
    with open(os.path.join(os.fsencode(root), name), "w"):
        pass
    tree = Tree(str(root))
    assert list(tree.find([str(root)], "*.so")) == []
    assert [finding.fact for finding in tree.findings] == ["its name is not printable UTF-8, so it is left out"]
    assert str(tree.findings[0]).isprintable()


def test_a_link_to_a_name_that_no_spec_can_hold_is_left_out_and_reported(root):
    with open(os.path.join(os.fsencode(root), b"odd\xff"), "w"):
        pass
    tree = Tree(str(root))
    assert tree.real([link(root, "a", b"odd\xff".decode("utf-8", "surrogateescape"))]) == []
    assert len(tree.findings) == 1


@pytest.mark.parametrize("kind", ["directory", "fifo", "missing"])
def test_only_a_regular_file_is_read_and_nothing_is_waited_for(root, kind):
    path = str(root / "odd")
    {"directory": os.mkdir, "fifo": os.mkfifo, "missing": str}[kind](path)
    tree = Tree(str(root))
    assert tree.read(path) is None
    assert tree.findings == []


def test_executables_are_regular_files_with_an_execute_permission(root):
    tree = Tree(str(root))
    assert tree.is_executable(str(root / "usr/bin/real"))
    (root / "data").write_text("")
    assert not tree.is_executable(str(root / "data"))
    assert not tree.is_executable(str(root / "usr"))


def test_a_file_that_is_not_a_library_has_no_image(root):
    (root / "libmade.so").write_bytes(shared_library("libmade.so.1"))
    os.mkfifo(root / "fifo")
    tree = Tree(str(root))
    assert tree.library(str(root / "libmade.so")).image.soname == "libmade.so.1"
    assert [tree.library(str(root / name)).image for name in ("usr/bin/real", "missing", "usr", "fifo")] == [None] * 4


def test_a_library_that_cannot_be_read_has_a_flaw_with_the_reason(root):
    found = Tree(str(root)).library(str(root / "libgone.so"))
    assert found.flaw("x86_64") == "cannot be read: No such file or directory"
