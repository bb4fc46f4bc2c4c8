"""The options of `nvidia-ctk cdi generate`: their values, checked, and the values that exist."""

from collections.abc import Sequence

from cdi_refreshd.core.cdi.names import label_problem
from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.findings import SHOWN_AT_MOST, UsageFault, quoted
from cdi_refreshd.core.paths import with_prefix

MODES = ("auto", "csv", "gdrcopy", "gds", "imex", "management", "mofed", "nvml", "nvswitch", "wsl")
NAME_STRATEGIES = ("index", "type-index", "uuid")
HOOKS = (
    "chmod",
    "create-symlinks",
    "disable-device-node-modification",
    "enable-cuda-compat",
    "update-application-profile",
    "update-ldcache",
)
HOOK_SOURCES = ("auto", "nvidia", "none")
# Accepted for compatibility with scripts: NVIDIA's sandboxutils library is never used here.
IGNORED_FEATURE_FLAGS = ("disable-nvsandboxutils", "disable-nvsandbox-utils")
FEATURE_FLAGS = (
    "both-loader-directories",
    "disable-ipc-discoverer",
    "disable-multiple-csv-devices",
    "enable-32bit-libraries",
    "enable-coherent-annotations",
    "enable-explicit-driver-libraries",
    "no-additional-gids-for-device-nodes",
    "no-device-numbers",
    *IGNORED_FEATURE_FLAGS,
)
FORMATS = ("yaml", "json")
NAMED_AT_MOST = 10
E = "NVIDIA_CTK_CDI_GENERATE_"

Row = tuple[str, list[str], list[str], str]
"""Field of Choices, flags, environment variables, help. The first flag names its configuration key, too."""
LISTS: tuple[Row, ...] = (
    ("name_strategies", ["--device-name-strategy"], [E + "DEVICE_NAME_STRATEGIES"], "index, uuid or type-index"),
    (
        "device_ids",
        ["--device-id", "--device-ids", "--device", "--devices"],
        [E + "DEVICE_IDS"],
        "index, UUID, GPU:MIG, all or none",
    ),
    ("disabled_hooks", ["--disable-hook", "--disable-hooks"], [E + "DISABLED_HOOKS"], "leave this hook out; or all"),
    ("enabled_hooks", ["--enable-hook", "--enable-hooks"], [E + "ENABLED_HOOKS"], "include this hook in any case"),
    (
        "feature_flags",
        ["--feature-flag", "--feature-flags"],
        [E + "FEATURE_FLAGS"],
        "special behaviour; see cdi-refreshd(8)",
    ),
    ("csv_files", ["--csv.file"], [E + "CSV_FILES"], "mode csv: a file that names what containers need"),
    (
        "csv_ignore_patterns",
        ["--csv.ignore-pattern"],
        [E + "CSV_IGNORE_PATTERNS"],
        "mode csv: sym entries to ignore",
    ),
    (
        "library_search_paths",
        ["--library-search-path"],
        [E + "LIBRARY_SEARCH_PATHS"],
        "search the driver's libraries only here",
    ),
    (
        "config_search_paths",
        ["--config-search-path"],
        [E + "CONFIG_SEARCH_PATHS"],
        "search configuration files only here",
    ),
    (
        "program_search_paths",
        ["--program-search-path"],
        [E + "PROGRAM_SEARCH_PATHS"],
        "search nvidia-smi and other programs here first",
    ),
)
"""In these, commas separate, and flags may be repeated."""
WORDS: tuple[Row, ...] = (
    (
        "mode",
        ["--mode", "--discovery-mode"],
        [E + "MODE"],
        "what to describe: auto, nvml, csv, wsl, ... (default auto)",
    ),
    ("driver_root", ["--driver-root"], ["NVIDIA_CTK_DRIVER_ROOT"], "where the driver is installed (default /)"),
    ("dev_root", ["--dev-root"], ["NVIDIA_CTK_DEV_ROOT"], "where /dev is (default: the driver root)"),
    ("vendor", ["--vendor", "--cdi-vendor"], [E + "VENDOR"], "default nvidia.com"),
    ("class_name", ["--class", "--cdi-class"], [E + "CLASS"], "default gpu"),
    ("hooks", ["--hooks"], [], "which hooks: nvidia, none, or auto: nvidia if its program can be executed (default)"),
    (
        "hook_path",
        ["--nvidia-cdi-hook-path", "--nvidia-ctk-path"],
        ["NVIDIA_CTK_CDI_HOOK_PATH"],
        "the hook program (default: nvidia-cdi-hook, searched)",
    ),
    (
        "ldconfig_path",
        ["--ldconfig-path"],
        [E + "LDCONFIG_PATH"],
        "the host's ldconfig, for the hook (default: searched for)",
    ),
    (
        "csv_compat_root",
        ["--csv.compat-container-root"],
        [E + "CSV_CONTAINER_COMPAT_ROOT"],
        "mode csv: the directory of CUDA's compat libraries in containers",
    ),
)


