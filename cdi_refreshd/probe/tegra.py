"""Tegra systems: CSV files name the nodes, directories, libraries and links, and NVML, where it works, the GPUs."""

from collections.abc import Iterator

from cdi_refreshd.core.absence import unseen
from cdi_refreshd.core.config.generate_options import CSV_FILES, Choices
from cdi_refreshd.core.findings import Fault, Finding
from cdi_refreshd.core.nvidia import csv_files
from cdi_refreshd.core.nvidia.driver_paths import TEGRA_RELEASE
from cdi_refreshd.core.nvidia.driver_texts import integrated_name
from cdi_refreshd.core.nvidia.inventory import Link, Node, Tegra
from cdi_refreshd.host import char_devices, procfs, regular_file
from cdi_refreshd.host.driver_root import Tree
from cdi_refreshd.host.nvml import Answer, RawGpu
from cdi_refreshd.host.regular_file import NotRegular
from cdi_refreshd.probe.driver_libraries import inspected
from cdi_refreshd.probe.gpus import CONTROL

ORIN = "Orin (nvgpu)"


def is_tegra(tree: Tree) -> bool:
    """Raises Fault where nobody could look: a Tegra need not have a PCI function, and would be without GPU."""
    release = tree.host(TEGRA_RELEASE)
    return procfs.is_there(release) or tree.is_file(release) or _family(tree).lower().startswith(b"tegra")


def _family(tree: Tree) -> bytes:
    path = tree.host("/sys/devices/soc0/family")
    try:
        return regular_file.start(path, 4096, follow_links=True)
    except (FileNotFoundError, NotRegular):
        return b""
    except OSError as error:
        raise unseen(path, error) from None


def integrated(gpu: RawGpu) -> bool:
    return (not gpu.pci and integrated_name(gpu.name)) or gpu.pci == "0000:01:00.0"


def probe(tree: Tree, choices: Choices, answer: Answer) -> Tegra:
    entries = csv_files.parse(_texts(tree, choices.csv_files))
    dev_root = "" if choices.dev_root == "/" else choices.dev_root
    directories = [tree.host(path) for path in (*choices.library_search_paths, "")]
    libraries = [path for entry in entries.lib for path in _located(tree, directories, entry)]
    links = [
        path
        for entry in entries.sym
        if not csv_files.ignored(entry, choices.csv_ignore_patterns)
        for path in tree.find([tree.host(entry.rpartition("/")[0])], entry.rpartition("/")[2])
    ]
    chains = [link for path in links for link in _chain(tree, path)]
    works = answer.nvml.code == 0
    return Tegra(
        nodes=_nodes(dev_root, entries.dev),
        directories=tuple(p for entry in entries.dir if (p := tree.first([tree.host(entry)], tree.is_directory))),
        libraries=tuple(inspected(tree, path) for path in tree.real(libraries)),
        symlinks=tuple(inspected(tree, path) for path in tree.real(links)),
        chains=tuple(dict.fromkeys(chains)),
        files=tuple(path for path in [tree.host(TEGRA_RELEASE)] if tree.is_file(path)),
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
            host.findings.append(Finding(severity, file, "is no file that can be read, so it names nothing"))
    tree.findings += host.findings
    if not read:
        raise Fault(", ".join(files) or "--csv.file", "no CSV file can be read", "name the right ones with --csv.file")


def _nodes(dev_root: str, patterns: tuple[str, ...]) -> tuple[Node, ...]:
    found = (node for pattern in patterns for node in char_devices.matching(dev_root + pattern))
    return tuple(dict.fromkeys(found))


def _located(tree: Tree, directories: list[str], entry: str) -> Iterator[str]:
    directory, _, name = entry.rpartition("/")
    yield from tree.find((f"{base}{directory}" for base in directories), name)


def _chain(tree: Tree, path: str) -> Iterator[Link]:
    for _ in range(len(CONTROL) * 10):
        if not tree.is_link(path):
            return
        text = tree.link_text(path)
        yield Link(path, text)
        path = tree.host(text) if text.startswith("/") else f"{path.rpartition('/')[0]}/{text}"


def _beside_discrete(choices: Choices, answer: Answer, tree: Tree) -> int:
    """The index of the integrated GPU where a discrete one stands beside it, else -1: then all is one device."""
    if "disable-multiple-csv-devices" in choices.feature_flags or answer.nvml.code != 0 or len(answer.gpus) < 2:
        return -1
    ours = [gpu.number for gpu in answer.gpus if integrated(gpu)]
    if ours != [0] or len(answer.gpus) != 2:
        fact = f"has integrated GPUs {ours} of {len(answer.gpus)}, where 0 of 2 is known: all is one device"
        tree.findings.append(Finding("degraded", "NVML", fact))
        return -1
    return 0
