"""The driver's libraries as files with links beside them."""

from cdi_refreshd.core.nvidia.inventory import Library
from cdi_refreshd.host.driver_root import Tree
from cdi_refreshd.probe.libraries import inspected
from tests.machine.elf import shared_library


def library(folder, name, soname):
    """A library, and the link by its soname that ldconfig makes."""
    (folder / name).write_bytes(shared_library(soname))
    (folder / soname).symlink_to(name)
    return str(folder / name)


def test_a_soname_that_is_a_link_is_told(tmp_path):
    path = library(tmp_path, "libcuda.so.580.99.02", "libcuda.so.1")
    assert inspected(Tree("/"), path, "580.99.02") == Library(path, "libcuda.so.1", True, False)


def test_a_renamed_library_does_not_bring_the_version_back_that_it_was_built_as(tmp_path):
    path = library(tmp_path, "libnvidia-glcore.so.580.99.02", "libnvidia-glcore.so.580.95.05")
    assert not inspected(Tree("/"), path, "580.99.02").soname_is_link
