"""The conversation study: read a dialogue, drop it, answer from the fast weights alone."""
