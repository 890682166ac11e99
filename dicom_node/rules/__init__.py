"""Rules: which reader, in which order, for whom, or why not. They live in the database; a person writes them."""
