"""The forecaster of the publication under its own protocol, and the numbers it must agree with."""
