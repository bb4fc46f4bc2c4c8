"""Standard streams that are closed, full or slow: no message gets into the spec, and no spec is lost in silence."""

import fcntl
import os
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest

from .hosts import GPU, PROGRAM, case, lines

pytestmark = pytest.mark.root

FULL = ["standard output: cannot be written: No space left on device"]
LIMIT_S = 60


def redirected(host, to, *words, **options):
    return host.machine.run(["sh", "-c", f'"$@" {to}', "sh", *PROGRAM, *words], **options)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", ["generate", "bundle", "diff", "config", "oneshot --help", "--help", "--version"])
def test_a_full_standard_output_is_one_line(host, words, unbuffered):
    host.become(case(GPU))
    done = redirected(host, "> /dev/full", *words.split(), env={"PYTHONUNBUFFERED": unbuffered})
    assert (done.returncode, lines(done)) == (1, FULL)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_disk_with_room_for_half_of_the_spec_is_reported(host, unbuffered):
    host.become(case(GPU))
    prepare = """
        mkdir -p /run/small && mount -t tmpfs -o size=8k none /run/small
        "$@" > /run/small/nvidia.yaml
    """
    command = ["unshare", "--mount", "sh", "-ec", prepare, "sh", *PROGRAM, "generate"]
    done = host.machine.run(command, env={"PYTHONUNBUFFERED": unbuffered})
    assert (done.returncode, lines(done)) == (1, FULL)


def test_messages_do_not_get_into_the_spec_where_standard_error_is_closed(host):
    host.become(case(GPU))
    done = redirected(host, "2>&-", "generate", "--config", "/nowhere")
    assert done.returncode == 0
    assert done.stdout == host.run("generate").stdout


@pytest.mark.parametrize("to", ["2> /dev/full", "2>&-", "<&- >&- 2>&-"])
def test_a_spec_is_published_though_its_messages_cannot_be_written(host, to):
    host.become(case(GPU))
    host.shell("rm -f /run/cdi/nvidia.yaml")
    assert redirected(host, to, "oneshot", "--config", "/nowhere").returncode == 0
    assert host.published().names()[0] == "0"


def test_a_closed_standard_output_is_reported_by_commands_that_print_there(host):
    host.become(case(GPU))
    done = redirected(host, ">&-", "generate")
    assert (done.returncode, lines(done)) == (1, ["standard output: cannot be written: Bad file descriptor"])


def test_a_file_never_gets_the_number_of_a_closed_stream(host):
    host.become(case(GPU, nvml=["print messages of a library"]))
    redirected(host, "<&- >&- 2>&-", "generate", "--output", "/run/o.yaml", "--config", "/nowhere", check=True)
    assert host.path("/run/o.yaml").read_text() == host.run("generate").stdout


def test_the_lack_of_a_free_descriptor_is_reported_in_one_line(host):
    done = host.machine.run(["prlimit", "--nofile=5", *PROGRAM, "generate"])
    assert (done.returncode, lines(done)) == (1, ["generate: Too many open files"])


def test_ctrl_c_ends_a_command_whose_output_nobody_reads(host):
    host.become(case(GPU))
    reader, writer = os.pipe()
    os.write(writer, bytes(fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ)))
    caught = ["env", "--default-signal=INT"]  # whatever started the tests in the background lets them ignore it
    with host.machine.popen([*caught, *PROGRAM, "config"], stdout=writer, stderr=subprocess.PIPE) as command:
        try:
            os.close(writer)
            ends_at = time.monotonic() + LIMIT_S
            while "pipe" not in Path(f"/proc/{command.pid}/wchan").read_text():
                assert time.monotonic() < ends_at
                select.select([], [], [], 0.001)
            command.send_signal(signal.SIGINT)
            assert command.wait(LIMIT_S) == 130
            assert command.stderr.read() == b""
        finally:
            command.kill()
            os.close(reader)
