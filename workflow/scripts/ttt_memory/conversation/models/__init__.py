"""The base model and what is attached to it: loading, adapters, attention masks, trained runs."""
