"""oneshot and check agree about random machines, with everything broken that may break.

RANDOM_MACHINES says how many are played, RANDOM_FIRST with which to begin: `make random-machines` plays 300.
"""

import json
import os
import sys

import pytest

from tests.machine import booted

from .machines import CURRENT, made

pytestmark = pytest.mark.root

PROGRAM = [sys.executable, "-m", "cdi_refreshd"]
SPEC = "/var/run/cdi/nvidia.yaml"
FIRST = int(os.environ.get("RANDOM_FIRST", "0"))
COUNT = int(os.environ.get("RANDOM_MACHINES", "25"))
SAID = "cdi-refreshd: "


def is_of_machine(finding):
    """Not about the container runtimes of the host that the tests run on."""
    return finding["severity"] != "info" and finding["rule"] not in ("char-link", "cdi-version", "runtime")


def is_ours(finding):
    """About our spec, or about none: another vendor's broken spec does not make ours less ready."""
    return finding["file"] in (None, SPEC) or any(name.startswith("nvidia.com/gpu=") for name in finding["devices"])


@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
def test_oneshot_is_never_ready_where_check_has_a_fatal_finding(seed):
    machine = made(seed)
    with booted(machine.case) as host:
        if machine.before:
            host.run([*PROGRAM, "oneshot", *machine.options])
        host.run(["sh", "-c", machine.shell], check=True)
        published = host.run([*PROGRAM, "oneshot", *machine.options])
        checked = host.run([*PROGRAM, "check", "--json"])
    story = f"python -m tests.machine, case {json.dumps(machine.case)}\n{machine.shell}\n{machine.options}"
    story += f"\n{machine.faults}\noneshot {published.returncode}: {published.stderr}\ncheck: {checked.stderr}"
    assert "Traceback" not in published.stderr + checked.stderr, story
    findings = json.loads(checked.stdout)["findings"]
    story += "".join(f"\n{one['severity']} {one['rule']} {one['place']}: {one['fact']}" for one in findings)
    fatal = [one for one in findings if one["severity"] == "fatal" and is_ours(one)]
    state = published.stderr.partition(SAID)[2].partition(":")[0]
    assert not (fatal and (state == "ready" or published.returncode == 0)), story
    wrong = [one for one in findings if is_of_machine(one) and is_ours(one)]
    assert not (wrong and state == "ready"), story
    if not machine.faults:
        assert state in ("ready", "degraded", "no-gpu"), story
        assert [one for one in findings if one["severity"] == "fatal"] == [], story
        # Hooks that an old program does not know are no fault of the machine.
        assert machine.hook != CURRENT or [one for one in findings if is_of_machine(one)] == [], story


def test_the_same_seed_makes_the_same_machine_and_another_seed_another_one():
    assert [made(seed) for seed in range(50)] == [made(seed) for seed in range(50)]
    assert len({repr(made(seed)) for seed in range(50)}) > 40
    kinds = [bool(made(seed).faults) for seed in range(300)]
    assert 60 < sum(kinds) < 260
