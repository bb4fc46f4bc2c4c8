"""The daemon as a process, in a made-up machine, with a datagram socket in place of systemd."""
