"""Reasons to look again, one small source for each facility. An event is a hint; the look is the truth."""
