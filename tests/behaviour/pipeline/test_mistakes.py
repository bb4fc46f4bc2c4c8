"""Wrong options and wrong files: one line names the place, and the last good spec stays."""

import json
import os

import pytest
import yaml

from tests.machine.driver_files import MULTIARCH as LIB

from .hosts import GPU, PROGRAM, PUBLISHED, UUID, Spec, case, lines, state_of

pytestmark = pytest.mark.root

E = "NVIDIA_CTK_CDI_GENERATE_"
HERE = case(GPU)


@pytest.fixture
def host(_host):
    """With a spec that must not be touched."""
    _host.become(HERE)
    if not _host.published():
        assert _host.oneshot().returncode == 0
    before = _host.identity()
    yield _host
    assert _host.identity() == before


USAGE = [
    (["--mode", "nvlm"], "--mode: there is no 'nvlm'; did you mean nvml?"),
    (["--device-name-strategy", "name"], "--device-name-strategy: there is no 'name'; known: index, type-index, uuid"),
    (["--device-id", "7"], f"--device-id: there is no device '7'; known: 0, {UUID.format(0)}"),
    (["--device-id", "0:0"], "--device-id: there is no device '0:0'; did you mean 0?"),
    (["--feature-flag", "no-device-number"], "there is no 'no-device-number'; did you mean no-device-numbers?"),
    (["--disable-hook", "ldcache"], "--disable-hook: there is no 'ldcache'; did you mean update-ldcache?"),
    (["--enable-hook", "all"], "--enable-hook: there is no 'all'; known: chmod"),
    (["--vendor", "x"], "--vendor: 'x' has one character, which crashes container runtimes"),
    (["--class", "-x"], "--class/--cdi-class: "),
    (["--class=-x"], "--class: '-x' must begin with a letter"),
    (["--vendor="], "--vendor: must not be empty"),
    (["--format", "toml"], "--format: there is no 'toml'; did you mean yaml?"),
    (["--no-all-device=maybe"], "--no-all-device: 'maybe' is neither true nor false"),
    (["--driver-root", "run"], "--driver-root: 'run' is not an absolute path"),
    (["--driver-root", "/run/.."], "--driver-root: '/run/..' contains .."),
    (["--dev-root", os.fsdecode(b"/\xff")], "--dev-root: '/\\udcff' is not printable UTF-8"),
    (["--output", "/run/cdi/"], "--output: /run/cdi/ is a directory, not a file; write /run/cdi/nvidia.yaml"),
    (["--output", "/run/a\nb.yaml"], "--output: '/run/a\\nb.yaml' is not printable"),
    (["--driver-rot", "/"], "there is no '--driver-rot' here; did you mean --driver-root?; see"),
    (["--zzz=1"], "there is no '--zzz' here; known: "),
    (["stray"], "there is no 'stray' here; see cdi-refreshd"),
    ([""], "there is no '' here; see cdi-refreshd"),
    (["--mode", "x" * 100_000], "--mode: there is no 'xxxx"),
]


@pytest.mark.parametrize(("words", "said"), USAGE, ids=[" ".join(words)[:40] for words, _ in USAGE])
def test_a_usage_error_is_one_line_and_status_2(host, words, said):
    for subcommand in ("generate", "oneshot"):
        done = host.run(subcommand, *words)
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = lines(done)
        assert said in line
        assert len(line) < 400


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["generat"], "'generat': there is no such command; did you mean generate?"),
        (["\n"], "'\\n': there is no such command"),
    ],
)
def test_an_unknown_command_is_one_line(host, words, said):
    done = host.run(*words)
    assert done.returncode == 2
    assert lines(done)[0].startswith(said)


@pytest.mark.parametrize("option", ["--driver-root", "--dev-root"])
@pytest.mark.parametrize("root", ["/nowhere", "/etc/hostname", "/dev/null"])
def test_a_root_that_is_not_a_directory_is_reported(host, option, root):
    (said,) = host.refused(option, root, "--mode", "nvml", status=1)
    # The dev root is the driver root, where none is given.
    assert said.startswith(f"{option}: {root} is not a directory")


def test_an_empty_root_has_no_driver(host):
    host.shell("mkdir -p /run/empty")
    (said,) = host.refused("--driver-root", "/run/empty", status=3)
    assert said.startswith("libnvidia-ml.so.1 cannot be opened")


def test_a_root_that_may_not_be_read_is_reported(host):
    host.shell("mkdir -p /run/closed && chmod 0 /run/closed")
    command = [*PROGRAM, "generate", "--driver-root", "/run/closed", "--mode", "management"]
    done = host.machine.run_as_nobody(command, cwd="/")
    assert done.returncode == 1
    assert "/run/closed" in lines(done)[0]


