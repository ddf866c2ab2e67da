"""What the workflow and its documentation need: configuration, closures, provenance."""
