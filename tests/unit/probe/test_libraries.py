"""Where the driver's libraries are found: a driver root with files in it, and with a loader's cache."""

import os

import pytest

from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.nvidia.inventory import Library
from cdi_refreshd.host.driver_root import Tree
from cdi_refreshd.probe.driver_libraries import inspected, versioned
from cdi_refreshd.probe.libraries import Libraries
from tests.machine.elf import shared_library
from tests.unit.core.formats.test_ld_so_cache import I386, X86_64, cache

V, OTHER = "580.95.05", "580.105.08"
USUAL, APART = "/usr/lib/x86_64-linux-gnu", "/opt/nvidia/lib64"
ESSENTIAL = {"libcuda": "1", "libnvidia-ml": "1", "libnvidia-ptxjitcompiler": "1", "libnvidia-nvvm": "4"}
NARROW = Choices(feature_flags=("enable-32bit-libraries",))


class Root:
    """A driver root."""

    def __init__(self, folder):
        self.top = str(folder)

    def library(self, path, soname="", machine=""):
        """A library, and beside it the link by its soname."""
        directory, _, name = path.rpartition("/")
        os.makedirs(self.top + directory, exist_ok=True)
        with open(self.top + path, "wb") as file:
            file.write(shared_library(soname or name, machine))
        if soname:
            os.symlink(name, f"{self.top}{directory}/{soname}")

    def driver(self, directory, version=V, machine=""):
        for stem, number in ESSENTIAL.items():
            self.library(f"{directory}/{stem}.so.{version}", f"{stem}.so.{number}", machine)

    def listed(self, *paths, flags=X86_64):
        os.makedirs(f"{self.top}/etc", exist_ok=True)
        with open(f"{self.top}/etc/ld.so.cache", "wb") as file:
            file.write(cache(*((flags, path.encode()) for path in paths)))

    def found(self, choices=Choices(), version=V):
        libraries = Libraries(Tree(self.top), choices.library_search_paths)
        return versioned(libraries, version, version, choices)

    def paths(self, *arguments):
        return [one.path.removeprefix(self.top) for one in self.found(*arguments).libraries]


@pytest.fixture
def root(tmp_path):
    return Root(tmp_path)


def essential(directory, version=V):
    return [f"{directory}/{stem}.so.{version}" for stem in sorted(ESSENTIAL)]


def test_a_library_directory_that_only_links_lead_to_is_found(root):
    """Debian's alternatives: the chosen driver has a directory of its own, such as tesla-535."""
    root.driver(f"{USUAL}/nvidia/tesla-535")
    os.makedirs(f"{root.top}/etc/alternatives")
    for stem, number in ESSENTIAL.items():
        name = f"{stem}.so.{number}"
        os.symlink(f"{USUAL}/nvidia/tesla-535/{name}", f"{root.top}/etc/alternatives/{name}")
        os.symlink(f"/etc/alternatives/{name}", f"{root.top}{USUAL}/{name}")
    root.library(f"{USUAL}/nvidia/tesla-535/libnvidia-glcore.so.{V}")  # no link names it
    assert root.paths() == sorted(
        [*essential(f"{USUAL}/nvidia/tesla-535"), f"{USUAL}/nvidia/tesla-535/libnvidia-glcore.so.{V}"]
    )
    assert root.found().missing == ()


def test_a_leftover_library_in_a_usual_directory_hides_no_library_of_the_driver(root):
    root.driver(APART)
    root.library(f"{APART}/libnvidia-encode.so.{V}", "libnvidia-encode.so.1")
    root.library(f"{USUAL}/libnvidia-cfg.so.{V}", "libnvidia-cfg.so.1")
    root.listed(*(f"{APART}/{stem}.so.{number}" for stem, number in ESSENTIAL.items()))
    assert set(root.paths()) == {*essential(APART), f"{APART}/libnvidia-encode.so.{V}", f"{USUAL}/libnvidia-cfg.so.{V}"}


def test_a_library_in_two_directories_is_mounted_once_from_that_of_libcuda(root):
    root.driver(APART)
    root.library(f"{USUAL}/libnvidia-nvvm.so.{V}", "libnvidia-nvvm.so.4")
    root.listed(*(f"{APART}/{stem}.so.{number}" for stem, number in ESSENTIAL.items()))
    assert sorted(root.paths()) == essential(APART)
    assert root.found().library_dirs == (root.top + APART,)


def test_libraries_of_another_version_beside_the_right_ones_are_ignored(root):
    root.driver(USUAL)
    root.driver(APART, OTHER)
    root.listed(*(f"{APART}/{stem}.so.{number}" for stem, number in ESSENTIAL.items()))
    assert root.paths() == essential(USUAL)


def test_libraries_are_in_the_order_of_the_directories_whatever_the_cache_says(root):
    root.driver(APART)
    root.library(f"{USUAL}/libnvidia-cfg.so.{V}", "libnvidia-cfg.so.1")
    names = [f"{APART}/{stem}.so.{number}" for stem, number in ESSENTIAL.items()]
    root.listed(*names)
    first = root.found()
    root.listed(*reversed(names))
    assert root.found() == first
    assert first.library_dirs == (root.top + USUAL, root.top + APART)


def test_platform_libraries_are_taken_from_one_directory(root):
    root.driver(USUAL)
    root.library(f"{USUAL}/libnvidia-egl-gbm.so.1.1.2")
    root.library(f"{APART}/libnvidia-egl-gbm.so.1.1.1")
    root.listed(f"{APART}/libnvidia-egl-gbm.so.1.1.1")
    assert [one.path for one in root.found().graphics_libraries] == [f"{root.top}{USUAL}/libnvidia-egl-gbm.so.1.1.2"]