CONFIGS = [
    ('[nvidia-container-cli]\nroot = "/nowhere"\n', 1, "--driver-root: /nowhere is not a directory"),
    (
        '[nvidia-container-cli]\nroot = "nowhere"\n',
        2,
        "config.toml: nvidia-container-cli.root: 'nowhere' is not an abs",
    ),
    ("[nvidia-container-cli\n", 0, "config.toml': is ignored ("),
    ("nvidia-container-cli = 3\n", 0, "config.toml': is ignored ("),
    ("[nvidia-container-cli]\nroot = 3\n", 0, ""),
    ("", 0, ""),
]


@pytest.mark.parametrize(("text", "status", "said"), CONFIGS)
def test_the_toolkits_configuration_gives_the_driver_root_or_is_ignored(host, text, status, said):
    host.become(HERE | {"add": {"/etc/nvidia-container-runtime/config.toml": text}})
    done = host.run("generate")
    assert done.returncode == status
    assert said in (lines(done) or [""])[0]
    assert len(lines(done)) == bool(said)


def test_an_option_or_a_variable_beats_the_configuration(host):
    host.become(
        HERE | {"add": {"/etc/nvidia-container-runtime/config.toml": CONFIGS[0][0], "/run/broken": CONFIGS[2][0]}}
    )
    host.generate("--driver-root", "/")
    host.generate(env={"NVIDIA_CTK_DRIVER_ROOT": "/"})
    assert host.run("generate", "--driver-root", "/", "--config", "/run/broken").stderr == ""


@pytest.mark.parametrize("variable", ["NVIDIA_CTK_CONFIG", "NVIDIA_CTK_CONFIG_FILE_PATH", None])
def test_a_named_toolkit_configuration_replaces_the_default_one(host, variable):
    host.become(HERE | {"add": {"/run/other.toml": CONFIGS[0][0]}})
    words, environment = ([], {variable: "/run/other.toml"}) if variable else (["--config", "/run/other.toml"], {})
    assert "/nowhere is not a directory" in host.refused(*words, env=environment)[0]


def test_a_configuration_in_the_users_directory_comes_before_the_hosts(host):
    host.become(HERE | {"add": {"/root/c/nvidia-container-runtime/config.toml": CONFIGS[0][0]}})
    assert "/nowhere is not a directory" in host.refused(env={"XDG_CONFIG_HOME": "/root/c"})[0]


@pytest.mark.parametrize("kind", ["missing", "fifo", "directory"])
def test_a_named_configuration_that_is_not_a_file_is_reported_and_not_waited_for(host, kind):
    make = {"missing": ":", "fifo": "mkfifo", "directory": "mkdir"}[kind]
    host.shell(f"rm -rf /run/odd; {make} /run/odd")
    done = host.run("generate", "--config", "/run/odd")
    assert (done.returncode, lines(done)) == (0, ["'/run/odd': is ignored (no such file)"])


@pytest.mark.parametrize(
    ("variables", "check"),
    [
        ({E + "MODE": "management"}, lambda spec: spec.names() == ["all"]),
        ({E + "DEVICE_NAME_STRATEGIES": "type-index"}, lambda spec: spec.names() == ["all", "gpu0"]),
        ({E + "DEVICE_IDS": "none"}, lambda spec: spec.names() == ["none"]),
        ({E + "VENDOR": "a.b", E + "CLASS": "c-d"}, lambda spec: spec["kind"] == "a.b/c-d"),
        ({E + "DISABLED_HOOKS": "all"}, lambda spec: "hooks" not in spec["containerEdits"]),
        ({E + "DISABLED_HOOKS": "all", E + "ENABLED_HOOKS": "chmod"}, lambda spec: spec.hook("chmod", "0")),
        ({E + "FEATURE_FLAGS": "no-device-numbers"}, lambda spec: "major" not in spec.edits("0")["deviceNodes"][0]),
        ({E + "NO_ALL_DEVICE": "true"}, lambda spec: "all" not in spec.names()),
        ({E + "NO_ALL_DEVICE": "0"}, lambda spec: "all" in spec.names()),
        ({E + "LDCONFIG_PATH": "/x"}, lambda spec: spec.hook("update-ldcache")[:2] == ["--ldconfig-path", "/x"]),
        ({"NVIDIA_CTK_CDI_HOOK_PATH": "/bin/sh"}, lambda spec: spec["containerEdits"]["hooks"][0]["path"] == "/bin/sh"),
        ({"NVIDIA_CTK_DEV_ROOT": ""}, lambda spec: spec.nodes("0")[0] == "/dev/nvidia0"),
        ({E + "CONFIG_SEARCH_PATHS": "/run"}, lambda spec: not any(path.endswith(".json") for path in spec.mounts())),
        ({E + "LIBRARY_SEARCH_PATHS": LIB}, lambda spec: spec.hook("update-ldcache")),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, dict) else "",
)  # fmt: skip
def test_each_variable_of_nvidia_ctk_has_its_effect(host, variables, check):
    done = host.run("generate", env=variables)
    assert done.returncode == 0, done.stderr
    assert check(Spec(yaml.safe_load(done.stdout)))


