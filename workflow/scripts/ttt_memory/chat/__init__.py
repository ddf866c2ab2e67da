"""Talk to a model: tell, drop, ask."""
