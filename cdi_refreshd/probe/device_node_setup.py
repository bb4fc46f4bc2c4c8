"""Repairs the driver's device nodes and their links in /dev/char, before the probe reads them."""

import contextlib
import json
import os
from typing import NamedTuple

from cdi_refreshd.core.entries import UNKNOWN, Entry, registered
from cdi_refreshd.core.findings import Fault, Finding
from cdi_refreshd.core.nvidia import device_node_plan, driver_texts
from cdi_refreshd.core.nvidia.device_node_plan import (
    JOIN,
    LEAVE,
    MAKE,
    REJOIN,
    REMOVE,
    REPLACE,
    Action,
    Capability,
    Facts,
    Memory,
)
from cdi_refreshd.core.nvidia.inventory import read_back
from cdi_refreshd.core.read_errors import ABSENT, unreadable
from cdi_refreshd.host import char_devices, mknod, path_entries, pci, procfs, regular_file
from cdi_refreshd.host.driver_root import Tree
from cdi_refreshd.probe import platforms

CHAR = "/dev/char"
DIRECTORIES = ("nvidia-caps", "nvidia-caps-imex-channels")
MODULES = ("nvidia", "nvidia_uvm", "nvidia_modeset")
MEMORY = "/run/cdi-refreshd/nodes.json"


class Done(NamedTuple):
    action: Action
    fault: str = ""
    """Why it failed. A LEAVE has none."""


def kept(dev_root: str, device_nodes: str, wants_links: bool) -> tuple[Finding, ...]:
    """For the daemon and the oneshot. A node that was removed while the driver was loaded is not made again.

    auto is yes if NVML, which this process is about to open, could not start nvidia-modprobe to make its nodes.
    """
    wants_nodes = device_nodes == "yes" or (device_nodes == "auto" and procfs.no_new_privileges())
    if not wants_nodes and not wants_links:
        return ()
    done: list[Done] = []
    try:
        keep(done, dev_root, wants_nodes, wants_links)
    except Fault as fault:
        why = fault.finding
        left = Finding("info", why.place, f"{why.fact}, so nodes and links are left as they are")
        return (*map(finding, done), left)
    return tuple(map(finding, done))


def keep(done: list[Done], dev_root: str, wants_nodes: bool, wants_links: bool) -> None:
    """Appends to `done`. Raises Fault if something cannot be read: that does not mean that it is missing."""
    seen = facts(dev_root)
    if wants_nodes and seen.readable:
        memory = recalled()
        done += carried_out(device_node_plan.node_actions(seen, memory))
        made = frozenset(one.action.path for one in done if not one.fault and one.action.do == MAKE)
        note(memory, device_node_plan.remembered(seen, memory, made))
    if wants_links:
        done += carried_out(device_node_plan.link_actions(facts(dev_root) if done else seen, CHAR))


def ordered(dev_root: str, wants_nodes: bool, wants_links: bool) -> list[Done]:
    """For the command: everything that is missing is made."""
    done = carried_out(device_node_plan.node_actions(facts(dev_root))) if wants_nodes else []
    return done + (carried_out(device_node_plan.link_actions(facts(dev_root), CHAR)) if wants_links else [])


def planned(dev_root: str, wants_nodes: bool, wants_links: bool) -> tuple[Action, ...]:
    """What `ordered` would do, without doing it."""
    seen = facts(dev_root)
    actions = device_node_plan.node_actions(seen) if wants_nodes else ()
    if wants_links:
        actions += device_node_plan.link_actions(device_node_plan.after(seen, actions), CHAR)
    return actions


def finding(done: Done) -> Finding:
    return Finding("info", done.action.path, done.fault or done.action.past())


def carried_out(actions: tuple[Action, ...]) -> list[Done]:
    done = []
    for action in actions:
        try:
            carry_out(action)
            done.append(Done(action))
        except Fault as fault:
            fact, hint = fault.finding.fact, fault.finding.hint
            done.append(Done(action, f"{fact}; {hint}" if hint else fact))
    return done


def carry_out(action: Action) -> None:
    """Raises Fault."""
    if action.node and action.do == MAKE:
        mknod.make(action.node)
    elif action.node and action.do == REPLACE:
        mknod.replace(action.node)
    elif action.do == REMOVE:
        mknod.unlink(action.path, action.text)
    elif action.do == REJOIN:
        mknod.unlink(action.path, action.before)
        mknod.link(action.path, action.text)
    elif action.do == JOIN:
        mknod.link(action.path, action.text)
    else:
        assert action.do == LEAVE


def facts(dev_root: str) -> Facts:
    """Sleeping GPUs are not asked for their minors: their nodes existed when they fell asleep. Raises Fault."""
    dev = f"{dev_root.rstrip('/')}/dev"
    text = path_entries.registered_drivers()
    loaded = device_node_plan.majors(registered(text)[0])
    return Facts(
        majors=loaded,
        readable=bool(text),
        minors=minors() if loaded else (),
        modeset=procfs.module_present("nvidia_modeset"),
        permissions=device_node_plan.permissions(procfs.text("/proc/driver/nvidia/params") or ""),
        capabilities=capabilities() if "nvidia-caps" in loaded else (),
        standing=standing(dev),
        links=links(),
        dev=dev,
        exempt="WSL" if char_devices.node("/dev/dxg") else "Tegra" if platforms.is_tegra(Tree("/")) else "",
        modules=tuple(map(number, MODULES)),
    )


def minors() -> tuple[int, ...]:
    asleep = {function.address for function in pci.functions() if function.suspended}
    awake = (address for address in names(procfs.GPUS) if address not in asleep)
    texts = (procfs.optional_text(f"{procfs.GPUS}/{address}/information") for address in awake)
    return tuple(sorted({minor for minor in map(driver_texts.gpu_minor, texts) if minor is not None}))


def capabilities() -> tuple[Capability, ...]:
    found = []
    for path in procfs.capability_files():
        said = procfs.text(path)
        one = device_node_plan.capability(path[len(procfs.CAPABILITIES) + 1 :], said) if said else None
        found += [one] if one else []
    return tuple(sorted(found))


def standing(dev: str) -> dict[str, Entry]:
    paths = [f"{dev}/{name}" for name in names(dev) if name.startswith("nvidia")]
    for directory in DIRECTORIES:
        paths += [f"{dev}/{directory}/{name}" for name in names(f"{dev}/{directory}")]
    found = path_entries.entries(paths)
    for path, entry in found.items():
        if entry.kind == UNKNOWN:
            raise Fault(path, "cannot be read", "probe again")
    return found


def links() -> dict[str, str]:
    there = names(CHAR)
    texts = {link.path: link.target for link in char_devices.links(f"{CHAR}/{name}" for name in there)}
    return {name: texts.get(f"{CHAR}/{name}", "") for name in there}


def names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError as error:
        if error.errno not in ABSENT:
            raise unreadable(directory, error) from None
        return []


def number(module: str) -> int:
    """The inode number, which is unique in sysfs over time; 0 if it does not exist."""
    try:
        return os.stat(f"/sys/module/{module}").st_ino
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise unreadable(module, error) from None


def recalled() -> Memory:
    try:
        memory: Memory = read_back(Memory, regular_file.read(MEMORY, 1 << 20))
    except (OSError, ValueError):
        return Memory()
    return memory


def note(before: Memory, now: Memory) -> None:
    if now != before:
        from cdi_refreshd.host import atomic_file  # noqa: PLC0415 - most passes find what the last one left

        with contextlib.suppress(Fault):  # then the next pass makes what was removed
            atomic_file.publish(MEMORY, json.dumps(now).encode())
