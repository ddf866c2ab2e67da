"""How a dialogue and a probe are rendered and encoded.

A prompt is the opening's tokens, the dialogue's and the question's, encoded apart, so that dropping
the dialogue (condition B) changes nothing else in the prompt.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from ...benchmark import Sample
from ...errors import UserError
from .template import Layout, rendered

T = TypeVar("T")


@dataclass(frozen=True)
class Encoded:
    """A dialogue and its probes as token ids; answers end with the end token."""

    language: str
    dialogue: list[int]
    questions: list[list[int]]
    answers: list[list[int]]


class Prompter:
    """Renders and encodes dialogues, distractors, questions and answers for one tokenizer.

    Attributes:
        opening: ids that begin every sequence that the model reads; empty for most base models.
        end, pad: the tokens that end an answer and that fill up a row.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, chat_template: str = "auto"):
        """`chat_template` "auto" uses the tokenizer's, if it has one; "none" does not.

        Raises:
            UserError: there is no end token, or the chat template cannot be used.
        """
        if tokenizer.eos_token_id is None:
            raise UserError(f"{tokenizer.name_or_path}: the tokenizer has no end token (eos_token)")
        self.tokenizer = tokenizer
        chat = chat_template == "auto" and tokenizer.chat_template
        self.layout = Layout.chat(tokenizer) if chat else Layout.raw(tokenizer)
        self.opening = self.ids([self.layout.opening])[0]
        self.end = self.layout.end
        self.pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self.end

    @classmethod
    def load(cls, folder: str | Path, chat_template: str = "auto") -> "Prompter":
        """Read the tokenizer of a hub-format folder.

        Raises:
            UserError: the folder is missing or holds no tokenizer, or one that cannot be used.
        """
        if not Path(folder).is_dir():
            raise UserError(f"{folder}: no such model folder")
        try:
            tokenizer = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
        except (OSError, ValueError) as error:
            raise UserError(f"{folder}: no readable tokenizer ({error})") from error
        return cls(tokenizer, chat_template)

    def ids(self, texts: list[str]) -> list[list[int]]:
        """Token ids of each text as it stands: no token is added."""
        if not texts:
            return []
        return self.tokenizer(texts, add_special_tokens=False)["input_ids"]

    def text(self, text: str, language: str) -> str:
        """A rendered text to read: a dialogue or a distractor."""
        before, after = _of(self.layout.text, language)
        return before + text + after

    def texts(self, texts: list[str], languages: list[str]) -> list[list[int]]:
        """Token ids of rendered texts to read."""
        return self.ids([self.text(*pair) for pair in zip(texts, languages, strict=True)])

    def around(self, ids: list[int], language: str) -> list[int]:
        """The ids of a rendered text to read that consists of `ids`, cut out of another."""
        if not any(_of(self.layout.text, language)):
            return ids
        return self.texts([self.tokenizer.decode(ids)], [language])[0]

    def chat(self, messages: list[dict[str, str]]) -> tuple[str, str]:
        """A conversation by the chat template: what every sequence opens with, and the rest.

        One with a system message of its own opens with the start token, if there is one.

        Raises:
            UserError: the template refuses the messages.
        """
        text = rendered(self.tokenizer, messages, to_answer=False)
        openings = (self.layout.opening, self.tokenizer.bos_token or "")
        opening = next((o for o in openings if text.startswith(o)), "")
        return opening, text.removeprefix(opening)

    def question(self, text: str, language: str) -> str:
        """The rendered question, up to where the answer begins."""
        before, after = _of(self.layout.question, language)
        return before + text + after

    def answer(self, text: str, language: str) -> str:
        """The rendered answer, without the end token."""
        return _of(self.layout.answer, language) + text

    def encode(self, samples: list[Sample], probes: list[list[int]] | None = None) -> list[Encoded]:
        """Encode samples, each with all its probes or with those at the given places."""
        texts: list[str] = []
        counts = []
        for i, sample in enumerate(samples):
            chosen = [sample.probes[j] for j in probes[i]] if probes else sample.probes
            texts.append(self.text(sample.dialogue, sample.language))
            texts += [self.question(probe.question, sample.language) for probe in chosen]
            texts += [self.answer(probe.gold, sample.language) for probe in chosen]
            counts.append(len(chosen))
        ids = iter(self.ids(texts))
        return [
            Encoded(
                sample.language,
                next(ids),
                [next(ids) for _ in range(count)],
                [[*next(ids), self.end] for _ in range(count)],
            )
            for sample, count in zip(samples, counts, strict=True)
        ]

    def decode(self, ids: list[int]) -> tuple[str, bool]:
        """Text up to the end token, and whether there was one."""
        ended = self.end in ids
        kept = ids[: ids.index(self.end)] if ended else ids
        return self.tokenizer.decode(kept, skip_special_tokens=True).strip(), ended


def _of(by_language: dict[str, T], language: str) -> T:
    return by_language.get(language, by_language["zh"])


def prompt_hash(prompt: str) -> str:
    """Sixteen hexadecimal digits that identify a rendered prompt."""
    return hashlib.blake2b(prompt.encode(), digest_size=8).hexdigest()
