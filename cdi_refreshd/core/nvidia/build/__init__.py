"""From what the machine is to the spec that its containers need.

Source: what NVIDIA's `nvidia-ctk cdi generate` 1.20 emits, and is deliberately different only where that one breaks.
"""
