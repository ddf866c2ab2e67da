"""The MAC Titan under the strict protocol: its layers, its attention and its memory."""
