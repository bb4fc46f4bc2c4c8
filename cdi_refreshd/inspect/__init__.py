"""Gathers what the rules of core/checks/ need to know from this host and its spec directories."""
