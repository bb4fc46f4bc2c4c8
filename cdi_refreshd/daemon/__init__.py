"""The long-running service: waits for events, runs the probe, publishes, and reports."""
