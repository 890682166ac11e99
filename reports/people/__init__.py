"""People: who they are, what they may do, how they prove it, and how long that holds. Knows nothing of pages."""
