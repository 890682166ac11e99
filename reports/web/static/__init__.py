"""The style sheet. A package, so that an installation carries it."""
