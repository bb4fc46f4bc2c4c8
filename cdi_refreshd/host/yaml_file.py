"""Reads documents from files into plain data. PyYAML parses them; its events get their meaning as in go-yaml v2 (see
core/cdi/scalars.py), because container runtimes read specs with it, JSON ones too.

Known to differ: the escape \\' in double quotes, which go-yaml takes and libyaml does not.
"""

import errno
import os
from typing import Any, NamedTuple

from cdi_refreshd.core.cdi.decode import NOT_CDI
from cdi_refreshd.core.cdi.scalars import key_of, resolve
from cdi_refreshd.core.findings import Fault
from cdi_refreshd.host import regular_file
from cdi_refreshd.host.regular_file import NotRegular, TooLarge

EXTENSIONS = (".json", ".yaml")
"""Exactly these; a file named just `.yaml` counts, `.yml` and `.YAML` do not."""
SIZE_LIMIT_BYTES = 2 * 1024 * 1024
"""A spec of 64 GPUs with seven MIG slices each, by all three kinds of names, has 0.9 MB: this is twice as much. Every
runtime reads all of it, too, at each change of a directory."""
NODES_AT_MOST = 200_000
"""The same spec has 75 000. Without this bound 2 MiB of short list items would take us 20 s."""
VALUES_AT_MOST = 400_000
"""The same, with what aliases stand for."""
DEPTH_LIMIT = 64
"""A CDI document has eight levels."""

_TAG = "tag:yaml.org,2002:"
_TOO_LARGE = "this is no CDI document"
_WORDS = (b"cdiversion", b"kind")
_HINTS = {
    errno.EACCES: "read it as root, or make it readable: chmod 0644",
    errno.EPERM: "read it as root, or make it readable: chmod 0644",
    errno.ELOOP: "its symbolic links lead in a circle: remove it",
}


class Unreadable(Fault):
    """The file could not be read: nothing is known of the document."""


def read(path: str) -> Any:
    """The first document of a file as dicts, lists and scalars. Raises Unreadable; Fault where it does not parse."""
    return parse(read_bytes(path), path)


def read_bytes(path: str) -> bytes:
    """All of a regular file. A FIFO does not block, and a device node is not opened. Raises Unreadable."""
    try:
        return regular_file.read(path, SIZE_LIMIT_BYTES, follow_links=True)
    except NotRegular as error:
        raise Unreadable(path, str(error.strerror), "a CDI document is a regular file") from None
    except TooLarge as error:
        raise Unreadable(path, str(error.strerror), _TOO_LARGE) from None
    except FileNotFoundError:
        hint = "the symbolic link leads nowhere: remove it" if os.path.islink(path) else ""
        raise Unreadable(path, "no such file", hint) from None
    except (OSError, ValueError) as error:
        code = getattr(error, "errno", None) or 0
        raise Unreadable(
            path, f"cannot be read: {getattr(error, 'strerror', None) or error}", _HINTS.get(code, "")
        ) from None


class Document(NamedTuple):
    value: Any
    """Of the first document: dicts, lists and scalars."""
    unread_line: int = 0
    """The line of the first content after the first document, which nobody reads; 0: there is none."""


def document(data: bytes, place: str) -> Document:
    """A CDI document. Raises Fault, without any of the content if that is something else: it may be a file of secrets,
    and this process may have more rights than the user who asks."""
    try:
        value, end = _parsed(data, place)
    except Fault:
        if all(word in data.lower() for word in _WORDS):
            raise
        raise Fault(place, *NOT_CDI) from None
    return Document(value, _unread_line(data, end))


def bounded(data: bytes, place: str) -> bytes:
    if len(data) > SIZE_LIMIT_BYTES:
        raise Unreadable(place, f"is larger than {SIZE_LIMIT_BYTES} bytes", _TOO_LARGE)
    return data