def test_an_option_beats_its_variable(host):
    assert host.generate("--vendor", "a.b", env={E + "VENDOR": "c.d"})["kind"] == "a.b/gpu"
    assert host.generate("--device-id", "0", env={E + "DEVICE_IDS": "none"}).names()[0] == "0"


@pytest.mark.parametrize(
    ("variable", "word", "said"),
    [
        (E + "MODE", "x", "--mode: there is no 'x'"),
        (E + "NO_ALL_DEVICE", "x", "--no-all-device: 'x' is neither"),
        (E + "OUTPUT_FORMAT", "x", "--format: there is no 'x'"),
        (E + "CLASS", "g", "--class: 'g' has one"),
        ("NVIDIA_CTK_DRIVER_ROOT", "x", "--driver-root: 'x' is not an absolute path"),
    ],
)
def test_a_variable_that_is_wrong_is_reported_as_its_option(host, variable, word, said):
    assert host.refused(status=2, env={variable: word})[0].startswith(said)


def test_the_output_and_its_format_may_be_variables(host):
    host.run("generate", env={"NVIDIA_CTK_CDI_OUTPUT_FILE_PATH": "/run/x", E + "OUTPUT_FORMAT": "json"}, check=True)
    assert json.loads(host.path("/run/x.json").read_text())["kind"] == "nvidia.com/gpu"


MINORS = "/proc/driver/nvidia-caps/mig-minors"
CUT = case(GPU, {"mig": [[1, 0]]})
MIG = ["/dev/nvidia1", "/dev/nvidia-caps/nvidia-cap147", "/dev/nvidia-caps/nvidia-cap148"]


def with_minors(host, text):
    host.become(CUT)
    place = host.path(MINORS)
    if text is None:
        place.unlink()
    else:
        place.write_text(text)


@pytest.fixture
def minors(host):
    yield
    host.path(MINORS).parent.mkdir(exist_ok=True)
    host.path(MINORS).write_text("config 1\n")
    host.become(case())  # this makes it again


@pytest.mark.parametrize("text", [None, "", "config 1\n", "gpu1/gi1/access 147\n", "nonsense\n\xff\0\n" * 1000])
def test_minors_that_mig_minors_lacks_come_from_the_capability_directory(host, minors, text):
    with_minors(host, text)
    assert host.generate("--device-name-strategy", "index").nodes("1:0") == MIG


def test_bad_lines_of_mig_minors_are_reported_in_one_line(host, minors):
    with_minors(host, "gpu1/gi1/access 147\ngpu1/gi1/ci0/access 148\nnonsense\nmore\n")
    done = host.run("generate", "--debug")
    assert lines(done) == [f"{MINORS}: has 2 lines that are no capability, such as 'nonsense'"]


def test_an_instance_without_a_known_minor_is_left_out(host, minors):
    with_minors(host, "")
    access = host.path("/proc/driver/nvidia/capabilities/gpu1/mig/gi1/ci0/access")
    text = access.read_text()
    access.write_text("DeviceFileMode: 292\n")
    try:
        done = host.run("generate")
        assert "the driver has no minor for its compute instance, so it is left out" in lines(done)[0]
        assert '"1:0"' not in done.stdout
    finally:
        access.write_text(text)


CACHE = "/etc/ld.so.cache"


@pytest.mark.parametrize(
    "content", [b"", bytes(1000), b"glibc-ld.so.cache1.1", os.urandom(999)], ids=lambda c: str(len(c))
)
def test_a_damaged_library_cache_is_reported_where_it_is_needed(host, content):
    host.become(case(GPU, layout="cache"))
    host.generate()
    host.path(CACHE).write_bytes(content)
    done = host.run("generate", "--mode", "management", env={"LD_LIBRARY_PATH": "/opt/nvidia/lib64"})
    assert done.returncode == 1
    assert any(said.startswith(f"{CACHE}: is not a readable library cache (") for said in lines(done)), done


