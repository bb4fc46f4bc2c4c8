"""Plain data (what a YAML or JSON parser gives) -> Spec, as strict and as lenient as the Go library is.

Source: sigs.k8s.io/yaml UnmarshalStrict over specs-go/config.go: YAML to JSON, then encoding/json. Keys match in any
letter case, unknown ones are errors, scalars become strings where strings are wanted, null means "not given".
"""

from typing import Any

from cdi_refreshd.core.cdi.model import KEYS, Device, IntelRdt, Key, Spec
from cdi_refreshd.core.cdi.scalars import key_of, text_of
from cdi_refreshd.core.cdi.validate import validate
from cdi_refreshd.core.findings import SHOWN_AT_MOST as KEY_AT_MOST
from cdi_refreshd.core.findings import Finding, quoted, shown

_RANGES = {"int64": (-(2**63), 2**63 - 1), "int": (-(2**63), 2**63 - 1), "uint32": (0, 2**32 - 1)}
_REMOVED = ("enableCMT", "enableMBM")

Problems = list[Finding]
NOT_CDI = "is not a CDI document", "a CDI document has cdiVersion, kind and devices"
"""Nothing of a file that is not a spec is quoted: it may hold secrets."""
FINDINGS_AT_MOST = 20
"""For one document: more are usually one mistake repeated."""


def decode(data: object) -> tuple[Spec | None, list[Finding]]:
    """The Spec and no findings, or None and what is wrong. What the values mean is checked by validate."""
    problems: Problems = []
    if data is None:
        return None, [Finding("fatal", "document", "holds nothing", NOT_CDI[1])]
    spec = _record(Spec, data, "", problems)
    return (None, few(problems)) if problems else (spec, [])


def decode_valid(data: object) -> tuple[Spec | None, list[Finding]]:
    """The same, and validated: either a Spec or findings. For files that others wrote."""
    if data is not None and not _is_cdi(data):
        return None, [Finding("fatal", "document", *NOT_CDI)]
    spec, problems = decode(data)
    if spec is not None:
        problems = few(validate(spec))
    return (None if problems else spec), problems


def few(problems: Problems) -> Problems:
    more = len(problems) - FINDINGS_AT_MOST
    if more <= 0:
        return problems
    return [*problems[:FINDINGS_AT_MOST], Finding("fatal", "document", f"has {more} more such errors")]


def _is_cdi(data: object) -> bool:
    """A mapping with cdiVersion and kind; if one is missing, that is reported only where there are devices."""
    if not isinstance(data, dict):
        return False
    keys = {_folded(name) for name in data if isinstance(name, str)}
    return len(keys & {"cdiversion", "kind", "devices"}) >= 2 and not keys.isdisjoint({"cdiversion", "kind"})


def _wrong(problems: Problems, place: str, fact: str, hint: str = "") -> None:
    problems.append(Finding("fatal", place or "document", fact, hint))


def _record(of: Any, data: object, place: str, problems: Problems) -> Any:
    """A record of type `of`; fields that are missing or wrong in the data are zero."""
    values = {}
    known = {key.key.lower(): key for key in KEYS[of]}
    for name, value in _items(data, place, problems):
        key = known.get(_folded(name))
        here = f"{place}.{name}" if place else name
        if key is None:
            _unknown(of, name, here, problems)
        elif value is None:
            continue
        else:
            values[key.attribute] = _value(key.holds, value, here, problems)
    for key in KEYS[of]:
        if key.attribute not in of._field_defaults:
            values.setdefault(key.attribute, _zero(key, problems))
    return of(**values)


def _items(data: object, place: str, problems: Problems) -> list[tuple[str, object]]:
    """The pairs of a mapping, by name: where two names differ only in letter case, the later one counts, as in Go."""
    if data is None:
        return []
    if not isinstance(data, dict):
        _wrong(problems, place, f"must be an object with keys, not {_quoted_value(data)}")
        return []
    pairs = []
    for name, value in data.items():
        if not isinstance(name, str | int | float):
            _wrong(problems, place, f"has the key {_quoted_value(name)}")
        else:
            pairs.append((key_of(name), value))
    return sorted(pairs, key=lambda pair: pair[0])


