"""Spec -> the bytes of a CDI document. The same Spec always gives the same bytes.

Layout and key order are those of `nvidia-ctk cdi generate`, so that a diff between the two shows only what differs.
"""

import functools
import re
from typing import Any

from cdi_refreshd.core.cdi.model import KEYS, Spec
from cdi_refreshd.core.findings import Fault

INDENT = 4
REPEATED_AT_MOST = 64
"""Texts whose form is kept: keys and mount options stand in a document a hundred times, paths once."""
SIMPLE_KEY_LENGTH = 128
"""YAML allows 1024 characters before the colon; longer keys need the `? key` form. go-yaml does the same."""

# Unquoted is only what every YAML 1.1 and 1.2 reader takes as a string: paths, options, NAME=value, 1.2.3.
_PLAIN = re.compile(
    r"""(?: [A-Za-z/_] | \.\.?/ | --?[A-Za-z] )
        (?: [A-Za-z0-9_./=@+,%-] | :(?=[A-Za-z0-9_./:=@+,%-]) | [ ](?=[A-Za-z0-9_./=@+,%-]) )*
      | [0-9]+ (?: \.[0-9]+ ){2,}""",
    re.VERBOSE,
)
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})
_ESCAPED = re.compile('[\x00-\x1f"\\\\\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff]')
_ESCAPED_IN_JSON = "[\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff]"
_SHORT = {"\0": "\\0", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\x1b": "\\e", '"': '\\"', "\\": "\\\\"}


def to_yaml(spec: Spec) -> bytes:
    """Raises Fault where a text cannot be written as UTF-8 (a file name with stray bytes)."""
    # Our own emitter: importing PyYAML costs 33 ms at every boot, three times the start of a bare interpreter.
    lines = ["---"]
    document = plain(spec)
    _mapping(lines, document, 0)
    lines.append("")
    return _encoded("\n".join(lines), document)


def to_json(spec: Spec) -> bytes:
    """One line, without a newline at its end. Raises Fault as to_yaml does."""
    import json  # noqa: PLC0415 - nearly every spec is YAML

    document = plain(spec)
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    # Runtimes read JSON with a YAML parser: it takes these as line ends or drops them. It also rejects a pair of
    # escaped surrogates, which ensure_ascii would write.
    return _encoded(re.sub(_ESCAPED_IN_JSON, lambda match: f"\\u{ord(match.group()):04x}", text), document)


def plain(record: tuple[Any, ...]) -> dict[str, Any]:
    """A record of core/cdi/model.py as dicts, lists and scalars: what a YAML or JSON reader would give back."""
    out: dict[str, Any] = {}
    of: Any = type(record)
    for attribute, key, holds, required in KEYS[of]:
        value = getattr(record, attribute)
        if value is None:
            continue
        if isinstance(holds, list):
            value = [plain(item) for item in value] if holds[0] in KEYS else list(value)
        elif holds in KEYS:
            value = plain(value)
        elif holds == "map":
            value = dict(value)
        # Where "absent" is None, an empty value is content: uid 0, `intelRdt: {}`, `schemata: []`.
        if value or required or of._field_defaults.get(attribute, "") is None:
            out[key] = value
    return out


def _mapping(lines: list[str], mapping: dict[str, Any], indent: int) -> None:
    pad = " " * indent
    for key, value in mapping.items():
        name = _scalar(key)
        head = f"{pad}{name}:" if len(name) <= SIMPLE_KEY_LENGTH else f"{pad}? {name}\n{pad}:"
        deeper = (indent // INDENT + 1) * INDENT
        if value and isinstance(value, dict):
            lines.append(head)
            _mapping(lines, value, deeper)
        elif value and isinstance(value, list):
            lines.append(head)
            _sequence(lines, value, deeper)
        else:
            lines.append(f"{head} {_scalar(value)}")


def _sequence(lines: list[str], items: list[Any], indent: int) -> None:
    dash = " " * indent + "- "
    for item in items:
        if isinstance(item, dict):
            first = len(lines)
            _mapping(lines, item, indent + 2)
            lines[first] = dash + lines[first][indent + 2 :]
        else:
            lines.append(dash + _scalar(item))


def _scalar(value: object) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return "[]" if isinstance(value, list) else "{}"


@functools.lru_cache(REPEATED_AT_MOST)
def _text(value: str) -> str:
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return '"' + _ESCAPED.sub(_escape, value) + '"'


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    code = ord(character)
    return _SHORT.get(character) or (f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}")


def _encoded(text: str, document: dict[str, Any]) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        _refuse_broken_text(document, "")
        raise


def _refuse_broken_text(value: object, place: str) -> None:
    """Raise Fault at the first string that is not valid UTF-8."""
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_broken_text(key, f"{place}.{key!a}" if place else ascii(key))
            _refuse_broken_text(item, f"{place}.{key}" if place else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_broken_text(item, f"{place}[{index}]")
    elif isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        raise Fault(place, f"{value!a} is not valid UTF-8", "a CDI document cannot name it; rename the file")
