"""Reasons to probe again, one small source for each facility. An event is a hint; the probe is the truth."""
