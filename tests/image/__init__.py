"""`make image-test`: the image as the DaemonSet runs it, under podman, in a made-up machine that is its node."""
