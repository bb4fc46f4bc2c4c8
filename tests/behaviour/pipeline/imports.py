"""Does what it is asked and prints which modules that has imported: to be run in a made-up machine."""

import os
import sys

BEFORE = set(sys.modules)
sys.path.insert(0, os.path.abspath(__file__).rpartition("/tests/")[0])


def probe():
    """What the child of the daemon and of oneshot does."""
    from cdi_refreshd.core.config.choices import Choices
    from cdi_refreshd.probe import runner
    from cdi_refreshd.probe.request import Request

    runner._probe(Request(Choices(), True, "", "auto", True))


def main(what):
    out = os.dup(1)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    if what == "probe":
        probe()
    else:
        from cdi_refreshd import cli

        cli.run(what.split())
        sys.stdout.flush()
    os.dup2(out, 1)
    print("\n".join(sorted(set(sys.modules) - BEFORE)))


if __name__ == "__main__":
    main(sys.argv[1])
