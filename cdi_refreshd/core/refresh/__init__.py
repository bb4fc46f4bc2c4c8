"""When to probe again, what a probe means for the published spec, and when that spec is restored without one."""
