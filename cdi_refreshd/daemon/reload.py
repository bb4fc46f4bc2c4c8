"""A reload, from being asked for to its answer: three states."""

from enum import Enum


class Reload(Enum):
    """Each method gives the state that follows."""

    NONE = "nobody waits"
    ASKED = "asked for, and no pass has begun since"
    RUNNING = "the pass that answers it is under way"

    def asked(self) -> "Reload":
        """Who asks while a pass is under way waits for the next one: this one may have looked already."""
        return Reload.ASKED

    def pass_begins(self) -> "Reload":
        return Reload.NONE if self is Reload.NONE else Reload.RUNNING

    def is_answered(self) -> bool:
        """Whether the end of a pass answers it."""
        return self is Reload.RUNNING
