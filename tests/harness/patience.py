"""How long a test waits for a page; a browser on a busy machine is slow, and none is known by its speed."""

SLOW = 60_000  # ms