def spec_files(directory: str) -> list[str]:
    """The paths in a spec directory that runtimes load, sorted. A missing directory has none, which is fine.

    Raises Unreadable; Fault where runtimes find nothing in it, whatever it has.
    """
    try:
        if os.path.islink(directory):
            # Go's filepath.Walk does not follow its starting point.
            hint = "name the directory that it leads to, or make it a directory"
            raise Fault(directory, "is a symbolic link: container runtimes find nothing in it", hint)
        with os.scandir(directory) as entries:
            names = [entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    except NotADirectoryError:
        raise Fault(directory, "is a file, not a directory", "move it away") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        hint = "run as root" if isinstance(error, PermissionError) else ""
        raise Unreadable(directory, f"cannot be read: {reason}", hint) from None
    return [os.path.join(directory, name) for name in sorted(names, key=os.fsencode) if name.endswith(EXTENSIONS)]


def parse(data: bytes, place: str) -> Any:
    """The first document in `data`; what follows it does not count. Raises Fault(place, ...)."""
    return _parsed(data, place)[0]


def _parsed(data: bytes, place: str) -> tuple[Any, Any]:
    """The first document, and the mark of its end."""
    import yaml  # noqa: PLC0415 - 33 ms, and most commands read no document

    events: Any = yaml.parse(data, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    try:
        node, end = _first_document(events, place)
        _refuse_json_slashes(data, node, place)
        return (_Meaning(place).value(node) if node else None), end
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise Fault(place, f"{where}{error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise Fault(place, " ".join(str(error).split())) from None
    finally:
        events.close()


class _Node(NamedTuple):
    kind: str
    """scalar, mapping, sequence, or alias."""
    event: Any
    children: list["_Node"]


def _fault(place: str, node: _Node | None, fact: str) -> Fault:
    return Fault(place, f"line {node.event.start_mark.line + 1}: {fact}" if node else fact)


def _unread_line(data: bytes, end: Any) -> int:
    """`end`: the mark of where the first document ends, None where there is none."""
    rest = data.decode("utf-8-sig", "replace")[end.index :].splitlines() if end else []
    for number, words in enumerate(map(str.strip, rest), end.line + 1 if end else 0):
        if words and words not in ("---", "...") and not words.startswith("#"):
            return number
    return 0


def _first_document(events: Any, place: str) -> tuple[_Node | None, Any]:
    """The tree of the first document, None where there is none, and the mark of its end.

    Not recursive: depth is the author's choice.
    """
    anchors: dict[str, _Node] = {}
    top: list[_Node] = []
    open_nodes = [_Node("document", None, top)]
    count, end = 0, None
    for event in events:
        kind = type(event).__name__.removesuffix("Event")
        if kind == "DocumentStart" and event.version and tuple(event.version) != (1, 1):
            raise Fault(place, "the directive %YAML must say 1.1", "leave it out")
        if kind == "DocumentEnd":
            end = event.end_mark
            break
        if kind in ("MappingEnd", "SequenceEnd"):
            open_nodes.pop()
        if kind not in ("Scalar", "Alias", "MappingStart", "SequenceStart"):
            continue
        node = _Node(kind.removesuffix("Start").lower(), event, [])
        count += 1
        if count > NODES_AT_MOST:
            raise _fault(place, node, f"more than {NODES_AT_MOST} values")
        if kind == "Alias":
            if event.anchor not in anchors:
                raise _fault(place, node, f"unknown anchor {event.anchor!a}")
            node.children.append(anchors[event.anchor])
        elif event.anchor:
            anchors[event.anchor] = node
        open_nodes[-1].children.append(node)
        if kind.endswith("Start"):
            open_nodes.append(node)
            if len(open_nodes) > DEPTH_LIMIT:
                raise _fault(place, node, f"more than {DEPTH_LIMIT} levels deep")
    return (top[0] if top else None), end


def _refuse_json_slashes(data: bytes, node: _Node | None, place: str) -> None:
    r"""The escape \/ of JSON: libyaml takes it, go-yaml does not."""
    if node is None or b"\\/" not in data:
        return
    text = data.decode("utf-8-sig", "replace")
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if node.kind != "alias":
            waiting.extend(node.children)
        if node.kind == "scalar" and node.event.style == '"' and "/" in node.event.value:
            written = text[node.event.start_mark.index : node.event.end_mark.index]
            if "\\/" in written.replace("\\\\", ""):
                raise _fault(place, node, r"container runtimes do not understand the escape \/; write / instead")


class _Meaning:
    """Turns nodes into values, and counts, so that a few aliases cannot stand for millions of values."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.count = 0
        self.aliased_count = 0
        self.alias_depth = 0

    def value(self, node: _Node, depth: int = 0) -> Any:
        self._bound(node, depth)
        if node.kind == "scalar":
            return self._scalar(node)
        if node.kind == "alias":
            self.alias_depth += 1
            value = self.value(node.children[0], depth + 1)
            self.alias_depth -= 1
            return value
        if node.kind == "sequence":
            return [self.value(child, depth + 1) for child in node.children]
        mapping: dict[str, Any] = {}
        self._fill(mapping, set(), node, depth)
        return mapping

    def _bound(self, node: _Node, depth: int) -> None:
        """go-yaml's own limit, as far as it matters here: 99 % of the values may come from aliases."""
        self.count += 1
        self.aliased_count += self.alias_depth > 0
        if depth > DEPTH_LIMIT:
            raise _fault(self.place, node, f"more than {DEPTH_LIMIT} levels deep, or an alias within itself")
        if self.aliased_count > 100 and self.count > 1000 and self.aliased_count / self.count > 0.99:
            raise _fault(self.place, node, "too many values come from aliases")
        if self.count > VALUES_AT_MOST:
            raise _fault(self.place, node, f"aliases make more than {VALUES_AT_MOST} values of it")

    def _fill(self, mapping: dict[str, Any], seen: set[object], node: _Node, depth: int) -> None:
        """Put the pairs of a mapping node into `mapping`. A key that a merge brought may not be given again."""
        for key_node, value_node in zip(node.children[::2], node.children[1::2], strict=True):
            if _merges(key_node):
                for source in self._sources(value_node, depth):
                    self._fill(mapping, seen, source, depth + 1)
                continue
            key = self.value(key_node, depth + 1)
            if key is None or isinstance(key, dict | list) or (isinstance(key, int) and key >= 2**63):
                raise _fault(self.place, key_node, "a key must be text")
            if (type(key), key) in seen:
                raise _fault(self.place, key_node, f"{key_of(key)!a} stands there twice")
            seen.add((type(key), key))
            mapping[key_of(key)] = self.value(value_node, depth + 1)

    def _sources(self, node: _Node, depth: int) -> list[_Node]:
        """The mapping nodes that `<<: node` merges."""
        found = []
        for child in reversed(node.children) if node.kind == "sequence" else [node]:
            target = child.children[0] if child.kind == "alias" else child
            if target.kind != "mapping":
                raise _fault(self.place, node, "<< takes a mapping, or a list of mappings")
            self._bound(target, depth + 1)
            found.append(target)
        return found

    def _scalar(self, node: _Node) -> Any:
        text, tag = node.event.value, node.event.tag
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise _fault(self.place, node, "half a surrogate pair is not a character")
        if tag is None:
            return resolve(text) if node.event.implicit[0] else text
        name = tag.removeprefix(_TAG) if tag.startswith(_TAG) else ""
        if name == "binary":
            return self._binary(node)
        if name not in ("int", "float", "bool", "null"):
            return text
        value = resolve(text)
        is_a = {int: "int", float: "float", bool: "bool", type(None): "null"}.get(type(value))
        if name == "float" and is_a == "int":
            return float(value or 0)
        if is_a != name:
            raise _fault(self.place, node, f"{text!a} is not of type {name}")
        return value

    def _binary(self, node: _Node) -> str:
        from base64 import b64decode  # noqa: PLC0415 - very rare

        try:
            return b64decode(node.event.value.replace("\n", ""), validate=True).decode(errors="replace")
        except ValueError:
            raise _fault(self.place, node, "is not base64") from None


def _merges(key: _Node) -> bool:
    event = key.event
    return key.kind == "scalar" and event.value == "<<" and (event.implicit[0] or event.tag == f"{_TAG}merge")
