"""From the inventory of a host to the spec that its containers need.

Source: what NVIDIA's `nvidia-ctk cdi generate` 1.20 emits, with differences only where that one fails.
"""
