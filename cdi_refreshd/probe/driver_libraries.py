"""The driver's libraries: which version, which of each, what is wrong with them, and which links are beside them."""

from collections.abc import Iterable

from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.findings import Finding
from cdi_refreshd.core.nvidia import driver_texts
from cdi_refreshd.core.nvidia.driver_paths import EXPLICIT_LIBRARIES, OTHER_NAMES, OWN_VERSION, essential_libraries
from cdi_refreshd.core.nvidia.inventory import Driver, Library
from cdi_refreshd.host import procfs
from cdi_refreshd.host.driver_root import Tree
from cdi_refreshd.probe.libraries import CUDA, NVML, Libraries

OTHER_CLASS = "is a 32-bit library where a 64-bit one should be"


def versioned(libraries: Libraries, nvml_version: str, module_version: str, choices: Choices) -> Driver:
    """The driver's libraries of its version, which is NVML's, else the one in file names."""
    version = nvml_version or inferred_version(libraries, module_version)
    if not version:
        return Driver(search=libraries.searched())
    lacks = missing(libraries, version)
    if {f"libcuda.so.{version}", f"libnvidia-ml.so.{version}"} <= set(lacks):
        other = inferred_version(libraries, module_version)
        return Driver(version, other, search=libraries.searched(), missing=lacks)
    preferred = preferred_directories(libraries, version)
    found = one_of_each(of_bits(libraries, libraries.find(f"lib*.so.{version}")), preferred)
    directories = directories_of(found)
    paths = one_of_each(beside(libraries, directories, version, choices), preferred)
    whole = [inspected(libraries.tree, path, version) for path in paths]
    if "enable-32bit-libraries" in choices.feature_flags:
        whole += narrow(libraries.tree, version, choices)
    report(libraries.tree, whole)
    egl = [path for pattern in OWN_VERSION for path in one_place(of_bits(libraries, libraries.find(pattern)))]
    return Driver(
        version=version,
        files_version=version_of_others(libraries, lacks, version),
        library_dirs=directories,
        libraries=tuple(whole),
        graphics_libraries=tuple(inspected(libraries.tree, path) for path in dict.fromkeys(egl)),
        allocator=named(found, f"libnvidia-allocator.so.{version}"),
        vulkan_producer=named(found, f"libnvidia-vulkan-producer.so.{version}"),
        missing=lacks,
        search=libraries.searched() if lacks else Driver().search,
    )


def inferred_version(libraries: Libraries, module_version: str) -> str:
    """From file names: the loaded module's version where there is a library of it, else the highest."""
    for stem in ("libcuda.so.", "libnvidia-ml.so."):
        versions = versions_of(libraries, stem)
        if module_version in versions:
            return module_version
        if highest := driver_texts.highest_version(versions):
            return highest
    return ""


def versions_of(libraries: Libraries, stem: str) -> set[str]:
    names = [path.rpartition("/")[2] for path in libraries.find(stem + "*.*")]
    return {name[len(stem) :] for name in names if name.startswith(stem)}


def missing(libraries: Libraries, version: str) -> tuple[str, ...]:
    """Names of the missing libraries that CUDA needs to start."""
    lacks = []
    for name in (f"{stem}.so.{version}" for stem in essential_libraries(version)):
        found = libraries.find(name)
        if not of_bits(libraries, found):
            lacks.append(name)
            report(libraries.tree, [Library(path, flaw=OTHER_CLASS) for path in found])
    return tuple(lacks)


def version_of_others(libraries: Libraries, lacks: Iterable[str], version: str) -> str:
    """The installed version of what is missing, if an upgrade is unfinished; "" if there is none."""
    found = {other for name in lacks for other in versions_of(libraries, name.removesuffix(version))}
    return driver_texts.highest_version(found - {version})


def preferred_directories(libraries: Libraries, version: str) -> list[str]:
    """The directories from which the loader takes libcuda and NVML: of a library in two places, this one is used."""
    led_to = [path for name in (CUDA, NVML) for path in libraries.find(name) if path.endswith(f".so.{version}")]
    return [path.rpartition("/")[0] for path in led_to]


