"""Which devices and files make up this machine. Runs in the probe's child: what hangs or crashes here hurts nobody."""
