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
