"""Batches built side by side with training: in threads, each of which may have a process of its own."""
