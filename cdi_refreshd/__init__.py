"""Keeps the NVIDIA CDI spec of a GPU host up to date."""

__version__ = "0.1.0"
