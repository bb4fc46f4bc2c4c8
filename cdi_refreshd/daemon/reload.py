"""A reload, from the request to its answer: three states."""

from enum import Enum


class Reload(Enum):
    """Each method returns the next state."""

    NONE = "nobody waits"
    ASKED = "requested, and no pass has begun since"
    RUNNING = "the pass that answers it is under way"

    def asked(self) -> "Reload":
        """A request during a pass is answered by the next one: this one may have read the old configuration."""
        return Reload.ASKED

    def pass_begins(self) -> "Reload":
        return Reload.NONE if self is Reload.NONE else Reload.RUNNING

    def is_answered(self) -> bool:
        """Whether the end of a pass answers it."""
        return self is Reload.RUNNING
