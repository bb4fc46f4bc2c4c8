"""What a hook program can do, by its own output."""

import pytest

from cdi_refreshd.core.nvidia.hook_program import (
    HookProgram,
    called,
    knows,
    listed,
    parsed,
    questions,
    takes_cuda_flags,
    tolerates,
    version,
)

CDI_HOOK, CTK = "/usr/bin/nvidia-cdi-hook", "/usr/bin/nvidia-ctk"
HELP = """NAME:
   NVIDIA CDI Hook - Command to structure files for usage inside a container

VERSION:
   1.17.8
commit: f202b80

COMMANDS:
   update-ldcache      Update ldcache in a container by running ldconfig
   create-symlinks     A hook to create symlinks in the container.
   enable-cuda-compat
   help, h             Shows a list of commands or help for one command

GLOBAL OPTIONS:
   --debug, -d    Enable debug-level logging (default: false)
   --version, -v  print the version
"""


def of(version):
    return HookProgram(CDI_HOOK, True, version)


def test_the_hooks_are_the_commands_of_the_help_page_and_nothing_else_in_it():
    assert listed(HELP) == ("update-ldcache", "create-symlinks", "enable-cuda-compat")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NVIDIA CDI Hook version 1.17.8\ncommit: 0000000\n", "1.17.8"),
        ("NVIDIA Container Toolkit CLI version 1.14.6\n", "1.14.6"),
        ("NVIDIA CDI Hook version 1.19.0-rc.1\n", "1.19.0-rc.1"),
        ("NVIDIA CDI Hook version v1.20\n", "1.20"),
        ("NVIDIA CDI Hook version unknown\ncommit: unknown\n", ""),
        ("", ""),
        ("busybox 1.36.1 multi-call binary", ""),
    ],
)
def test_a_version_is_read_where_one_is_reported(text, expected):
    assert version(text) == expected


def test_a_programs_own_list_of_hooks_overrides_its_version():
    program = parsed(CDI_HOOK, HELP, "NVIDIA CDI Hook version 1.20.0")
    assert not knows(program, "update-application-profile")
    assert knows(program, "enable-cuda-compat")


def test_a_program_without_output_is_treated_as_current():
    for text in ("", "usage: something else\n", "COMMANDS:\n   frobnicate\n"):
        program = parsed(CDI_HOOK, text, "")
        assert knows(program, "update-application-profile")
        assert takes_cuda_flags(program)
        assert tolerates(program)


@pytest.mark.parametrize(
    ("release", "newest", "lacks"),
    [
        ("1.14.6", "update-ldcache", "enable-cuda-compat"),
        ("1.17.4", "chmod", "enable-cuda-compat"),
        ("1.17.5", "enable-cuda-compat", "disable-device-node-modification"),
        ("1.17.9", "enable-cuda-compat", "disable-device-node-modification"),
        ("1.18.0", "disable-device-node-modification", "update-application-profile"),
        ("1.20.0-rc.1", "disable-device-node-modification", "update-application-profile"),
    ],
)
def test_without_a_list_the_version_decides_which_hooks_a_program_has(release, newest, lacks):
    assert knows(of(release), newest)
    assert not knows(of(release), lacks)


@pytest.mark.parametrize(("release", "expected"), [("1.17.9", False), ("1.18.0", True), ("1.20.1", True)])
def test_unknown_hooks_do_no_harm_from_1_18_on(release, expected):
    assert tolerates(of(release)) == expected


@pytest.mark.parametrize(
    ("release", "expected"), [("1.18.2", False), ("1.19.0-rc.2", False), ("1.19.0", True), ("1.20.0", True)]
)
def test_the_flags_of_csv_mode_are_taken_from_1_19_on(release, expected):
    assert takes_cuda_flags(of(release)) == expected


def test_a_program_without_a_version_gets_the_flags_only_if_its_hooks_are_new_enough():
    new = ("create-symlinks", "disable-device-node-modification", "update-application-profile")
    assert takes_cuda_flags(HookProgram(CDI_HOOK, True, "", new))
    assert not takes_cuda_flags(HookProgram(CDI_HOOK, True, "", new[:2]))
    assert tolerates(HookProgram(CDI_HOOK, True, "", new[:2]))
    assert not tolerates(HookProgram(CDI_HOOK, True, "", new[:1]))


def test_the_hooks_of_nvidia_ctk_are_in_its_subcommand():
    assert questions(CTK) == (("hook", "--help"), ("--version",))
    assert questions(CDI_HOOK) == (("--help",), ("--version",))


@pytest.mark.parametrize(
    ("path", "arguments", "expected"),
    [
        (CDI_HOOK, ("nvidia-cdi-hook", "create-symlinks", "--link", "a::b"), "create-symlinks"),
        (CDI_HOOK, ("x", "--debug", "chmod"), "chmod"),
        (CTK, ("nvidia-ctk", "hook", "update-ldcache"), "update-ldcache"),
        (CTK, ("nvidia-ctk", "--debug", "hook", "update-ldcache"), "update-ldcache"),
        (CTK, ("nvidia-ctk", "runtime", "configure"), ""),
        (CTK, ("nvidia-ctk", "hook"), ""),
        (CDI_HOOK, (), ""),
    ],
)
def test_the_hook_of_a_call_is_known_by_its_arguments(path, arguments, expected):
    assert called(path, arguments) == expected
