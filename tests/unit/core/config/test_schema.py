"""What the text of a configuration file means."""

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cdi_refreshd import options
from cdi_refreshd.core.config.choices import CSV_FILES
from cdi_refreshd.core.config.schema import BY_NAME, KEYS, SECTIONS, parse, shown
from cdi_refreshd.core.config.settings import BrokenConfiguration, Settings
from cdi_refreshd.core.config.template import template
from cdi_refreshd.core.findings import UsageFault

DEFAULT_FILE = Path(__file__).parents[4] / "systemd/cdi-refreshd.conf"


def parsed(*texts):
    return parse([(f"/{number}.conf", text) for number, text in enumerate(texts, 1)])


def settings(*texts):
    found, _, findings = parsed(*texts)
    assert findings == []
    return found


def written(found):
    """As `cdi-refreshd config` prints it, without the comments."""
    return "".join(f"[{key.section}]\n{key.name} = {shown(found, key)}\n" for key in KEYS)


def test_without_any_key_every_setting_has_its_default():
    found, origins, findings = parsed()
    assert (found, findings) == (Settings(), [])
    assert origins == {key.name: "default" for key in KEYS}


def test_the_last_value_of_a_key_is_used_and_its_place_is_known():
    found, origins, _ = parsed("[generate]\nmode = csv\nvendor=example.com\n", "# first\n[generate]\n\n  mode=NVML  \n")
    assert (found.choices.mode, found.choices.vendor) == ("nvml", "example.com")
    assert (origins["mode"], origins["vendor"], origins["class"]) == ("/2.conf:4", "/1.conf:3", "default")


def test_a_list_grows_over_lines_and_files_and_an_empty_value_is_the_default_again():
    key = "[generate]\nfeature-flag"
    found, origins, _ = parsed(f"{key} = no-device-numbers, disable-nvsandboxutils", f"{key} = no-device-numbers")
    assert found.choices.feature_flags == ("no-device-numbers", "disable-nvsandboxutils")
    assert origins["feature-flag"] == "/1.conf:2, /2.conf:2"
    found, origins, _ = parsed(
        f"{key} = no-device-numbers", f"{key} =\nfeature-flag = enable-coherent-annotations", "[generate]\ncsv.file ="
    )
    assert (found.choices.feature_flags, found.choices.csv_files) == (("enable-coherent-annotations",), CSV_FILES)
    assert (origins["feature-flag"], origins["csv.file"]) == ("/2.conf:3", "default")


def test_a_path_that_would_end_in_a_backslash_is_refused():
    with pytest.raises(BrokenConfiguration, match="backslash"):
        settings("[generate]\ndriver-root = /\\/")


def test_a_first_value_replaces_the_default_of_a_list():
    assert settings("[generate]\ndevice-name-strategy = uuid").choices.name_strategies == ("uuid",)


def test_an_empty_value_of_any_key_is_its_default():
    assert settings(*(f"[{key.section}]\n{key.name} =\n" for key in KEYS)) == Settings()


def test_comments_are_on_lines_of_their_own_or_after_a_blank():
    text = "; one\n# two\n[generate] # three\ndriver-root = /opt/a#b;c ; four\ndev-root = # five\n"
    found = settings(text).choices
    assert (found.driver_root, found.dev_root) == ("/opt/a#b;c", "")


def test_lines_may_end_as_on_windows():
    assert settings("[generate]\r\nmode = wsl\r\n").choices.mode == "wsl"


@pytest.mark.parametrize("word", ["yes", "True", "ON", "1"])
def test_the_key_no_all_device_has_the_effect_of_the_option(word):
    assert not settings(f"[generate]\nno-all-device = {word}").choices.all_device
    assert settings("[generate]\nno-all-device = off").choices.all_device


@pytest.mark.parametrize(
    ("word", "value_s"),
    [
        ("300", 300),
        ("300s", 300),
        ("5min", 300),
        ("1min 30s", 90),
        ("1min30s", 90),
        ("1h", 3600),
        ("1.5 h", 5400),
        ("1500ms", 1.5),
        ("2000000us", 2),
        ("1d", 86400),
        ("2 minutes", 120),
    ],
)
def test_durations_are_written_as_systemd_writes_them(word, value_s):
    assert settings(f"[daemon]\nsweep = {word}").sweep_s == value_s


