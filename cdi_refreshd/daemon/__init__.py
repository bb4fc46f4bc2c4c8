"""The long-running service: waits for events, has the probe run, publishes, and reports."""
