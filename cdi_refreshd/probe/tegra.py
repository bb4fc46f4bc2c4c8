"""Tegra systems: CSV files name the nodes, directories, libraries and links, and NVML, where it works, the GPUs."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from cdi_refreshd.core.config.choices import CSV_FILES, Choices
from cdi_refreshd.core.findings import Fault, Finding
from cdi_refreshd.core.nvidia import csv_files
from cdi_refreshd.core.nvidia.driver_paths import TEGRA_RELEASE
from cdi_refreshd.core.nvidia.driver_texts import integrated_name
from cdi_refreshd.core.nvidia.inventory import Link, Tegra
from cdi_refreshd.core.nvidia.nvml_answer import Answer, RawGpu
from cdi_refreshd.host import char_devices
from cdi_refreshd.host.driver_root import Tree
from cdi_refreshd.probe.driver_libraries import inspected
from cdi_refreshd.probe.gpus import CONTROL

ORIN = "Orin (nvgpu)"

T = TypeVar("T")


def integrated(gpu: RawGpu) -> bool:
    return (not gpu.pci and integrated_name(gpu.name)) or gpu.pci == "0000:01:00.0"


def probe(tree: Tree, choices: Choices, answer: Answer) -> Tegra:
    entries = csv_files.parse(_texts(tree, choices.csv_files))
    dev_root = "" if choices.dev_root == "/" else choices.dev_root
    places = [tree.host(path) for path in (*choices.library_search_paths, "")]
    nodes = {entry: tuple(char_devices.matching(dev_root + entry)) for entry in entries.dev}
    folders = {entry: _there(tree, places[-1:], entry, tree.is_directory) for entry in entries.dir}
    files = {entry: _there(tree, places, entry, tree.is_file) for entry in entries.lib}
    wanted = (entry for entry in entries.sym if not csv_files.ignored(entry, choices.csv_ignore_patterns))
    links = {entry: _there(tree, places[-1:], entry, tree.is_file) for entry in wanted}
    for entries_of_kind in (nodes, folders, files, links):
        _report_unmatched(tree, entries_of_kind)
    names_gpu = any(map(csv_files.names_gpu, entries.dev))
    if not names_gpu:
        fact = "name no device node of the GPU, so the spec has none"
        tree.note(Finding("degraded", ", ".join(choices.csv_files), fact, "name them in lines of the type dev"))
    works = answer.nvml.code == 0
    return Tegra(
        nodes=tuple(dict.fromkeys(_flat(nodes))),
        directories=tuple(_flat(folders)),
        libraries=tuple(inspected(tree, path) for path in tree.real(_flat(files))),
        symlinks=tuple(inspected(tree, path) for path in tree.real(_flat(links))),
        chains=tuple(dict.fromkeys(link for path in _flat(links) for link in _chain(tree, path))),
        files=tuple(path for path in [tree.host(TEGRA_RELEASE)] if tree.is_file(path)),
        names_gpu=names_gpu,
        nvml_works=works,
        orin=works and any(ORIN in gpu.name for gpu in answer.gpus),
        integrated=_beside_discrete(choices, answer, tree),
    )


def _texts(tree: Tree, files: tuple[str, ...]) -> Iterator[str]:
    """The CSV files are the host's own, whatever the driver root."""
    read = 0
    host = Tree("/")
    for file in files:
        text = host.read(file)
        if text is not None:
            read += 1
            yield text.decode("utf-8", "surrogateescape")
        elif not any(finding.place == file for finding in host.findings):
            severity = "info" if file in CSV_FILES else "degraded"  # few systems have all the usual ones
            host.findings.append(Finding(severity, file, "cannot be read, so it is ignored"))
    tree.findings += host.findings
    if not read:
        raise Fault(", ".join(files) or "--csv.file", "no CSV file can be read", "give others with --csv.file")


def _there(tree: Tree, places: list[str], entry: str, condition: Callable[[str], bool]) -> tuple[str, ...]:
    """Host paths that match an entry, below each possible root."""
    return tuple(path for place in places for path in tree.expanded(place, entry) if condition(path))


def _flat(found: Mapping[str, tuple[T, ...]]) -> Iterator[T]:
    return itertools.chain.from_iterable(found.values())


def _report_unmatched(tree: Tree, found: Mapping[str, tuple[T, ...]]) -> None:
    """Info: one list serves several models, and few have everything in it. But all need libcuda."""
    cuda = [entry for entry in found if entry.rpartition("/")[2].startswith("libcuda.so")]
    without = bool(cuda) and not any(found[entry] for entry in cuda)
    for entry, matched in found.items():
        if without and entry in cuda:
            fact = "is in a CSV file and matches nothing on this host: containers have no CUDA"
            tree.note(Finding("degraded", entry, fact, "install the driver's libraries again"))
        elif not matched:
            tree.note(Finding("info", entry, "is in a CSV file and matches nothing on this host"))


def _chain(tree: Tree, path: str) -> Iterator[Link]:
    for _ in range(len(CONTROL) * 10):
        if not tree.is_link(path):
            return
        text = tree.link_text(path)
        yield Link(path, text)
        path = tree.host(text) if text.startswith("/") else f"{path.rpartition('/')[0]}/{text}"


def _beside_discrete(choices: Choices, answer: Answer, tree: Tree) -> int:
    """The index of the integrated GPU beside a discrete one, else -1: then everything is one device."""
    if "disable-multiple-csv-devices" in choices.feature_flags or answer.nvml.code != 0 or len(answer.gpus) < 2:
        return -1
    ours = [gpu.number for gpu in answer.gpus if integrated(gpu)]
    if ours != [0] or len(answer.gpus) != 2:
        fact = f"has integrated GPUs {ours} of {len(answer.gpus)}, where 0 of 2 is known: all is one device"
        tree.findings.append(Finding("degraded", "NVML", fact))
        return -1
    return 0
