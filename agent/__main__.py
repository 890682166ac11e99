"""`python -m agent` is `wetread`."""

from agent.cli import main

main()