def test_a_damaged_library_cache_does_no_harm_where_it_is_not_needed(host):
    host.path(CACHE).write_bytes(bytes(10))
    assert "--folder" in host.generate().hook("update-ldcache")
    host.machine.ldconfig()


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        ("", "is empty"),
        ("#!/bin/sh\n", "is not an ELF file"),
        ("\x7fELF", "is not an ELF file"),
        ("\x7fELF\2\1\1" + "\0" * 57, "is a 64-bit library for another processor than"),
    ],
    ids=["empty", "script", "cut", "header"],
)
def test_a_file_that_is_not_a_library_of_this_host_is_mounted_without_links_and_reported(host, content, fact):
    odd = f"{LIB}/libodd.so.580.95.05"
    host.become(HERE | {"add": {odd: content}})
    (said,) = (line for line in lines(host.run("generate")) if "libodd" in line)
    assert said.startswith(f"{odd}: {fact}") and said.endswith("; install the driver's libraries again")
    assert odd in host.generate().mounts()


def test_a_name_that_no_spec_can_hold_is_left_out_and_reported(host):
    names = [b"libodd\n.so.580.95.05", b"libodd\xff.so.580.95.05"]
    folder = os.fsencode(str(host.path(LIB)))
    for name in names:
        with open(os.path.join(folder, name), "w"):
            pass
    try:
        done = host.run("generate")
        assert done.returncode == 0
        assert len([line for line in lines(done) if "its name is not printable UTF-8" in line]) == 2
        assert "libodd" not in done.stdout
    finally:
        for name in names:
            os.unlink(os.path.join(folder, name))


@pytest.mark.parametrize(
    ("prepare", "path", "said"),
    [
        ("echo x > /run/file", "/run/file/nvidia.yaml", "/run/file: is a file, not a directory; move it away"),
        ("mkdir -p /run/dir.yaml", "/run/dir.yaml", "/run/dir.yaml: is a directory, not a file; move it away"),
        (
            "mkdir -p /run/ro && mount -t tmpfs -o ro none /run/ro",
            "/run/ro/nvidia.yaml",
            "/run/ro/nvidia.yaml: cannot be written: read-only file system; make that filesystem writable",
        ),
        (
            "mkdir -p /run/full && mount -t tmpfs -o size=4k none /run/full && echo x > /run/full/x",
            "/run/full/nvidia.yaml",
            "/run/full/nvidia.yaml: cannot be written: no space left on device; free some space",
        ),
        (
            "ln -sfn /nowhere /run/dangling",
            "/run/dangling/nvidia.yaml",
            "/run/dangling: is a symbolic link to /nowhere",
        ),
    ],
    ids=["file", "directory", "read-only", "full", "dangling"],
)
@pytest.mark.parametrize("subcommand", ["generate", "oneshot"])
def test_an_output_path_that_cannot_be_written_is_reported_and_is_a_failure(host, prepare, path, said, subcommand):
    inside = 'eval "$0" && exec "$@"'
    command = ["unshare", "--mount", "sh", "-ec", inside, prepare, *PROGRAM, subcommand, "--output", path]
    done = host.machine.run(command)
    assert done.returncode == 1
    assert said in lines(done)[0]


def test_a_full_disk_leaves_the_spec_that_stands(host):
    prepare = """
        mkdir -p /run/tiny && mount -t tmpfs -o size=64k none /run/tiny
        "$@" --output /run/tiny/nvidia.yaml --device-id none
        before=$(stat -c %i:%Y /run/tiny/nvidia.yaml; cat /run/tiny/nvidia.yaml)
        dd if=/dev/zero of=/run/tiny/fill status=none || :
        status=0; "$@" --output /run/tiny/nvidia.yaml || status=$?
        test "$before" = "$(stat -c %i:%Y /run/tiny/nvidia.yaml; cat /run/tiny/nvidia.yaml)"
        test "$(ls -A /run/tiny)" = "$(printf 'fill\\nnvidia.yaml')"
        exit $status
    """
    done = host.machine.run(["unshare", "--mount", "sh", "-ec", prepare, "sh", *PROGRAM, "oneshot"])
    assert done.returncode == 1
    assert "no space left on device" in done.stderr


def test_a_reader_that_closes_the_pipe_is_not_an_error(host):
    done = host.machine.run(["sh", "-c", '"$@" | true', "sh", *PROGRAM, "generate"])
    assert done.stderr == ""


def test_a_usage_error_of_oneshot_is_reported_with_its_state(host):
    done = host.oneshot("--device-id", "7")
    assert (done.returncode, state_of(done)) == (2, "failed")
    assert lines(done)[0].endswith(f"{PUBLISHED}: left as it was")
