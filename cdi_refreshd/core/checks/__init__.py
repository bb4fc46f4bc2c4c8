"""Every rule about a spec and its host, as pure functions: facts in, findings out."""
