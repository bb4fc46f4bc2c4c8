"""Stand-ins for NVIDIA's hook program: each answers, and fails, as one of its releases does."""

COMMON = ("chmod", "create-symlinks", "update-ldcache")
ALL = (*COMMON, "enable-cuda-compat", "disable-device-node-modification", "update-application-profile")
RELEASES = {
    "1.14.6": COMMON,
    "1.16.2": COMMON,
    "1.17.8": ALL[:4],
    "1.18.2": ALL[:5],
    "1.19.0": ALL[:5],
    "1.20.0": ALL,
}
"""Release -> the hooks that it has."""
TOLERANT = ("1.18.2", "1.19.0", "1.20.0")
"""Releases that ignore an unknown hook; the others end with status 3."""
OLD_FLAGS = ("1.14.6", "1.16.2", "1.17.8", "1.18.2")
"""Releases that refuse the flags of csv mode."""
CDI_HOOK, CTK = "/usr/bin/nvidia-cdi-hook", "/usr/bin/nvidia-ctk"

# A hook must read the container's state from its input: crun fails if the pipe breaks.
SCRIPT = """#!/bin/sh
{shift}
case "$1" in
--version) printf '{title} version {release}\\ncommit: 0123456\\n'; exit 0;;
--help) printf 'NAME:\\n   {title}\\n\\nUSAGE:\\n   {title} [global options] command\\n\\nCOMMANDS:\\n{commands}'
    printf '   help, h  Shows a list of commands\\n\\nGLOBAL OPTIONS:\\n   --help, -h  show help\\n'; exit 0;;
esac
cat > /dev/null
echo "$*" >> {log}
case "$1" in
{known}) case "$*" in
    {flags}) echo "flag provided but not defined" >&2; echo "failed: $*" >> {log}; exit 1;;
    esac; exit 0;;
esac
echo "No help topic for '$1'" >&2
[ {tolerated} = yes ] || {{ echo "failed: $*" >> {log}; exit 3; }}
"""
# nvidia-ctk takes the hook's name one word later, and has a version of its own.
CTK_SHIFT = '[ "$1" = hook ] && shift'


def place(release: str) -> str:
    return CTK if release.startswith("1.14") else CDI_HOOK


def script(release: str, log: str = "/run/hooks") -> str:
    """The program's text; it writes each call into `log`, and a line with `failed` where it fails."""
    ctk = place(release) == CTK
    return SCRIPT.format(
        shift=CTK_SHIFT if ctk else "",
        title="NVIDIA Container Toolkit CLI" if ctk else "NVIDIA CDI Hook",
        release=release,
        commands="".join(f"   {name:<33} A hook\\n" for name in RELEASES[release]),
        known="|".join(RELEASES[release]),
        flags="*--host-cuda-version*|*--cuda-compat-container-root*" if release in OLD_FLAGS else "NONE",
        tolerated="yes" if release in TOLERANT else "no",
        log=log,
    )


def install(machine, release: str) -> str:
    """Installs one in place of any other; returns its path."""
    for path in (CDI_HOOK, CTK):
        machine.path(path).unlink(missing_ok=True)
    path = machine.path(place(release))
    fresh = path.with_name(".fresh")
    fresh.write_text(script(release))
    fresh.chmod(0o755)
    fresh.rename(path)
    return place(release)
