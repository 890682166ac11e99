"""What tests need around the real program: a running node, real peers, and patience that names what it waits for."""
