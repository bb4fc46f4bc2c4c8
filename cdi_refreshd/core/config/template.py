"""The configuration file as it is shipped, generated from the table of keys by `make generated`."""

import textwrap

from cdi_refreshd.core.config.schema import KEYS, SECTIONS, shown
from cdi_refreshd.core.config.settings import Settings


def template() -> str:
    """The file with every key at its default, commented out."""
    text = (
        "# Configuration of cdi-refreshd. Every key is here, with its default. Copy this file to\n"
        "# /etc/cdi-refreshd/cdi-refreshd.conf, or put what differs into cdi-refreshd.conf.d/*.conf beside it.\n"
        "# The same places in /run and /usr/lib are read as well. `cdi-refreshd config` prints what is in effect.\n"
        "# Lists are separated by commas, and a key given again adds to them; an empty value restores the default.\n"
        "# Spans of time are like 300, 5min, 500ms; without a unit they are seconds.\n"
    )
    for section in SECTIONS:
        text += f"\n[{section}]\n"
        for key in KEYS:
            if key.section == section:
                help_ = textwrap.fill(
                    key.help, 110, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
                )
                text += help_ + "\n" + f"#{key.name} = {shown(Settings(), key)}".rstrip() + "\n"
    return text