def below(choices: Choices, prefix: str) -> Choices:
    """The same choices with the prefix before every path that is read on the host.

    Not /dev: see core.cdi.host_prefix.
    """
    if not prefix:
        return choices

    def each(paths: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(with_prefix(path, prefix) for path in paths)

    return choices._replace(
        prefix=prefix,
        driver_root=with_prefix(choices.driver_root, prefix),
        dev_root=choices.dev_root if choices.dev_root == "/" else with_prefix(choices.dev_root, prefix),
        hook_path=with_prefix(choices.hook_path, prefix),
        csv_files=each(choices.csv_files),
        library_search_paths=each(choices.library_search_paths),
        config_search_paths=each(choices.config_search_paths),
        program_search_paths=each(choices.program_search_paths),
    )


def nearest(word: str, known: Sequence[str]) -> str:
    """A hint that names the most similar known word, else the first few."""
    import difflib  # noqa: PLC0415 - only a mistake needs it

    close = difflib.get_close_matches(word[:SHOWN_AT_MOST], known, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]}?"
    more = f" and {len(known) - NAMED_AT_MOST} more" if len(known) > NAMED_AT_MOST else ""
    return f"known: {', '.join(known[:NAMED_AT_MOST])}{more}"


def one_of(option: str, word: str, known: Sequence[str]) -> str:
    if word not in known:
        raise UsageFault(option, f"there is no {quoted(word)}", nearest(word, known))
    return word


def printable(option: str, word: str) -> str:
    """Checks a value that goes into the spec or into a message unchanged."""
    if not word.isprintable():
        raise UsageFault(option, f"{quoted(word)} is not printable UTF-8", "a spec can contain nothing else")
    return word


def absolute(option: str, path: str) -> str:
    """A normalized root. An empty one is `/`, as for `nvidia-ctk`."""
    if not path:
        return "/"
    if not printable(option, path).startswith("/"):
        raise UsageFault(option, f"{quoted(path)} is not an absolute path", "begin it with /")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise UsageFault(option, f"{quoted(path)} contains ..", "write it without ..")
    return "/" + "/".join(parts)


def unique(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


def checked(choices: Choices) -> Choices:
    """The same choices, normalized. Raises UsageFault for a value that does not exist."""
    one_of("--mode", choices.mode.lower(), MODES)
    for strategy in choices.name_strategies:
        one_of("--device-name-strategy", strategy, NAME_STRATEGIES)
    if not choices.name_strategies:
        raise UsageFault("--device-name-strategy", "is empty", "known: " + ", ".join(NAME_STRATEGIES))
    one_of("--hooks", choices.hooks.lower(), HOOK_SOURCES)
    for hook in choices.disabled_hooks:
        one_of("--disable-hook", hook, (*HOOKS, "all"))
    for hook in choices.enabled_hooks:
        one_of("--enable-hook", hook, HOOKS)
    for flag in choices.feature_flags:
        one_of("--feature-flag", flag, FEATURE_FLAGS)
    for option, label in (("--vendor", choices.vendor), ("--class", choices.class_name)):
        if problem := label_problem(label):
            raise UsageFault(option, problem)
    printable("--ldconfig-path", choices.ldconfig_path)
    printable("--csv.compat-container-root", choices.csv_compat_root)
    hook = printable("--nvidia-cdi-hook-path", choices.hook_path)
    if "/" in hook and not hook.startswith("/"):
        raise UsageFault("--nvidia-cdi-hook-path", f"{hook!r} is neither a name nor absolute", "begin it with /")
    return choices._replace(
        mode=choices.mode.lower(),
        hooks=choices.hooks.lower(),
        driver_root=absolute("--driver-root", choices.driver_root),
        dev_root=absolute("--dev-root", choices.dev_root),
        name_strategies=unique(choices.name_strategies),
        device_ids=unique(choices.device_ids) or ("all",),
        library_search_paths=tuple(absolute("--library-search-path", p) for p in choices.library_search_paths),
        config_search_paths=tuple(absolute("--config-search-path", p) for p in choices.config_search_paths),
        program_search_paths=tuple(absolute("--program-search-path", p) for p in choices.program_search_paths),
    )
