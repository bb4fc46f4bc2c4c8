"""One record of a pass, and its rendering for the journal, systemd and state.json."""
