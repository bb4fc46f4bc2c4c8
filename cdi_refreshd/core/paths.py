"""Operations on paths as text; nothing here reads a file system."""


def with_prefix(path: str, prefix: str) -> str:
    """The host's path as it is here. What is not an absolute path, such as a program's name, stays unchanged."""
    is_elsewhere = path.startswith("/") and not f"{path}/".startswith("/dev/")
    return f"{prefix}{path}".rstrip("/") if is_elsewhere else path


def without_prefix(path: str, prefix: str) -> str:
    """The path on the host of a path here; one outside of the prefix stays unchanged."""
    if path == prefix:
        return "/"
    return path.removeprefix(prefix) if path.startswith(f"{prefix}/") else path


def joined(directory: str, target: str) -> str:
    """Where a link in `directory` points, by its text."""
    parts: list[str] = []
    for part in (target if target.startswith("/") else f"{directory}/{target}").split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)
