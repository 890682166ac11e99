"""Data only: the demonstration checkpoint, written by `python -m agent.training.demo_checkpoint`.

It has the layout of CXR-LLaVA-v2 and none of its weights; its projector is zero, so it cannot see a film.
"""
