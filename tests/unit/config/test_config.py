"""Which files are read, what takes precedence, and what the commands do with it."""

import json
import os
import subprocess
import sys

import pytest

from cdi_refreshd import cli, command_line, config, options, pipeline
from cdi_refreshd.core.config.settings import BrokenConfiguration, Settings

MODE = "[generate]\nmode = {}\n".format


@pytest.fixture(autouse=True)
def no_toolkit(monkeypatch, tmp_path):
    monkeypatch.setattr(options, "TOOLKIT_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


def test_without_files_every_setting_has_its_default(roots):
    loaded = config.load(roots=roots)
    assert loaded.files == () and loaded.findings == ()
    assert loaded.settings.choices.driver_root == loaded.settings.choices.dev_root == "/"
    assert loaded.settings._replace(choices=Settings().choices) == Settings()
    assert set(loaded.origins.values()) == {"default"}


def test_only_the_first_main_file_counts(roots, write):
    etc = write(0, "", MODE("nvml"))
    write(2, "", MODE("csv") + "vendor = example.com\n")
    loaded = config.load(roots=roots)
    assert loaded.files == (etc,)
    assert (loaded.settings.choices.mode, loaded.settings.choices.vendor) == ("nvml", "nvidia.com")


def test_drop_ins_of_all_directories_are_read_after_the_main_file_in_order_of_name(roots, write):
    main = write(0, "", MODE("nvml"))
    a, b, c = write(2, "10-a.conf", MODE("csv")), write(1, "20-b.conf", MODE("wsl")), write(0, "15-c.conf", MODE("gds"))
    loaded = config.load(roots=roots)
    assert loaded.files == (main, a, c, b)
    assert (loaded.settings.choices.mode, loaded.origins["mode"]) == ("wsl", f"{b}:2")


def test_drop_ins_work_without_a_main_file(roots, write):
    write(1, "a.conf", MODE("csv"))
    assert config.load(roots=roots).settings.choices.mode == "csv"


def test_a_drop_in_replaces_those_of_its_name_in_later_directories(roots, write):
    write(2, "a.conf", MODE("csv") + "vendor = example.com")
    write(1, "a.conf", MODE("wsl"))
    choices = config.load(roots=roots).settings.choices
    assert (choices.mode, choices.vendor) == ("wsl", "nvidia.com")


@pytest.mark.parametrize("name", ["", "a.conf"])
@pytest.mark.parametrize("mask", ["empty", "link"])
def test_an_empty_file_or_a_link_to_dev_null_masks_files_of_its_name(roots, write, name, mask):
    write(2, name, MODE("csv"))
    path = write(0, name, "")
    if mask == "link":
        os.unlink(path)
        os.symlink("/dev/null", path)
    assert config.load(roots=roots).settings.choices.mode == "auto"


@pytest.mark.parametrize("name", [".#a.conf", ".a.conf.swp", "a.conf~", "a.conf.dpkg-old", "a.conf.bak", "README"])
def test_leftovers_of_editors_and_packages_are_not_configuration(roots, write, name):
    path = write(0, name, "nonsense")
    assert config.load(roots=roots).files == ()
    assert not config.is_configuration(path)


def test_a_named_file_is_the_only_one_that_is_read(roots, write, tmp_path, monkeypatch):
    write(0, "", MODE("nvml"))
    write(0, "a.conf", MODE("csv"))
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text(MODE("wsl"))
    two.write_text(MODE("gds"))
    monkeypatch.setenv("CDI_REFRESHD_CONFIG", str(one))
    assert config.load(roots=roots).settings.choices.mode == "wsl"
    assert config.load(str(two), roots).settings.choices.mode == "gds"
    monkeypatch.setenv("CDI_REFRESHD_CONFIG", "/dev/null")
    assert config.load(roots=roots).settings.choices.mode == "auto"
    with pytest.raises(BrokenConfiguration, match="none: cannot be read: No such file"):
        config.load(str(tmp_path / "none"), roots)


def of_directory(path):
    os.mkdir(path)


def of_fifo(path):
    os.mkfifo(path)


def of_lost_link(path):
    os.symlink("nowhere", path)


def of_circle(path):
    os.symlink(path, path)


@pytest.mark.parametrize("name", ["", "a.conf"])
@pytest.mark.parametrize("make", [of_directory, of_fifo, of_lost_link, of_circle])
def test_a_path_that_is_not_a_file_is_reported(roots, write, make, name):
    path = write(0, name, "")
    os.unlink(path)
    make(path)
    with pytest.raises(BrokenConfiguration) as caught:
        config.load(roots=roots)
    assert caught.value.finding.place == path


def test_the_hint_for_a_directory_that_somebody_named_is_not_to_remove_it(roots, write, tmp_path):
    with pytest.raises(BrokenConfiguration, match="is a directory") as named:
        config.load(str(tmp_path), roots)
    assert named.value.finding.hint == "name a file, or /dev/null for none"
    path = write(0, "", "")
    os.unlink(path)
    os.mkdir(path)
    with pytest.raises(BrokenConfiguration) as found:
        config.load(roots=roots)
    assert found.value.finding.hint == "remove it, or link it to /dev/null"


def test_a_file_in_place_of_the_drop_ins_directory_is_reported(roots):
    os.mkdir(roots[0])
    path = f"{roots[0]}/cdi-refreshd.conf.d"
    with open(path, "w"):
        pass
    with pytest.raises(BrokenConfiguration, match="Not a directory") as caught:
        config.load(roots=roots)
    assert caught.value.finding.place == path


@pytest.mark.parametrize(
    ("content", "line", "reported"),
    [
        (b"[generate]\n# gr\xfc\xdfe\n", ":2", "byte 0xfc is not UTF-8"),
        (b"[generate]\nmode = a\x00b\n", ":2", "there is no 'a\\x00b'"),
        (b"\x00" * 10, ":1", "is before the first section"),
        (b"[generate]\nvendor = " + b"x" * (1 << 19), ":2", "has more than 16384 characters"),
        (b"#" * (1 << 21), "", "has more than 1048576 bytes"),
    ],
)
def test_text_that_is_not_configuration_is_reported_with_its_place(roots, write, content, line, reported):
    path = write(0, "", content)
    with pytest.raises(BrokenConfiguration) as caught:
        config.load(roots=roots)
    assert caught.value.finding.place == path + line
    assert reported in str(caught.value) and len(str(caught.value)) < len(path) + 200


def test_the_byte_order_mark_of_an_editor_is_ignored(roots, write):
    write(0, "", b"\xef\xbb\xbf[generate]\nmode = csv\n")
    assert config.load(roots=roots).settings.choices.mode == "csv"


def test_configuration_directories_are_watched_for_configuration_files_only(roots, write, tmp_path):
    found = config.directories(roots=roots)
    assert set(found) == {*roots, *(f"{root}/cdi-refreshd.conf.d" for root in roots)}
    for path in (write(0, "", ""), write(1, "a.conf", ""), f"{roots[2]}/cdi-refreshd.conf.d"):
        assert os.path.dirname(path) in found and config.is_configuration(path)
    assert not config.is_configuration(f"{roots[1]}/state.json")
    alone = str(tmp_path / "my.conf")
    assert config.directories(alone) == (str(tmp_path),)
    assert config.is_configuration(alone, alone) and not config.is_configuration(alone + "~", alone)


# Precedence


def chosen(roots, *argv):
    """As in oneshot."""
    parser = command_line.parser("oneshot", "")
    return options.choices(parser.parse_args(argv), config.read(roots=roots).settings.choices)


FIELDS = [
    ("mode", "mode", ("csv", "wsl", "nvml"), "NVIDIA_CTK_CDI_GENERATE_MODE"),
    ("driver-root", "driver_root", ("/a", "/b", "/c"), "NVIDIA_CTK_DRIVER_ROOT"),
    ("dev-root", "dev_root", ("/a", "/b", "/c"), "NVIDIA_CTK_DEV_ROOT"),
    ("vendor", "vendor", ("a.com", "b.com", "c.com"), "NVIDIA_CTK_CDI_GENERATE_VENDOR"),
    ("device-id", "device_ids", ("0", "1", "2"), "NVIDIA_CTK_CDI_GENERATE_DEVICE_IDS"),
    ("csv.file", "csv_files", ("/a", "/b", "/c"), "NVIDIA_CTK_CDI_GENERATE_CSV_FILES"),
    ("ldconfig-path", "ldconfig_path", ("/a", "/b", "/c"), "NVIDIA_CTK_CDI_GENERATE_LDCONFIG_PATH"),
]


@pytest.mark.parametrize(("key", "field", "words", "variable"), FIELDS, ids=[field[0] for field in FIELDS])
def test_the_command_line_overrides_environment_file_and_default_in_this_order(
    roots, write, monkeypatch, key, field, words, variable
):
    def value(*argv):
        found = getattr(chosen(roots, *argv), field)
        return found[0] if isinstance(found, tuple) else found

    file, environment, line = words
    default = value()
    assert default not in words
    path = write(0, "", f"[generate]\n{key} = {file}\n")
    assert value() == file
    assert config.load(roots=roots).origins[key] == f"{path}:2"
    monkeypatch.setenv(variable, environment)
    assert value() == environment
    loaded = config.load(roots=roots)
    assert getattr(loaded.settings.choices, field) in (environment, (environment,))
    assert loaded.origins[key] == variable
    assert value(f"--{key}", line) == line


def test_no_all_device_can_be_overridden_by_a_later_source(roots, write, monkeypatch):
    write(0, "", "[generate]\nno-all-device = yes\n")
    assert not chosen(roots).all_device
    assert chosen(roots, "--no-all-device=false").all_device
    monkeypatch.setenv("NVIDIA_CTK_CDI_GENERATE_NO_ALL_DEVICE", "false")
    assert chosen(roots).all_device
    assert not chosen(roots, "--no-all-device").all_device


def test_the_device_root_follows_the_driver_root_that_takes_precedence(roots, write):
    write(0, "", "[generate]\ndriver-root = /a\n")
    assert chosen(roots).dev_root == "/a"
    assert chosen(roots, "--driver-root", "/b").dev_root == "/b"
    loaded = config.load(roots=roots)
    assert (loaded.settings.choices.dev_root, loaded.origins["dev-root"]) == ("/a", "driver-root")


def test_the_toolkits_driver_root_is_used_where_our_configuration_gives_none(roots, write, monkeypatch, tmp_path):
    toolkit = tmp_path / "toolkit.toml"
    toolkit.write_text('[nvidia-container-cli]\nroot = "/run/nvidia/driver"\n')
    monkeypatch.setattr(options, "TOOLKIT_CONFIG", str(toolkit))
    assert chosen(roots).driver_root == "/run/nvidia/driver"
    assert config.load(roots=roots).origins["driver-root"] == config.TOOLKIT
    write(0, "", "[generate]\ndriver-root = /\n")
    assert chosen(roots).driver_root == "/"


def test_the_output_path_of_the_environment_overrides_that_of_the_files(roots, write, monkeypatch):
    write(0, "", "[output]\nspec-dir = /a\nformat = json\n")
    assert config.load(roots=roots).settings.output == "/a/nvidia.json"
    monkeypatch.setenv("NVIDIA_CTK_CDI_OUTPUT_FILE_PATH", "/b/x")
    loaded = config.load(roots=roots)
    assert (loaded.settings.output, loaded.settings.format) == ("/b/x.yaml", "yaml")
    assert loaded.origins["spec-dir"] == "NVIDIA_CTK_CDI_OUTPUT_FILE_PATH"


# The commands


@pytest.fixture
def run(monkeypatch, roots, capsys):
    """Runs a command as main() would, with these roots; status, stdout, stderr."""
    for function in (config.read, config.load):
        monkeypatch.setattr(function, "__defaults__", (None, roots))

    def run(*argv):
        status = cli.run(list(argv))
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def asked(monkeypatch):
    """What oneshot asks of the pipeline, instead of probing."""
    requests = []

    class Enough(Exception):
        pass

    def one_pass(_child, request, _last, target, _limit_s):
        requests.append((request, target.path, target.form))
        raise Enough

    monkeypatch.setattr(pipeline, "one_pass", one_pass)

    def ask(run, *argv):
        with pytest.raises(Enough):
            run("oneshot", *argv)
        return requests.pop()

    return ask


def test_oneshot_takes_options_and_path_from_the_configuration(run, asked, write):
    write(0, "", "[generate]\nmode = csv\n[output]\nspec-dir = /a\nfile-name = b.json\n")
    request, path, form = asked(run)
    assert (request.choices.mode, path, form) == ("csv", "/a/b.json", "json")
    request, path, form = asked(run, "--mode", "nvml", "--output", "/c/d.yaml")
    assert (request.choices.mode, path, form) == ("nvml", "/c/d.yaml", "yaml")


def test_oneshot_reports_which_keys_it_ignores(run, asked, write, capsys):
    path = write(0, "", "[generate]\nmodus = csv\n")
    asked(run)
    err = capsys.readouterr().err
    assert err == (
        f"cdi-refreshd: {path}:2: there is no key 'modus' in [generate], so it is ignored; did you mean mode?\n"
    )


@pytest.mark.parametrize("command", ["oneshot", "config"])
def test_a_broken_configuration_exits_with_78_and_one_line_that_names_the_place(run, write, command):
    path = write(0, "", "[daemon]\nsweep = never\n")
    status, out, err = run(command)
    assert (status, out) == (78, "")
    assert err.startswith(f"cdi-refreshd: {path}:2: sweep: 'never' is not a span of time") and err.count("\n") == 1


def test_a_wrong_option_still_exits_with_2(run, write):
    write(0, "", MODE("csv"))
    assert run("oneshot", "--mode", "nvlm")[0] == 2


def test_generate_does_not_read_the_configuration(tmp_path):
    broken = tmp_path / "broken.conf"
    broken.write_text("nonsense")
    env = os.environ | {"CDI_REFRESHD_CONFIG": str(broken)}
    command = [sys.executable, "-m", "cdi_refreshd"]
    done = subprocess.run([*command, "generate", "--mode", "x"], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 2 and "broken.conf" not in done.stderr
    done = subprocess.run([*command, "oneshot"], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 78 and f"{broken}:1" in done.stderr


def test_the_output_of_config_can_be_read_back_and_names_the_origin_of_each_value(run, roots, write, tmp_path):
    path = write(0, "", "[generate]\ndriver-root = /opt/a#b\nfeature-flag = no-device-numbers\n[daemon]\nsweep = 90\n")
    status, out, err = run("config")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert f"driver-root = /opt/a#b                    # {path}:2" in lines
    assert f"sweep = 90s                               # {path}:5" in lines
    assert "mig-poll = 3s                             # default" in lines
    again = tmp_path / "again.conf"
    again.write_text(out)
    assert config.load(str(again)).settings == config.load(roots=roots).settings
    assert config.load(str(again)).findings == ()


def test_config_as_json_has_plain_values(run, write):
    path = write(0, "", "[generate]\ndevice-id = 0, 1\nno-all-device = yes\nodd = 1\n[daemon]\nsettle = 0.08s\n")
    status, out, err = run("config", "--json")
    reported = json.loads(out)
    assert (status, reported["version"], reported["files"]) == (0, 1, [path])
    assert reported["settings"]["generate"]["device-id"] == {"value": ["0", "1"], "origin": f"{path}:2"}
    assert reported["settings"]["generate"]["no-all-device"]["value"] is True
    assert reported["settings"]["daemon"]["settle"]["value"] == 0.08
    assert reported["settings"]["daemon"]["log-level"] == {"value": "info", "origin": "default"}
    assert [finding["place"] for finding in reported["findings"]] == [f"{path}:4"]
    assert err.count("\n") == 1


def test_config_takes_a_file_by_option(run, tmp_path):
    file = tmp_path / "my.conf"
    file.write_text(MODE("csv"))
    assert f"mode = csv                                # {file}:2" in run("config", "--config-file", str(file))[1]


def test_a_file_name_that_cannot_be_printed_does_not_break_the_output(run, roots, write):
    write(0, "a\n[generate].conf", MODE("csv"))
    status, out, _ = run("config")
    assert status == 0
    assert out.count("[generate]") == 2 and "'/" in out
