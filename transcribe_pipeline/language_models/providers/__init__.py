"""The providers, one module for each interface; each is a `wire.Wire`."""