def test_keys_in_ms_count_milliseconds_unless_a_unit_says_else():
    assert settings("[daemon]\nsettle = 80ms").settle_s == 0.08
    assert settings("[daemon]\nsettle = 0.2s").settle_s == 0.2
    assert settings("[daemon]\nsettle = 0").settle_s == 0


@pytest.mark.parametrize(
    ("text", "path", "form"),
    [
        ("spec-dir = /etc/cdi/", "/etc/cdi/nvidia.yaml", "yaml"),
        ("file-name = gpus", "/var/run/cdi/gpus.yaml", "yaml"),
        ("file-name = gpus.json", "/var/run/cdi/gpus.json", "json"),
        ("format = json", "/var/run/cdi/nvidia.json", "json"),
        ("format = YAML\nfile-name = a.b", "/var/run/cdi/a.b.yaml", "yaml"),
        ("spec-dir = /\nfile-name = x", "/x.yaml", "yaml"),
    ],
)
def test_directory_name_and_format_make_the_path_of_the_spec(text, path, form):
    found = settings(f"[output]\n{text}")
    assert (found.output, found.format) == (path, form)


def test_log_levels_are_priorities_of_syslog():
    assert settings("[daemon]\nlog-level = debug").log_level == 7
    assert settings("[daemon]\nlog-level = warning").log_level == 4


UNKNOWN = [
    ("[generate]\nmodes = nvml", "/1.conf:2", "'modes'", "did you mean mode?"),
    ("[generate]\n\nfeature-flags = x", "/1.conf:3", "'feature-flags'", "did you mean feature-flag?"),
    ("[daemon]\nmode = nvml", "/1.conf:2", "'mode'", "[generate] has it"),
    ("[daemons]\nwhatever = 1\nsweep = nonsense", "/1.conf:1", "'daemons'", "did you mean daemon?"),
    ("[daemon]\nMig-Poll = 1", "/1.conf:2", "'Mig-Poll'", "did you mean mig-poll?"),
]


@pytest.mark.parametrize(("text", "place", "word", "hint"), UNKNOWN)
def test_unknown_keys_are_skipped_and_reported_with_their_place(text, place, word, hint):
    found, _, findings = parsed(text)
    assert found == Settings()
    assert [(f.severity, f.place, f.hint) for f in findings] == [("info", place, hint)]
    assert word in findings[0].fact


WRONG = [
    ("[generate]\nmode = nvlm", "mode: there is no 'nvlm'; did you mean nvml?"),
    ("[generate]\ndriver-root = opt", "driver-root: 'opt' is not an absolute path; begin it with /"),
    ("[generate]\ndev-root = /a/../b", "dev-root: '/a/../b' contains .."),
    ("[generate]\ndev-root = /a /", "dev-root: '/a /' ends in a blank"),
    ("[generate]\nvendor = n", "vendor: 'n' has one character"),
    ("[generate]\nclass = -gpu", "class: '-gpu' must begin with a letter"),
    ("[generate]\ndevice-name-strategy = index, uid", "device-name-strategy: there is no 'uid'; did you mean uuid?"),
    ("[generate]\ndevice-id = ,", "device-id: ',' names nothing"),
    ("[generate]\ndevice-id = 0,#1", "device-id: '#1' would not be read back as written"),
    ("[generate]\nno-all-device = maybe", "no-all-device: 'maybe' is neither true nor false; write yes or no"),
    ("[generate]\nnvidia-cdi-hook-path = bin/hook", "nvidia-cdi-hook-path: 'bin/hook' is not an absolute path"),
    ("[generate]\nldconfig-path = /sbin/\x00", "ldconfig-path: '/sbin/\\x00' is not printable"),
    ("[generate]\nenable-hook = all", "enable-hook: there is no 'all'; known: chmod"),
    ("[generate]\nfeature-flag = no-device-number", "feature-flag: there is no 'no-device-number'; did you mean"),
    ("[generate]\nlibrary-search-path = /a, b", "library-search-path: 'b' is not an absolute path"),
    ("[generate]\ncsv.ignore-pattern = /a \\", "csv.ignore-pattern: a value cannot continue on the next line"),
    ("[output]\nspec-dir = cdi", "spec-dir: 'cdi' is not an absolute path"),
    ("[output]\nfile-name = a/b", "file-name: 'a/b' is not a file name; spec-dir sets the directory"),
    (f"[output]\nfile-name = {'x' * 201}", "is not a file name; write at most 200 bytes"),
    ("[output]\nfile-name = a.yml", "file-name: 'a.yml' would not be read; container runtimes read .yaml and .json"),
    ("[output]\nformat = toml", "format: there is no 'toml'; did you mean yaml?"),
    ("[output]\nformat = json\nfile-name = a.yaml", "format: json, but file-name in /1.conf:3 says yaml"),
    ("[output]\non-mismatch = remove", "on-mismatch: there is no 'remove'; known: keep-while-valid, keep, withdraw"),
    ("[daemon]\nsweep = often", "sweep: 'often' is not a span of time; write it like 300, 5min, 1min 30s or 500ms"),
    ("[daemon]\nsweep = 5 parsecs", "sweep: '5 parsecs' is not a span of time"),
    ("[daemon]\nsweep = -5", "sweep: '-5' is not a span of time"),
    ("[daemon]\nsweep = 0", "sweep: '0' is out of range; write 1s to 1d"),
    ("[daemon]\nsettle = 90s", "settle: '90s' is out of range; write 0s to 1min"),
    ("[daemon]\nsettle = 600ms", "settle is 600ms, above settle-at-most, which is 500ms; set settle-at-most too"),
    ("[daemon]\nretry-at-most = 1\nretry-first = 2", "retry-first is 2s, above retry-at-most, which is 1s"),
    ("[daemon]\nlog-level = loud", "log-level: there is no 'loud'"),
    ("\nmode = nvml", "is before the first section; begin with a line like [generate]"),
    ("[generate]\nnvml", "'nvml' has no =; write key = value"),
    ("\n[generate", "'[generate' is not a section; write it like [generate]"),
    ("\n[]", "'[]' is not a section"),
    ("[generate]\nmode = " + "x" * 20_000, "has more than 16384 characters"),
]


