"""The commands, one module for each that belongs together. `agent.cli` imports them by name when they are called."""
