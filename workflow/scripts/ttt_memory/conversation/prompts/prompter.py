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
from ...benchmark.sample import REFUSALS
from ...errors import UserError
from .template import PromptTemplate, render_chat

T = TypeVar("T")
BYTES = 256  # a tokenizer for any text has an entry for each byte, at least


@dataclass(frozen=True)
class EncodedDialogue:
    """The sessions of a dialogue and its probes as token ids. Answers end with the end token.

    Attributes:
        language: of the dialogue.
        skeleton: the id of its skeleton.
        sessions: the ids of each session.
        questions: the ids of each question.
        answers: the ids of each answer.
        answerable: for each question, whether the dialogue answers it.
        refusal: the answer where nothing was told.
    """

    language: str
    skeleton: str
    sessions: list[list[int]]
    questions: list[list[int]]
    answers: list[list[int]]
    answerable: list[bool]
    refusal: list[int]

    @property
    def context(self) -> list[int]:
        """All sessions, one after the other."""
        return [token for session in self.sessions for token in session]


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
        # Where there are no files, transformers makes a tokenizer of the special tokens alone.
        names = {"tokenizer.json", *tokenizer.vocab_files_names.values()}
        if len(tokenizer) < BYTES and not any((Path(folder) / name).is_file() for name in names):
            raise UserError(f"{folder}: no tokenizer, expected one of {sorted(names)}")
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

    def sessions(self, sample: Sample) -> list[list[int]]:
        """Token ids of each rendered session of `sample`."""
        return self.texts(list(sample.sessions), [sample.language] * len(sample.sessions))

    def around(self, ids: list[int], language: str) -> list[int]:
        """Token ids of the rendered form of the text whose own ids are `ids`."""
        if not any(_of(self.template.text, language)):
            return ids
        return self.texts([self.tokenizer.decode(ids)], [language])[0]

    def content(self, ids: list[int], language: str) -> str:
        """The text whose rendered form has the token ids `ids`."""
        before, after = _of(self.template.text, language)
        return self.tokenizer.decode(ids).removeprefix(before).removesuffix(after)

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
        asked = []
        for i, sample in enumerate(samples):
            chosen = [sample.probes[j] for j in probes[i]] if probes else sample.probes
            texts += [self.text(session, sample.language) for session in sample.sessions]
            texts += [self.question(probe.question, sample.language) for probe in chosen]
            texts += [self.answer(probe.gold, sample.language) for probe in chosen]
            texts.append(self.answer(refusal(sample.language), sample.language))
            asked.append(chosen)
        ids = iter(self.ids(texts))
        return [
            EncodedDialogue(
                sample.language,
                sample.skeleton_id,
                [next(ids) for _ in sample.sessions],
                [next(ids) for _ in chosen],
                [[*next(ids), self.end] for _ in chosen],
                [probe.answerable for probe in chosen],
                [*next(ids), self.end],
            )
            for sample, chosen in zip(samples, asked, strict=True)
        ]

    def decode(self, ids: list[int]) -> tuple[str, bool]:
        """The text before the end token, and whether there is an end token."""
        ended = self.end in ids
        kept = ids[: ids.index(self.end)] if ended else ids
        return self.tokenizer.decode(kept, skip_special_tokens=True).strip(), ended


def refusal(language: str) -> str:
    """The right answer, in `language`, to a question that nothing answers."""
    return REFUSALS.get(language, REFUSALS["en"])


def _of(by_language: dict[str, T], language: str) -> T:
    return by_language.get(language, by_language["zh"])


def prompt_hash(prompt: str) -> str:
    """Sixteen hexadecimal digits that identify a rendered prompt."""
    return hashlib.blake2b(prompt.encode(), digest_size=8).hexdigest()