def beside(libraries: Libraries, directories: tuple[str, ...], version: str, choices: Choices) -> list[str]:
    """Every library with the driver's version in its name, and those of the driver with other names."""
    tree = libraries.tree
    paths = list(tree.find((d + sub for d in directories for sub in ("", "/vdpau")), f"*.so.{version}"))
    paths += (path for name in OTHER_NAMES for path in tree.find(directories, name))
    if "enable-explicit-driver-libraries" in choices.feature_flags:
        paths += (path for name in EXPLICIT_LIBRARIES for path in tree.find(directories, name))
    return of_bits(libraries, tree.real(paths))


def narrow(tree: Tree, version: str, choices: Choices) -> list[Library]:
    """The 32-bit libraries of the same version: those of Steam and Wine."""
    libraries = Libraries(tree, choices.library_search_paths, bits=32)
    found = of_bits(libraries, libraries.find(f"lib*.so.{version}"))
    paths = beside(libraries, directories_of(found), version, choices._replace(feature_flags=()))
    if not paths:
        fact = f"there is none of version {version}"
        tree.note(Finding("info", "32-bit libraries", fact, "install the driver's for i386"))
    return [inspected(tree, path, version) for path in one_of_each(paths, [])]


def of_bits(libraries: Libraries, paths: Iterable[str]) -> list[str]:
    """Without the libraries of the other class. A file that is not ELF counts as a 64-bit library."""
    images = [(path, libraries.tree.library(path).image) for path in paths]
    return [path for path, image in images if (image.bits if image else 64) == libraries.bits]


def one_of_each(paths: Iterable[str], preferred: list[str]) -> list[str]:
    """A library that is in several directories is taken from one of them, at the position of the first."""
    groups: dict[tuple[str, bool], list[str]] = {}
    for path in paths:
        directory, _, name = path.rpartition("/")
        groups.setdefault((name, directory.endswith("/vdpau")), []).append(path)
    rank = {directory: at for at, directory in reversed(list(enumerate(preferred)))}
    return [min(same, key=lambda path: rank.get(path.rpartition("/")[0], len(rank))) for same in groups.values()]


def one_place(paths: list[str]) -> list[str]:
    """Those in the directory of the first: they have versions of their own, so names do not show duplicates."""
    return [path for path in paths if path.rpartition("/")[0] == paths[0].rpartition("/")[0]]


def directories_of(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(path.rpartition("/")[0] for path in paths))


def named(paths: Iterable[str], name: str) -> tuple[str, ...]:
    return tuple(path for path in paths if path.endswith(f"/{name}"))


def report(tree: Tree, found: Iterable[Library]) -> None:
    for one in found:
        if one.flaw:
            tree.note(driver_texts.flaw(one))


def inspected(tree: Tree, path: str, version: str = "") -> Library:
    """The library with its soname and the links beside it."""
    directory, _, name = path.rpartition("/")
    file = tree.library(path)
    flaw = file.flaw(procfs.machine())
    bits = file.image.bits if file.image else 64
    soname = (file.image.soname if file.image else None) if name.count(".") > 1 else name
    if soname is None:
        if not flaw:
            tree.note(Finding("info", path, "is not an ELF library with one soname, so it gets no links"))
        return Library(path, flaw=flaw, bits=bits)
    soname = soname or name
    if is_of_another_version(soname, name, version):
        return Library(path, soname, flaw=flaw, bits=bits)
    return Library(
        path,
        soname,
        soname != name and tree.is_link(f"{directory}/{soname}"),
        plain_name(soname) not in ("", soname) and tree.is_link(f"{directory}/{plain_name(soname)}"),
        flaw,
        bits,
    )


def is_of_another_version(soname: str, name: str, version: str) -> bool:
    """The file was renamed from one driver version to another; the old one is gone, and no container needs its name."""
    stem, _, suffix = soname.rpartition(".so.")
    return name == f"{stem}.so.{version}" and "." in suffix and suffix != version


def plain_name(soname: str) -> str:
    """The soname without what follows `.so`; "" if it has none."""
    stem, dot_so, _ = soname.rpartition(".so")
    return stem + dot_so
