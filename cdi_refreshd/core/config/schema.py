"""What can be set in configuration files: the keys, their values, and how several files are merged.

The syntax is that of systemd's own files, with one addition: a comment may also follow a value.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from cdi_refreshd.core.cdi.names import label_problem
from cdi_refreshd.core.config.durations import Span
from cdi_refreshd.core.config.generate_options import (
    FEATURE_FLAGS,
    FORMATS,
    HOOK_SOURCES,
    HOOKS,
    LISTS,
    MODES,
    NAME_STRATEGIES,
    WORDS,
    absolute,
    nearest,
    one_of,
    printable,
    unique,
)
from cdi_refreshd.core.config.settings import LOG_LEVELS, ON_MISMATCH, BrokenConfiguration, Settings
from cdi_refreshd.core.findings import Finding, UsageFault, quoted

DEFAULT = "default"
TRUE, FALSE = ("yes", "true", "on", "y", "t", "1"), ("no", "false", "off", "n", "f", "0")
LINE_AT_MOST, FACT_AT_MOST, FILE_NAME_AT_MOST = 16_384, 300, 200
GENERATE, OUTPUT, HOST, DAEMON, METRICS = SECTIONS = ("generate", "output", "host", "daemon", "metrics")
GPUS_AT_MOST = 1024
"""The highest expected number: hosts have 16 at most, so more is a typing error."""


class Kind(NamedTuple):
    """`read` parses a value and raises UsageFault; `show` formats it for a file; `plain` is for JSON."""

    read: Callable[[str], Any]
    show: Callable[[Any], str] = str
    plain: Callable[[Any], Any] = lambda value: value
    is_list: bool = False


class Key(NamedTuple):
    section: str
    name: str
    kind: Kind
    field: str
    """The field of Choices for [generate], else of Settings."""
    help: str


def _word(known: Iterable[str]) -> Kind:
    words = tuple(known)
    return Kind(lambda text: one_of("", text.lower(), words))


def _text(text: str) -> str:
    return printable("", text)


def _path(text: str) -> str:
    path = absolute("", text)
    if path != path.strip() or path.endswith("\\"):
        raise UsageFault("", f"{quoted(text)} ends in a blank or a backslash", "this is probably a mistake")
    return path


def _number(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else GPUS_AT_MOST + 1
    if number > GPUS_AT_MOST:
        raise UsageFault("", f"{quoted(text)} is not a number between 0 and {GPUS_AT_MOST}", "write 8 for eight GPUs")
    return number


def _prefix(text: str) -> str:
    """`/` means no prefix."""
    return _path(text).rstrip("/")


def _textfile(text: str) -> str:
    if not text.endswith(".prom"):
        raise UsageFault("", f"{quoted(text)} does not end in .prom", "node_exporter reads no other files")
    return _path(text)


def _label(text: str) -> str:
    if problem := label_problem(text):
        raise UsageFault("", problem)
    return text


def _hook(text: str) -> str:
    return _path(text) if "/" in text else _text(text)


def _truth(text: str) -> bool:
    if text.lower() not in TRUE + FALSE:
        raise UsageFault("", f"{quoted(text)} is neither true nor false", "write yes or no")
    return text.lower() in TRUE


def _file_name(text: str) -> str:
    if "/" in text or len(text.encode("utf-8", "replace")) > FILE_NAME_AT_MOST:
        hint = "spec-dir sets the directory" if "/" in text else f"write at most {FILE_NAME_AT_MOST} bytes"
        raise UsageFault("", f"{quoted(text)} is not a file name", hint)
    if _ending(text) == "yml":
        raise UsageFault("", f"{quoted(text)} would not be read", "container runtimes read .yaml and .json")
    return _text(text)


def _list_of(read: Callable[[str], str]) -> Kind:
    def all_of(text: str) -> tuple[str, ...]:
        words = [word.strip() for word in text.split(",") if word.strip()]
        if not words:
            raise UsageFault("", f"{quoted(text)} names nothing", "leave it empty for the default")
        odd = next((word for word in words if word[0] in "#;" or word[-1] == "\\"), "")
        if odd:
            raise UsageFault(
                "", f"{quoted(odd)} would not be read back as written", "do not begin it with # or ;, or end it with \\"
            )
        return unique([_text(read(word)) for word in words])

    return Kind(all_of, ", ".join, list, is_list=True)


def _span(low_s: float, high_s: float) -> Kind:
    span = Span(low_s, high_s)
    return Kind(span.read, span.show, span.plain)


TEXT, PATH, LABEL = Kind(_text), Kind(_path), Kind(_label)
TEXTS, PATHS = _list_of(_text), _list_of(_path)
YES = Kind(_truth, lambda value: "yes" if value else "no")
YES_IF_NOT = Kind(lambda text: not _truth(text), lambda value: "no" if value else "yes", lambda value: not value)
LEVEL = Kind(
    lambda text: LOG_LEVELS[one_of("", text.lower(), tuple(LOG_LEVELS))],
    lambda value: next(name for name, priority in LOG_LEVELS.items() if priority == value),
    lambda value: next(name for name, priority in LOG_LEVELS.items() if priority == value),
)
NUMBER = Kind(_number)
HOUR_S, DAY_S = 3600.0, 86400.0


def _names(known: tuple[str, ...]) -> Kind:
    return _list_of(lambda word: one_of("", word, known))


OF_THEIR_OWN = (
    Key(GENERATE, "mode", _word(MODES), "mode", f"What to describe: {', '.join(MODES)}."),
    Key(
        GENERATE,
        "driver-root",
        PATH,
        "driver_root",
        "The driver root. Empty: the one in the NVIDIA container toolkit's config.toml, else /.",
    ),
    Key(GENERATE, "dev-root", PATH, "dev_root", "The directory that holds dev. Empty: the driver root."),
    Key(GENERATE, "vendor", LABEL, "vendor", "The vendor in device names."),
    Key(GENERATE, "class", LABEL, "class_name", "The class in device names."),
    Key(
        GENERATE,
        "device-name-strategy",
        _names(NAME_STRATEGIES),
        "name_strategies",
        f"How devices are named: {', '.join(NAME_STRATEGIES)}. Several: each device has several names.",
    ),
    Key(GENERATE, "device-id", TEXTS, "device_ids", "Which GPUs: an index, a UUID, GPU:MIG, all, or none."),
    Key(GENERATE, "no-all-device", YES_IF_NOT, "all_device", "yes: no device named all."),
    Key(
        GENERATE,
        "hooks",
        _word(HOOK_SOURCES),
        "hooks",
        "nvidia: specs have hooks that run NVIDIA's hook program. none: specs have no hooks, and links are mounts. "
        "auto: nvidia if that program can be executed, else none.",
    ),
    Key(
        GENERATE,
        "nvidia-cdi-hook-path",
        Kind(_hook),
        "hook_path",
        "The hook program: a path, or a name to search for. Empty: nvidia-cdi-hook.",
    ),
    Key(
        GENERATE,
        "disable-hook",
        _names((*HOOKS, "all")),
        "disabled_hooks",
        f"Hooks to leave out: {', '.join(HOOKS)}, or all.",
    ),
    Key(GENERATE, "enable-hook", _names(HOOKS), "enabled_hooks", "Hooks to include in any case, by the same names."),
    Key(GENERATE, "feature-flag", _names(FEATURE_FLAGS), "feature_flags", f"Any of {', '.join(FEATURE_FLAGS)}."),
    Key(GENERATE, "csv.file", PATHS, "csv_files", "Mode csv: the files that name what containers need."),
    Key(
        GENERATE,
        "library-search-path",
        PATHS,
        "library_search_paths",
        "Search the driver's libraries only here. Empty: in the usual directories.",
    ),
    Key(
        GENERATE,
        "config-search-path",
        PATHS,
        "config_search_paths",
        "Search the driver's configuration files only here. Empty: in the usual directories.",
    ),
    Key(
        GENERATE,
        "program-search-path",
        PATHS,
        "program_search_paths",
        "Search nvidia-smi and the driver's other programs here first, then in the usual directories.",
    ),
    Key(OUTPUT, "spec-dir", PATH, "output", "The directory of the spec. Container runtimes must read it."),
    Key(OUTPUT, "file-name", Kind(_file_name), "output", "The spec's file name, with or without .yaml or .json."),
    Key(OUTPUT, "format", _word(FORMATS), "output", f"{' or '.join(FORMATS)}, if file-name has no ending."),
    Key(
        OUTPUT,
        "on-mismatch",
        _word(ON_MISMATCH),
        "on_mismatch",
        "The spec while module and libraries differ: keep-while-valid (while all its paths exist), keep, or withdraw.",
    ),
    Key(
        HOST,
        "device-nodes",
        Kind(lambda text: "auto" if text.lower() == "auto" else YES.show(_truth(text))),
        "device_nodes",
        "Make missing device nodes of the driver, as nvidia-modprobe would: yes, no, or auto. auto is yes "
        "without new privileges, as in the sandbox of our units, where nvidia-modprobe cannot. Never on WSL and Tegra.",
    ),
    Key(
        HOST,
        "dev-char-links",
        YES,
        "dev_char_links",
        "Keep links to the driver's device nodes in /dev/char, which older container runtimes and systemd need.",
    ),
    Key(
        HOST,
        "prefix",
        Kind(_prefix),
        "prefix",
        "Where the host's / is mounted in a pod: /host. All other paths in this file, and in the spec, are the host's.",
    ),
    Key(
        HOST,
        "expected-gpus",
        NUMBER,
        "expected_gpus",
        "How many NVIDIA GPUs the host has; see EXPECTED GPUS in cdi-refreshd.conf(5). 0: unknown.",
    ),
    Key(DAEMON, "settle", _span(0, 60), "settle_s", "How long it must be quiet after an event before a probe starts."),
    Key(
        DAEMON,
        "settle-at-most",
        _span(0, 300),
        "settle_at_most_s",
        "The longest time that a storm of events may delay a probe.",
    ),
    Key(DAEMON, "probe-timeout", _span(1, HOUR_S), "probe_limit_s", "How long one probe may take."),
    Key(DAEMON, "retry-first", _span(0.05, HOUR_S), "retry_first_s", "The pause after the first failure."),
    Key(DAEMON, "retry-at-most", _span(1, DAY_S), "retry_at_most_s", "The longest pause between failures."),
    Key(DAEMON, "sweep", _span(1, DAY_S), "sweep_s", "How often everything that the spec names is checked."),
    Key(DAEMON, "mig-poll", _span(0.1, HOUR_S), "mig_poll_s", "How often MIG slices are listed: they make no events."),
    Key(
        DAEMON,
        "ready-wait",
        _span(0, HOUR_S),
        "ready_wait_s",
        "How long the start waits for a driver if there is a GPU.",
    ),
    Key(DAEMON, "log-level", LEVEL, "log_level", f"The lowest level that is logged: {', '.join(LOG_LEVELS)}."),
    Key(
        METRICS,
        "textfile",
        Kind(_textfile),
        "textfile",
        "Metrics for Prometheus' textfile collector; the name ends in .prom. Empty: none. Debian's collector reads "
        "/var/lib/prometheus/node-exporter. The unit needs ReadWritePaths= for that directory in a drop-in.",
    ),
    Key(METRICS, "uuids", YES, "metric_uuids", "An additional metric for each device, with its UUID."),
    Key(
        METRICS,
        "nfd-features",
        PATH,
        "nfd_features",
        "Labels for Node Feature Discovery's local source: a file in "
        "/etc/kubernetes/node-feature-discovery/features.d. Empty: none.",
    ),
)


def _of_options() -> Iterator[Key]:
    """The generator's options whose keys take any text, and are described as their flags are."""
    own = {key.field for key in OF_THEIR_OWN if key.section == GENERATE}
    for kind, rows in ((TEXTS, LISTS), (TEXT, WORDS)):
        for field, flags, _, text in rows:
            if field not in own:
                yield Key(GENERATE, flags[0].lstrip("-"), kind, field, f"{text[0].upper()}{text[1:]}.")


