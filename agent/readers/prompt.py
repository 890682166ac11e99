"""What CXR-LLaVA is asked, and how the words become token ids (reproduces slow LlamaTokenizer of transformers 4.36)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import sentencepiece

IMAGE_ID: Final = -200  # stands where the image tokens are put in; no token of the vocabulary
BOS_ID: Final = 1
EOS_ID: Final = 2

SYSTEM: Final = (
    "You are a helpful radiologist. Try to interpret chest x ray image and answer to the question that user provides."
)
REPORT: Final = (
    "<image>\nWrite a radiologic report on the given chest radiograph, including information about atelectasis, "
    "cardiomegaly, consolidation, pulmonary edema, pleural effusion, and pneumothorax.\n"
)
DIFFERENTIAL: Final = "<image>\nWhat are the possible differential diagnoses for this patient?\n"

# A protobuf message appended to another is merged into it: this one says normalizer_spec.add_dummy_prefix = false,
# which the sentencepiece package itself cannot set after loading.
_NO_DUMMY_PREFIX: Final = b"\x1a\x02\x18\x00"
_SPACE: Final = "\u2581"
_SPECIAL: Final = ("<unk>", "<s>", "</s>")
# What stands for the model where one speaker ends and the other begins, or where the film is.
_COMMAND: Final = re.compile(r"</?(?:unk|s|image)>|<</?SYS>>|\[/?INST\]", re.IGNORECASE)


def question(text: str) -> str:
    """The user's words for one question about the film. What is a command to the model is only words in there."""
    words = _COMMAND.sub(lambda command: f"{command[0][0]} {command[0][1:]}", text)
    return f"<image>\n{words}"


def render(user: str) -> str:
    """The Llama-2 chat template as the model was trained with it, the literal <s> included."""
    return f"<s>[INST] <<SYS>>\n{SYSTEM}\n<</SYS>>\n\n{user.strip()} [/INST]"


class LlamaWords:
    """Llama's sentencepiece model with the two settings that change ids: `legacy` and `add_bos_token`."""

    def __init__(self, model: bytes, *, legacy: bool, add_bos_token: bool) -> None:
        self._pieces = sentencepiece.SentencePieceProcessor()
        self._pieces.LoadFromSerializedProto(model if legacy else model + _NO_DUMMY_PREFIX)
        self._legacy = legacy
        self._add_bos_token = add_bos_token
        self._unknown_length = len(self._pieces.encode("<unk>"))

    @property
    def size(self) -> int:
        """How many tokens there are."""
        return int(self._pieces.vocab_size())

    def ids(self, text: str) -> list[int]:
        """Token ids of one text without image, with BOS in front where the checkpoint says so."""
        if not self._legacy:
            text = _SPACE + text.replace(_SPACE, " ")
        ids = [i for part in re.split("(<unk>|<s>|</s>)", text) if part for i in self._part(part)]
        if not self._legacy and text.startswith(tuple(_SPACE + s for s in _SPECIAL)) and ids[:1] == self._part(_SPACE):
            ids = ids[1:]
        return [BOS_ID, *ids] if self._add_bos_token else ids

    def prompt_ids(self, user: str) -> list[int]:
        """Ids of a whole prompt with IMAGE_ID at the film.

        Each side of the image is tokenized alone. The published code drops the first token of the second side, which
        is its BOS; with `add_bos_token` false it drops a word there, and so must we.
        """
        before, after = render(user).split("<image>", 1)
        return [*self.ids(before), IMAGE_ID, *self.ids(after)[1:]]

    def text(self, ids: Sequence[int]) -> str:
        """The words of generated ids, special tokens left out."""
        return str(self._pieces.decode([i for i in ids if i not in (0, BOS_ID, EOS_ID)])).strip()

    def answer_ids(self, text: str) -> list[int]:
        """Ids of an answer as the model writes it: without BOS and EOS."""
        ids = self.ids(text)
        return ids[1:] if self._add_bos_token else ids

    def pieces(self, tokens: Iterable[int]) -> Iterator[str]:
        """The words of tokens as these come; a character that takes several tokens comes with the last of them."""
        ids: list[int] = []
        told = 0
        for token in tokens:
            ids.append(token)
            text = self.text(ids)
            if len(text) > told and not text.endswith("\ufffd"):
                yield text[told:]
                told = len(text)
        if told < len(text := self.text(ids)):  # what of its last character was written
            yield text[told:]

    def _part(self, text: str) -> list[int]:
        if text in _SPECIAL:
            return [_SPECIAL.index(text)]
        if self._legacy or not text.startswith((_SPACE, " ")):
            return list(self._pieces.encode(text))
        # sentencepiece would swallow the leading space; an unknown token before it holds it in place
        return list(self._pieces.encode("<unk>" + text))[self._unknown_length :]
