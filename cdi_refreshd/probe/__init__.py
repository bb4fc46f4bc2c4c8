"""Finds the devices and files of this machine. Runs in the probe's child, so that the daemon survives its crash."""
