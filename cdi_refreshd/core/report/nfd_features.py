"""Labels for Node Feature Discovery's local source: `NAME=VALUE` lines, which become feature.node.kubernetes.io/NAME.

Values are those that Kubernetes takes for labels: 63 characters of letters, digits, dashes, underscores and dots, with
a letter or digit at both ends. What changes often is not a label: each change is a write to the API server.
"""

import re

from cdi_refreshd.core.report.metrics import Measured

PREFIX = "cdi-refreshd"
_ODD, _EDGES = re.compile(r"[^A-Za-z0-9._-]"), "._-"
VALUE_AT_MOST = 63


def text(of: Measured) -> str:
    devices = dict(of.spec_devices)
    labels = {
        "state": of.state,
        "gpus": str(devices.get("gpu", 0)),
        "mig-devices": str(devices.get("mig", 0)),
        "driver": of.module,
        "spec-up-to-date": "true" if of.is_up_to_date else "false",
    }
    shown = {name: value for name, said in labels.items() if (value := label(said))}
    return "".join(f"{PREFIX}.{name}={value}\n" for name, value in shown.items())


def label(value: str) -> str:
    """The value as Kubernetes accepts it; "" if nothing is left."""
    return _ODD.sub("-", value)[:VALUE_AT_MOST].strip(_EDGES)