KEYS = tuple(sorted((*OF_THEIR_OWN, *_of_options()), key=lambda key: SECTIONS.index(key.section)))
BY_NAME: Mapping[str, Key] = {key.name: key for key in KEYS}
"""No two sections have a key in common."""
NOT_ABOVE = (("settle", "settle-at-most"), ("retry-first", "retry-at-most"))
_COMMENT = re.compile(r"(^|\s)[#;].*")
_SECTION = re.compile(r"\[([^\[\]]*)\]")


def parse(texts: Iterable[tuple[str, str]]) -> tuple[Settings, dict[str, str], list[Finding]]:
    """Of pairs of path and text, the later ones overriding: settings, the origin of each key's value, and findings.

    An origin is `file:line` (several, with commas, for a list), or "default". An unknown key is a finding. Raises
    BrokenConfiguration for any other error.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    findings: list[Finding] = []
    for path, text in texts:
        for place, key, word in _assignments(path, text, findings):
            if not word:
                values.pop(key.name, None)
                origins.pop(key.name, None)
                continue
            value = _value(place, key, word)
            if key.kind.is_list and key.name in values:
                values[key.name] = unique((*values[key.name], *value))
                origins[key.name] += f", {place}"
            else:
                values[key.name] = value
                origins[key.name] = place
    settings = _settings(values, origins)
    _check_order(settings, origins)
    return settings, {key.name: origins.get(key.name, DEFAULT) for key in KEYS}, findings


def _assignments(path: str, text: str, findings: list[Finding]) -> Iterator[tuple[str, Key, str]]:
    """Place, key and value, which may be empty. Unknown keys become findings."""
    section = ""
    for number, raw in enumerate(text.split("\n"), 1):
        place, line = f"{path}:{number}", raw.strip()
        if not line or line[0] in "#;":
            continue
        if len(line) > LINE_AT_MOST:
            raise BrokenConfiguration(place, f"has more than {LINE_AT_MOST} characters", "repeat the key for more")
        if line[0] == "[":
            section = _section(place, line)
            if section not in SECTIONS:
                fact = f"there is no section {quoted(section)}, so it is ignored"
                findings.append(Finding("info", place, fact, nearest(section, SECTIONS)))
            continue
        name, equals, value = line.partition("=")
        name, value = name.strip(), _COMMENT.sub("", value.strip()).strip()
        if not section:
            raise BrokenConfiguration(place, "is before the first section", "begin with a line like [generate]")
        if not equals:
            raise BrokenConfiguration(place, f"{quoted(line)} has no =", "write key = value, or # before a comment")
        if section not in SECTIONS:
            continue
        key = BY_NAME.get(name)
        if key and key.section == section:
            yield place, key, value
        else:
            findings.append(_unknown(place, name, section, key))


def _section(place: str, line: str) -> str:
    found = _SECTION.fullmatch(_COMMENT.sub("", line).strip())
    if not found or not found[1].strip():
        raise BrokenConfiguration(place, f"{quoted(line)} is not a section", "write it like [generate]")
    return found[1].strip()


def _unknown(place: str, name: str, section: str, elsewhere: Key | None) -> Finding:
    fact = f"there is no key {quoted(name)} in [{section}], so it is ignored"
    here = tuple(key.name for key in KEYS if key.section == section)
    return Finding("info", place, fact, f"[{elsewhere.section}] has it" if elsewhere else nearest(name, here))


def _value(place: str, key: Key, word: str) -> Any:
    try:
        if word.endswith("\\"):
            raise UsageFault("", "a value cannot continue on the next line", "repeat the key for more")
        return key.kind.read(word)
    except UsageFault as fault:
        fact = fault.finding.fact
        fact = fact if len(fact) <= FACT_AT_MOST else f"{fact[:FACT_AT_MOST]}..."
        raise BrokenConfiguration(place, f"{key.name}: {fact}", fault.finding.hint) from None


def _settings(values: Mapping[str, Any], origins: Mapping[str, str]) -> Settings:
    default = Settings()
    said = [(key, values[key.name]) for key in KEYS if key.name in values]
    choices = default.choices._replace(**{key.field: value for key, value in said if key.section == GENERATE})
    rest = {key.field: value for key, value in said if key.section != GENERATE and key.field != "output"}
    output, form = _output(values, origins)
    return default._replace(choices=choices, output=output, format=form, **rest)


def _output(values: Mapping[str, Any], origins: Mapping[str, str]) -> tuple[str, str]:
    """Path and format of the spec."""
    default = Settings()
    directory, name, form = (
        values.get(key, value_of(default, BY_NAME[key])) for key in ("spec-dir", "file-name", "format")
    )
    ending = _ending(name)
    if ending and "format" in values and ending != form:
        fact = f"format: {form}, but file-name in {origins['file-name']} says {ending}"
        raise BrokenConfiguration(origins["format"], fact, "remove the ending from file-name")
    return f"{directory.rstrip('/')}/{name}" + ("" if ending else f".{form}"), ending or form


def _ending(name: str) -> str:
    stem, _, ending = name.rpartition(".")
    return ending if stem and ending in (*FORMATS, "yml") else ""


def _check_order(settings: Settings, origins: Mapping[str, str]) -> None:
    for low, high in NOT_ABOVE:
        if value_of(settings, BY_NAME[low]) > value_of(settings, BY_NAME[high]):
            fact = f"{low} is {shown(settings, BY_NAME[low])}, above {high}, which is {shown(settings, BY_NAME[high])}"
            raise BrokenConfiguration(origins.get(high) or origins[low], fact, f"set {high} too")


def value_of(settings: Settings, key: Key) -> Any:
    """The value of a key."""
    if key.field != "output":
        return getattr(settings.choices if key.section == GENERATE else settings, key.field)
    directory, _, name = settings.output.rpartition("/")
    stem = name.rpartition(".")[0]
    # As short as one would write it, if it means the same.
    name = stem if _ending(name) and not _ending(stem) and stem == stem.strip() else name
    return {"spec-dir": directory or "/", "file-name": name, "format": settings.format}[key.name]


def shown(settings: Settings, key: Key) -> str:
    """The value as a file has it."""
    return key.kind.show(value_of(settings, key))