def test_given_search_paths_are_the_only_searched_directories(root):
    root.driver(USUAL)
    root.driver(APART)
    root.listed(f"{APART}/libcuda.so.1")
    assert root.paths(Choices(library_search_paths=(root.top + APART,))) == essential(APART)


def test_the_nvml_library_of_the_modules_version_is_opened_though_another_comes_first(root):
    root.driver(USUAL, OTHER)
    root.driver(APART)
    root.listed(f"{APART}/libnvidia-ml.so.1")
    libraries = Libraries(Tree(root.top))
    assert libraries.nvml(V) == f"{root.top}{APART}/libnvidia-ml.so.{V}"
    assert libraries.nvml() == f"{root.top}{USUAL}/libnvidia-ml.so.{OTHER}"


@pytest.mark.parametrize("stem", ESSENTIAL)
def test_an_essential_library_of_another_version_is_missing_and_that_version_reported(root, stem):
    root.driver(USUAL)
    os.rename(f"{root.top}{USUAL}/{stem}.so.{V}", f"{root.top}{USUAL}/{stem}.so.{OTHER}")
    found = root.found()
    assert (found.missing, found.files_version) == ((f"{stem}.so.{V}",), OTHER)


def test_a_driver_older_than_nvvm_does_not_need_it(root):
    root.driver(USUAL, "470.1")
    os.unlink(f"{root.top}{USUAL}/libnvidia-nvvm.so.470.1")
    assert root.found(Choices(), "470.1").missing == ()


def test_the_searched_directories_are_reported_where_something_is_missing(root):
    root.library(f"{USUAL}/libnvidia-cfg.so.{V}")
    search = root.found().search
    assert root.top + USUAL in search.directories
    assert (search.cache, search.cache_trouble) == (f"{root.top}/etc/ld.so.cache", "is missing")


def test_32_bit_libraries_are_listed_beside_the_others_on_request(root):
    root.driver(USUAL)
    root.driver("/usr/lib/i386-linux-gnu", machine="i386")
    root.driver("/opt/nvidia/lib", machine="i386")  # only the cache names it; the same libraries again
    root.library(f"/opt/nvidia/lib/libnvidia-fbc.so.{V}", machine="i386")
    root.listed("/opt/nvidia/lib/libcuda.so.1", flags=I386)
    assert root.paths() == essential(USUAL)
    assert root.paths(NARROW) == [
        *essential(USUAL),
        *essential("/usr/lib/i386-linux-gnu"),
        f"/opt/nvidia/lib/libnvidia-fbc.so.{V}",
    ]
    assert root.found(NARROW).library_dirs == (root.top + USUAL,)
    assert not any(one.flaw for one in root.found(NARROW).libraries)


def test_32_bit_libraries_are_recognised_by_their_elf_class_and_not_by_their_directory(root):
    """Some distributions have 64-bit libraries in /usr/lib, and a search path may name any directory."""
    root.driver("/usr/lib")
    root.listed("/usr/lib/libcuda.so.1")
    assert root.paths(NARROW) == root.paths() == essential("/usr/lib")
    root.driver("/odd", machine="i386")
    both = Choices(library_search_paths=(f"{root.top}/odd", f"{root.top}/usr/lib"))
    assert root.paths(both) == essential("/usr/lib")


def test_missing_32_bit_libraries_that_were_requested_are_reported(root):
    root.driver(USUAL)
    tree = Tree(root.top)
    versioned(Libraries(tree), V, V, NARROW)
    assert [(one.severity, one.place) for one in tree.findings] == [("info", "32-bit libraries")]


def test_a_32_bit_library_in_the_place_of_one_of_64_bits_is_named(root):
    root.driver(USUAL)
    os.unlink(f"{root.top}{USUAL}/libcuda.so.1")
    root.library(f"{USUAL}/libcuda.so.{V}", "libcuda.so.1", "i386")
    tree = Tree(root.top)
    assert versioned(Libraries(tree), V, V, Choices()).missing == (f"libcuda.so.{V}",)
    (finding,) = tree.findings
    assert finding[1:3] == (f"{root.top}{USUAL}/libcuda.so.{V}", "is a 32-bit library where a 64-bit one should be")


@pytest.mark.parametrize(("size", "flaw"), [(0, "is empty"), (100, "is cut short: 100 of ")])
def test_a_damaged_library_is_reported_once(root, size, flaw):
    root.driver(USUAL)
    os.truncate(f"{root.top}{USUAL}/libcuda.so.{V}", size)
    tree = Tree(root.top)
    libraries = Libraries(tree)
    for _ in range(2):
        versioned(libraries, V, V, Choices())
    (finding,) = tree.findings
    assert finding.place == f"{root.top}{USUAL}/libcuda.so.{V}"
    assert finding.fact.startswith(flaw)


def library(folder, name, soname):
    """A library, and the link by its soname that ldconfig makes."""
    (folder / name).write_bytes(shared_library(soname))
    (folder / soname).symlink_to(name)
    return str(folder / name)


def test_a_soname_that_is_a_link_is_reported(tmp_path):
    path = library(tmp_path, "libcuda.so.580.99.02", "libcuda.so.1")
    assert inspected(Tree("/"), path, "580.99.02") == Library(path, "libcuda.so.1", True, False)


def test_a_renamed_library_gets_no_link_for_the_version_that_it_was_built_as(tmp_path):
    path = library(tmp_path, "libnvidia-glcore.so.580.99.02", "libnvidia-glcore.so.580.95.05")
    assert not inspected(Tree("/"), path, "580.99.02").soname_is_link
