"""A blinded reader study: raters grade reports and do not know who wrote them. Nothing in this package knows it."""
