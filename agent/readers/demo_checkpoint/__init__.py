"""Data only: the demonstration model, made by `python -m agent.training.demonstration`; see MODEL_CARD.md."""
