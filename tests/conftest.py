"""What the tests run in, whoever started them: no locale, no service manager, none of our own options."""

import os

FOREIGN = ("CDI_", "JOURNAL_STREAM", "LANG", "LC_", "NOTIFY_SOCKET", "NVIDIA_", "WATCHDOG_", "XDG_CONFIG", "XDG_DATA")

# At once: modules read the environment where they are imported.
for name in [name for name in os.environ if name.startswith(FOREIGN)]:
    del os.environ[name]
os.environ["LC_ALL"] = "C.UTF-8"
