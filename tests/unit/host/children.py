"""Work that a child does, from its start to its end."""

from cdi_refreshd.host.child import Child

LONG_S = 120
"""A limit that is never reached, for what ends by itself."""


def answer(work, limit_s=LONG_S):
    """Once the child has ended. Raises Fault as Child does."""
    started = Child(work)
    answered = started.answer(limit_s)
    started.end()
    return answered
