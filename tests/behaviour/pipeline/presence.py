"""Finds GPUs without NVML, to be traced: begin and end are marked by system calls that nothing else makes."""

import os
import sys

sys.path.insert(0, os.path.abspath(__file__).rpartition("/tests/")[0])

from cdi_refreshd.core.refresh import states
from cdi_refreshd.host.driver_root import Tree
from cdi_refreshd.probe import machine

BEGIN, END = "/presence begins", "/presence ends"


def main():
    os.access(BEGIN, os.F_OK)
    seen = machine.presence(Tree("/"))
    os.access(END, os.F_OK)
    verdict = states.absence(seen)
    print(verdict.action if verdict else "go on")


if __name__ == "__main__":
    main()
