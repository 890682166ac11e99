"""The smallest model that goes through every stage, as a section of the settings."""

from __future__ import annotations

from typing import Final

SHAPE: Final = """
[shape]
image_size = 32
patch_size = 16
tower_width = 32
tower_layers = 1
llama_width = 32
llama_layers = 1
llama_heads = 2
llama_inner = 64
vocabulary = 420
"""
