"""A publisher to be traced: a system call that nothing else makes marks where publishing begins and ends."""

import os
import sys

sys.path.insert(0, os.path.abspath(__file__).rpartition("/tests/")[0])

from cdi_refreshd.core.findings import Fault
from cdi_refreshd.host.atomic_file import publish, withdraw

BEGIN, END = "/publishing begins", "/publishing ends"
FAULT_STATUS = 3


def main(operation, path, source):
    with open(source, "rb") as file:
        content = file.read()
    words, status = "", 0
    os.access(BEGIN, os.F_OK)
    try:
        _ = publish(path, content) if operation == "publish" else withdraw(path)
    except Fault as fault:
        words, status = str(fault), FAULT_STATUS
    os.access(END, os.F_OK)
    print(words)
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
