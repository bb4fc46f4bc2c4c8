"""Device nodes by lstat alone."""

import os
import stat

import pytest

from cdi_refreshd.core.nvidia.inventory import Link, Node
from cdi_refreshd.host import char_devices


def make(path, kind=stat.S_IFCHR, device=(195, 3), mode=0o640):
    os.mknod(path, kind | mode, os.makedev(*device))
    os.chmod(path, mode)
    os.chown(path, 0, 44)
    return str(path)


@pytest.mark.root
def test_a_character_device_is_reported_with_its_numbers_mode_and_owner(tmp_path):
    path = make(tmp_path / "nvidia3")
    assert char_devices.node(path) == Node(path, 195, 3, 0o640, 0, 44)


@pytest.mark.root
def test_a_file_that_is_not_a_character_device_is_reported_by_its_type(tmp_path):
    link, block, regular = (str(tmp_path / name) for name in ("link", "block", "regular"))
    os.symlink(make(tmp_path / "real"), link)
    make(block, stat.S_IFBLK)
    make(regular, stat.S_IFREG)
    assert [char_devices.node(path) for path in (link, block, regular, "/nowhere")] == [None] * 4
    assert [char_devices.problem(path) for path in (link, block, regular, "/nowhere")] == [
        "is a symbolic link, not a device node",
        "is no character device",
        "is no character device",
        "is missing",
    ]


@pytest.mark.root
def test_nodes_match_by_the_last_part_of_their_path_in_order(tmp_path):
    for name in ("nvidia10", "nvidia2", "nvidiactl", "other", "nvidia\n", os.fsdecode(b"nvidia\xff")):
        make(tmp_path / name)
    (tmp_path / "nvidia-caps").mkdir()
    found = [os.path.basename(node.path) for node in char_devices.matching(f"{tmp_path}/nvidia*")]
    assert found == ["nvidia10", "nvidia2", "nvidiactl"]
    assert list(char_devices.matching(f"{tmp_path}/none/*")) == []


def test_links_are_listed_with_their_texts_and_other_files_are_ignored(tmp_path):
    link = str(tmp_path / "link")
    os.symlink("../card0", link)
    assert char_devices.links([link, str(tmp_path), "/nowhere"]) == (Link(link, "../card0"),)