def _folded(name: str) -> str:
    """As encoding/json compares names: two other Unicode letters fold to k and s."""
    return name.replace("\u017f", "s").lower()


def _unknown(of: type, name: str, place: str, problems: Problems) -> None:
    if of is IntelRdt and name in _REMOVED:
        _wrong(problems, place, "unknown key: CDI 1.1.0 removed it", "remove it")
        return
    from difflib import get_close_matches  # noqa: PLC0415 - only for a document with a mistake in it

    known = [key.key for key in KEYS[of]]
    close = get_close_matches(name, known, n=1) if len(problems) < FINDINGS_AT_MOST and len(name) < KEY_AT_MOST else []
    head = place[: len(place) - len(name)]
    _wrong(problems, head + shown(name), "unknown key", f"did you mean {close[0]}?" if close else "")


def _zero(key: Key, problems: Problems) -> object:
    if key.holds in ("str", "map"):
        return "" if key.holds == "str" else ()
    return () if isinstance(key.holds, list) else _record(key.holds, None, "", problems)


def _value(holds: Any, value: object, place: str, problems: Problems) -> object:
    if isinstance(holds, list):
        return _list(holds[0], value, place, problems)
    if holds == "str":
        return _text(value, place, problems)
    if holds == "map":
        pairs = _items(value, place, problems)
        return tuple((name, _text(item, f"{place}[{quoted(name)}]", problems)) for name, item in dict(pairs).items())
    if holds == "bool":
        if not isinstance(value, bool):
            _wrong(problems, place, f"must be true or false, not {_quoted_value(value)}")
        return value is True
    if holds in _RANGES:
        return _integer(holds, value, place, problems)
    return _record(holds, value, place, problems)


def _list(holds: Any, value: object, place: str, problems: Problems) -> tuple[object, ...]:
    if not isinstance(value, list):
        _wrong(problems, place, f"must be a list, not {_quoted_value(value)}")
        return ()
    items: list[object] = []
    for index, item in enumerate(value):
        here = f"{place}[{index}]"
        if item is None and holds not in (Device, "str", "uint32"):
            # Pointers in Go: the library follows them without a check.
            _wrong(problems, here, "must not be null: it crashes container runtimes")
        elif item is None and holds == "uint32":
            items.append(0)
        else:
            items.append(_value(holds, item, here, problems))
    return tuple(items)


def _text(value: object, place: str, problems: Problems) -> str:
    if value is None:
        return ""
    if isinstance(value, str | int | float):
        return text_of(value)
    _wrong(problems, place, f"must be text, not {_quoted_value(value)}")
    return ""


def _integer(holds: str, value: object, place: str, problems: Problems) -> int:
    """195.0 and 1e3 are accepted; a string is not."""
    number = value
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        from decimal import Decimal  # noqa: PLC0415 - hardly any document has such a number

        # Go formats the float with the fewest digits and parses those again.
        number = int(Decimal(repr(value)))
        if holds == "uint32" and str(value) == "-0.0":
            number = -1
    if isinstance(number, bool) or not isinstance(number, int):
        _wrong(problems, place, f"must be a whole number, not {_quoted_value(value)}")
        return 0
    low, high = _RANGES[holds]
    if not low <= number <= high:
        _wrong(problems, place, f"must be from {low} to {high}, not {_quoted_value(value)}")
        return 0
    return number


def _quoted_value(value: object) -> str:
    """A value in a message: short, on one line."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "null"
    text = quoted(value) if isinstance(value, str) else text_of(value) if isinstance(value, int | float) else "that"
    return text if len(text) <= 60 else f"{text[:57]}..."
