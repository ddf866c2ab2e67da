"""Rendering and encoding of dialogues and probes.

A prompt is the opening, the dialogue and the question. Each of them is encoded separately, so when
the dialogue is dropped (condition B), the tokens of the others stay the same.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from ...benchmark import Sample
from ...errors import UserError
from .template import PromptTemplate, render_chat

T = TypeVar("T")


@dataclass(frozen=True)
class EncodedDialogue:
    """A dialogue and its probes as token ids. Each answer ends with the end token."""

    language: str
    dialogue: list[int]
    questions: list[list[int]]
    answers: list[list[int]]


class Prompter:
    """Renders and encodes dialogues, distractors, questions and answers for one tokenizer.

    Attributes:
        template: the strings around a text, a question and an answer.
        opening: ids that begin every sequence; empty for most base models.
        end: id of the token that ends an answer.
        pad: id of the token that pads a row.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, chat_template: str = "auto"):
        """Set up the prompts of `tokenizer`.

        `chat_template` "auto" uses the chat template of the tokenizer, if it has one; "none" does
        not use it.

        Raises:
            UserError: the tokenizer has no end token, or its chat template cannot be used.
        """
        if tokenizer.eos_token_id is None:
            raise UserError(f"{tokenizer.name_or_path}: the tokenizer has no end token (eos_token)")
        self.tokenizer = tokenizer
        chat = chat_template == "auto" and tokenizer.chat_template
        self.template = PromptTemplate.chat(tokenizer) if chat else PromptTemplate.raw(tokenizer)
        self.opening = self.ids([self.template.opening])[0]
        self.end = self.template.end
        self.pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self.end

    @classmethod
    def load(cls, folder: str | Path, chat_template: str = "auto") -> "Prompter":
        """Load the tokenizer from a folder in Hub format.

        Raises:
            UserError: the folder is missing, or it has no tokenizer that can be used.
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
        """Token ids of each text. No special token is added."""
        if not texts:
            return []
        return self.tokenizer(texts, add_special_tokens=False)["input_ids"]

    def text(self, text: str, language: str) -> str:
        """The rendered form of a dialogue or a distractor."""
        before, after = _of(self.template.text, language)
        return before + text + after

    def texts(self, texts: list[str], languages: list[str]) -> list[list[int]]:
        """Token ids of rendered dialogues or distractors."""
        return self.ids([self.text(*pair) for pair in zip(texts, languages, strict=True)])

    def around(self, ids: list[int], language: str) -> list[int]:
        """Token ids of the rendered form of the text whose own ids are `ids`."""
        if not any(_of(self.template.text, language)):
            return ids
        return self.texts([self.tokenizer.decode(ids)], [language])[0]

    def chat(self, messages: list[dict[str, str]]) -> tuple[str, str]:
        """Render a conversation by the chat template; returns its opening and the rest.

        The opening is that of every sequence. A conversation with its own system message has
        another beginning; its opening is the start token, if there is one.

        Raises:
            UserError: the template refuses the messages.
        """
        text = render_chat(self.tokenizer, messages, to_answer=False)
        openings = (self.template.opening, self.tokenizer.bos_token or "")
        opening = next((o for o in openings if text.startswith(o)), "")
        return opening, text.removeprefix(opening)

    def question(self, text: str, language: str) -> str:
        """The rendered question, up to the place where the answer begins."""
        before, after = _of(self.template.question, language)
        return before + text + after

    def answer(self, text: str, language: str) -> str:
        """The rendered answer, without the end token."""
        return _of(self.template.answer, language) + text

    def encode(
        self, samples: list[Sample], probes: list[list[int]] | None = None
    ) -> list[EncodedDialogue]:
        """Encode samples, each with all its probes or with those whose indices are in `probes`."""
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
            EncodedDialogue(
                sample.language,
                next(ids),
                [next(ids) for _ in range(count)],
                [[*next(ids), self.end] for _ in range(count)],
            )
            for sample, count in zip(samples, counts, strict=True)
        ]

    def decode(self, ids: list[int]) -> tuple[str, bool]:
        """The text before the end token, and whether there is an end token."""
        ended = self.end in ids
        kept = ids[: ids.index(self.end)] if ended else ids
        return self.tokenizer.decode(kept, skip_special_tokens=True).strip(), ended


def _of(by_language: dict[str, T], language: str) -> T:
    return by_language.get(language, by_language["zh"])


def prompt_hash(prompt: str) -> str:
    """Sixteen hexadecimal digits that identify a rendered prompt."""
    return hashlib.blake2b(prompt.encode(), digest_size=8).hexdigest()
