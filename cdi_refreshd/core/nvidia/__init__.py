"""What an NVIDIA host is (the inventory), where its driver has its files, and the spec that follows from both."""
