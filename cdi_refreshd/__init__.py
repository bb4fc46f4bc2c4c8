"""Keeps the NVIDIA CDI spec of a GPU host true."""

__version__ = "0.1.0"
