"""Papers about this installation, made from its configuration and code."""
