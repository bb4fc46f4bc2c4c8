"""YAML scalars as the Go libraries of container runtimes take them: go-yaml v2 below sigs.k8s.io/yaml.

Neither YAML 1.1 nor 1.2: `yes` and `y` are booleans, 0666 and 0o666 octal, 08 a float, 1:30 and dates strings.
"""

import re
import struct

Scalar = str | int | float | bool | None

_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}
_INTEGER = re.compile(
    r"(?P<sign>[-+]?)(0[xX](?P<hex>[0-9a-fA-F]+)|0[bB](?P<bin>[01]+)|0[oO]?(?P<oct>[0-7]+)|(?P<dec>0|[1-9][0-9]*))"
)
_BASES = {"hex": 16, "bin": 2, "oct": 8, "dec": 10}
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_DIGITS = 400
"""No number with more digits fits a float, and Python refuses to parse thousands of digits."""


def resolve(text: str) -> Scalar:
    """What a plain (unquoted, untagged) scalar means."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    digits = text if text[0] == "." else text.replace("_", "")
    if len(digits) <= _DIGITS:
        number = _integer(digits)
        if number is not None:
            return number
        if _FLOAT.fullmatch(digits) and abs(float(digits)) != float("inf"):
            return float(digits)
    return text


def _integer(digits: str) -> int | None:
    """None also beyond 64 bits: such a number is a float, if it is a number at all."""
    match = _INTEGER.fullmatch(digits)
    if not match:
        return None
    sign, (base, value) = match["sign"], next((b, match[b]) for b in _BASES if match[b])
    number = int(value, _BASES[base])
    if sign == "-":
        return -number if number <= 2**63 else None
    return number if number < (2**63 if sign else 2**64) else None


def text_of(value: str | int | float | bool) -> str:
    """A scalar where the document expects a string: `1.10` gives "1.1", `yes` gives "true"."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else _float32(value)


def key_of(value: str | int | float | bool) -> str:
    """The same for a key of a mapping."""
    text = text_of(value)
    return {"+Inf": ".inf", "-Inf": "-.inf", "NaN": ".nan"}.get(text, text) if isinstance(value, float) else text


def _float32(value: float) -> str:
    """The shortest decimal that gives the same 32-bit float, as Go's strconv.FormatFloat(value, 'g', -1, 32)."""
    if value != value:  # noqa: PLR0124 - not a number
        return "NaN"
    try:
        (single,) = struct.unpack("f", struct.pack("f", value))
    except OverflowError:
        single = float("inf") if value > 0 else float("-inf")
    if abs(single) == float("inf"):
        return "+Inf" if single > 0 else "-Inf"
    scientific = next(
        text for p in range(9) if struct.pack("f", float(text := f"{single:.{p}e}")) == struct.pack("f", single)
    )
    mantissa, _, exponent = scientific.partition("e")
    if -4 <= int(exponent) < 6 or not single:
        places = max(len(mantissa.partition(".")[2]) - int(exponent), 0)
        return f"{float(scientific):.{places}f}"
    return scientific
