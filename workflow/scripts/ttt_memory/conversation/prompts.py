"""How a dialogue and a probe are rendered and encoded.

A prompt is the dialogue's tokens followed by the question's tokens, encoded apart, so that
dropping the dialogue (condition B) changes nothing else in the prompt.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from ..benchmark import Sample
from ..errors import UserError

QUESTION = {"zh": "问：{question}\n答：", "en": "Q: {question}\nA:"}
# English answers begin with a space, as a word inside the dialogue does.
ANSWER = {"zh": "{answer}", "en": " {answer}"}


@dataclass(frozen=True)
class Encoded:
    """A dialogue and its probes as token ids; answers end with the end token."""

    language: str
    dialogue: list[int]
    questions: list[list[int]]
    answers: list[list[int]]


class Prompter:
    """Renders and encodes dialogues, distractors, questions and answers for one tokenizer."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        if tokenizer.eos_token_id is None:
            raise UserError(f"{tokenizer.name_or_path}: the tokenizer has no end token (eos_token)")
        self.tokenizer = tokenizer
        self.end = tokenizer.eos_token_id
        self.pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self.end

    @classmethod
    def load(cls, folder: str | Path) -> "Prompter":
        """Read the tokenizer of a hub-format folder.

        Raises:
            UserError: the folder is missing or holds no tokenizer.
        """
        if not Path(folder).is_dir():
            raise UserError(f"{folder}: no such model folder")
        try:
            return cls(AutoTokenizer.from_pretrained(folder))
        except (OSError, ValueError) as error:
            raise UserError(f"{folder}: no readable tokenizer ({error})") from error

    def ids(self, texts: list[str]) -> list[list[int]]:
        """Token ids of each text, without special tokens."""
        if not texts:
            return []
        return self.tokenizer(texts, add_special_tokens=False)["input_ids"]

    def question(self, text: str, language: str) -> str:
        """The rendered question, up to where the answer begins."""
        return QUESTION.get(language, QUESTION["zh"]).format(question=text)

    def encode(self, samples: list[Sample], probes: list[list[int]] | None = None) -> list[Encoded]:
        """Encode samples, each with all its probes or with those at the given places."""
        texts: list[str] = []
        counts = []
        for i, sample in enumerate(samples):
            chosen = [sample.probes[j] for j in probes[i]] if probes else sample.probes
            answer = ANSWER.get(sample.language, ANSWER["zh"])
            texts.append(sample.dialogue)
            texts += [self.question(probe.question, sample.language) for probe in chosen]
            texts += [answer.format(answer=probe.gold) for probe in chosen]
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


def prompt_hash(prompt: str) -> str:
    """Sixteen hexadecimal digits that identify a rendered prompt."""
    return hashlib.blake2b(prompt.encode(), digest_size=8).hexdigest()
