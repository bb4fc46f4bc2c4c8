"""The environment of all tests: no locale, no service manager, no strict umask, no options of the program."""

import os

FOREIGN = ("CDI_", "JOURNAL_STREAM", "LANG", "LC_", "NOTIFY_SOCKET", "NVIDIA_", "WATCHDOG_", "XDG_CONFIG", "XDG_DATA")

# At once, since modules read the environment when they are imported.
for name in [name for name in os.environ if name.startswith(FOREIGN)]:
    del os.environ[name]
os.environ["LC_ALL"] = "C.UTF-8"
os.umask(0o022)
