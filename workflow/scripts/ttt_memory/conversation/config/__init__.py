"""Typed configuration of the conversation study: base model, training runs, asking."""
