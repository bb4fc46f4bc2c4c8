"""Access to the machine: one facility per module; modules here do not import each other."""
