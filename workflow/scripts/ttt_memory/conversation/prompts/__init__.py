"""How dialogues and probes become tokens: rendering, encoding, packing into rows."""