@pytest.mark.parametrize(("text", "reported"), WRONG, ids=[reported[:40] for _, reported in WRONG])
def test_a_wrong_value_is_reported_with_file_and_line_in_one_short_line(text, reported):
    with pytest.raises(BrokenConfiguration) as caught:
        parsed(text)
    assert caught.value.finding.place == "/1.conf:2"
    line = str(caught.value)
    assert reported in line
    assert line.isprintable() and len(line) < 400


def test_every_key_refuses_a_value_with_a_null_byte():
    for key in KEYS:
        with pytest.raises(BrokenConfiguration, match=r"^/1\.conf:2: "):
            parsed(f"[{key.section}]\n{key.name} = /a\x00b")


# Texts that get past the first line: keys that exist, with values that may.
WORDS = st.sampled_from(
    ["", "nvml", "/a", "/a/./b//", "index, uuid", "5min", "80", "yes", "a.yaml", "json", ",", "#", "x;y", "\\", "a b"]
)
LINES = st.builds(
    "{}{}{}".format,
    st.sampled_from([key.name for key in KEYS]) | st.text(max_size=8),
    st.sampled_from(["=", " = ", "\t=\t", ""]),
    WORDS | st.text(max_size=20),
)
SECTION_LINES = st.sampled_from([f"[{section}]" for section in SECTIONS])
TEXTS = st.lists(LINES | SECTION_LINES | st.text(max_size=20), max_size=12).map("\n".join)


@given(st.lists(TEXTS | st.text() | st.text(st.characters(codec=None)), max_size=3))
@example(["[daemon]\nsweep = " + "9" * 5000])
@example(["[daemon]\nsweep = ٣"])
@example(["[\ud800]", "\udcff = \udc80"])
def test_any_text_parses_or_raises_a_usage_fault(texts):
    try:
        _, origins, findings = parsed(*texts)
    except UsageFault as fault:
        assert re.match(r"/[123]\.conf:\d+$", fault.finding.place)
        assert str(fault).isprintable() and len(str(fault)) < 600
        return
    assert set(origins) == set(BY_NAME)
    assert all(str(finding).isprintable() for finding in findings)


