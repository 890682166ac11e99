"""What whoever uses the published model agrees to. A summary is no licence: the links are what counts."""

from __future__ import annotations

from typing import Final

PUBLISHED: Final = "cc-by-nc-4.0"
NAMES: Final = ("CC-BY-NC-4.0", "Llama 2 Community License")
TEXT: Final = """\
CXR-LLaVA-v2 is not part of wetread. Two licences hold for it, and both must allow your use:

  1. Creative Commons Attribution-NonCommercial 4.0 (CC-BY-NC-4.0), by its authors (ECOFRI):
     name them, and make no commercial use of it.           https://creativecommons.org/licenses/by-nc/4.0/legalcode
  2. Llama 2 Community License and its Acceptable Use Policy, by Meta, on whose Llama 2 7B Chat it is built:
     pass both on with every copy; they forbid some uses.   https://ai.meta.com/llama/license/
                                                            https://ai.meta.com/llama/use-policy/

It is no medical device, and was published for research. Ask whoever answers for licences in your institution.
"""
