"""Asking a trained run under every condition, and checking it first."""