VALUES = {
    "mode": st.sampled_from(["auto", "CSV", "nvml"]),
    "class": st.sampled_from(["gpu", "a.b", "mig"]),
    "no-all-device": st.sampled_from(["yes", "no", "t", "0"]),
    "device-name-strategy": st.sampled_from(["index", "uuid, index", "type-index,type-index"]),
    "spec-dir": st.sampled_from(["/", "/etc//cdi/", "/a b"]),
    "on-mismatch": st.sampled_from(["keep", "Withdraw"]),
    "log-level": st.sampled_from(["debug", "error"]),
    "settle": st.integers(0, 400_000).map("{}us".format),
    "sweep": st.integers(1_000_000, 86_400_000_000).map("{}us".format),
    "mig-poll": st.floats(0.1, 3600).map("{:.6f}".format),
}
NAMES = st.text(st.sampled_from("ab.# ;\\,/"), min_size=1, max_size=8)
ANY = st.sampled_from(["/a", "a", "a.json", ".yaml.yaml", "x.yml.yaml", "b .yaml"]) | NAMES | st.text(max_size=20)
ASSIGNMENTS = st.sampled_from(KEYS).flatmap(
    lambda key: (VALUES.get(key.name, ANY) | ANY).map(lambda word: f"[{key.section}]\n{key.name} = {word}\n")
)


@given(st.lists(ASSIGNMENTS, max_size=6))
def test_the_configuration_in_effect_can_be_written_and_read_back(texts):
    found = Settings()
    for text in texts:  # valid ones only, so that most examples have some
        try:
            found = parse([("/1.conf", written(found)), ("/2.conf", text)])[0]
        except UsageFault:
            continue
    assert settings(written(found)) == found


def test_the_choices_have_the_names_of_the_options():
    flags = {field: flags[0].removeprefix("--") for field, flags, _, _ in (*options.LISTS, *options.WORDS)}
    flags["all_device"] = "no-all-device"
    assert {key.field: key.name for key in KEYS if key.section == "generate"} == flags


def test_every_setting_has_a_key_and_every_key_a_unique_name():
    fields = {key.field for key in KEYS if key.section == "generate"}
    assert fields | {"prefix"} == set(Settings().choices._fields)  # prefix is in [host]
    others = {key.field for key in KEYS if key.section != "generate"}
    assert others | {"choices", "format"} == set(Settings._fields)
    assert len(BY_NAME) == len(KEYS)


def test_the_default_file_is_the_one_that_the_table_makes():
    make = "python -c 'from cdi_refreshd.core.config.template import template; print(template(), end=\"\")'"
    assert DEFAULT_FILE.read_text() == template(), f"{make} > systemd/cdi-refreshd.conf"


def test_the_default_file_changes_nothing_with_or_without_its_comment_signs():
    text = template()
    assert settings(text) == Settings()
    bare = re.sub(r"^#(?=[a-z.-]+ =)", "", text, flags=re.MULTILINE)
    found, origins, findings = parse([("/1.conf", bare)])
    assert (found, findings) == (Settings(), [])
    assert sum(origin != "default" for origin in origins.values()) > len(KEYS) / 2


@pytest.mark.parametrize(
    ("line", "fact"),
    [
        ("[metrics]\ntextfile = /var/lib/x/metrics", "does not end in .prom"),
        ("[metrics]\ntextfile = metrics.prom", "is not an absolute path"),
        ("[host]\nexpected-gpus = eight", "not a number"),
        ("[host]\nexpected-gpus = -1", "not a number"),
        ("[host]\nexpected-gpus = 88888", "not a number"),
        ("[host]\nprefix = host", "is not an absolute path"),
    ],
)
def test_keys_of_the_host_and_metrics_sections_refuse_invalid_values(line, fact):
    with pytest.raises(BrokenConfiguration, match=fact):
        settings(line)


def test_every_path_of_the_host_has_the_prefix_but_dev_the_hook_program_and_ldconfig():
    text = "[host]\nprefix = /host/\n[generate]\ndriver-root = /\ndev-root = /\nnvidia-cdi-hook-path = my-hook\n"
    found = settings(f"{text}library-search-path = /opt/lib\nldconfig-path = /sbin/ldconfig\n")
    assert (found.choices.driver_root, found.choices.library_search_paths) == ("/", ("/opt/lib",))
    here = found.here
    assert (here.driver_root, here.library_search_paths) == ("/host", ("/host/opt/lib",))
    assert here.dev_root == "/", "NVML opens the nodes in /dev, so a pod has the host's there"
    assert settings(f"{text}dev-root = /run/nvidia/driver").here.dev_root == "/host/run/nvidia/driver"
    assert (here.hook_path, here.ldconfig_path) == ("my-hook", "/sbin/ldconfig")
    assert here.csv_files == tuple(f"/host{path}" for path in CSV_FILES)
    assert found._replace(prefix="").here == found.choices


def test_a_prefix_of_the_root_directory_is_no_prefix():
    assert settings("[host]\nprefix = /").prefix == ""
