"""Touches the machine: one facility a module; modules here do not import each other."""
