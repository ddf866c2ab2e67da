"""What stands around a text that is read and a question that is asked, raw or by a chat template.

Every sequence is `opening`, then texts, then perhaps a question; nothing depends on what came
before it. So a question with the dialogue dropped is what it was with it, and what fast weights
read is what condition A has in its context.
"""

from dataclasses import dataclass
from typing import Self

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from ...errors import UserError

# In a chat the assistant answers what it was given to read, and is told how to answer a question.
READ = {"zh": "好的。", "en": "OK."}
BRIEFLY = {"zh": "\n只回答答案本身。", "en": "\nGive the answer alone, not a sentence."}
# What a template wraps in place of contents; without a day of today, which would change prompts.
CONTENTS = ("first text", "said of it", "second text", "said again", "last question")
FIXED = {"enable_thinking": False, "date_string": "26 Jul 2024"}


@dataclass(frozen=True)
class Layout:
    """Strings by language around what changes.

    Attributes:
        opening: begins every sequence; read, never written into a memory.
        text: before and after a text to read.
        question: before and after a question.
        answer: before an answer.
        end: id of the token that ends an answer.
        of_template: whether a chat template made them.
    """

    opening: str
    text: dict[str, tuple[str, str]]
    question: dict[str, tuple[str, str]]
    answer: dict[str, str]
    end: int
    of_template: bool = False

    @classmethod
    def raw(cls, tokenizer: PreTrainedTokenizerBase) -> Self:
        """Running text, as a model without a chat template has learned to continue."""
        start = tokenizer.bos_token_id
        begins = start is not None and tokenizer("")["input_ids"][:1] == [start]
        return cls(
            opening=tokenizer.bos_token if begins else "",
            text={"zh": ("", ""), "en": ("", "")},
            question={"zh": ("问：", "\n答："), "en": ("Q: ", "\nA:")},
            # English answers begin with a space, as a word inside the dialogue does.
            answer={"zh": "", "en": " "},
            end=tokenizer.eos_token_id,
        )

    @classmethod
    def chat(cls, tokenizer: PreTrainedTokenizerBase) -> Self:
        """Turns: each text a message and its acknowledgement, the question a last message.

        Raises:
            UserError: the template refuses such turns, or renders one depending on others.
        """
        wrapped = _between(_in_turn(tokenizer, CONTENTS), CONTENTS)
        alone = _between(_in_turn(tokenizer, CONTENTS[-1:]), CONTENTS[-1:])
        start, middle, closing, tail = wrapped[0], wrapped[1], wrapped[2], wrapped[-1]
        if wrapped != [start, middle, closing, middle, closing, tail] or alone != [start, tail]:
            raise _unusable(tokenizer, "renders a turn in more than one way")
        # `closing` ends the assistant's turn and begins the user's, which `start` ends with.
        before = _common_end(tokenizer, start, closing)
        after = closing.removesuffix(before)
        return cls(
            opening=start.removesuffix(before),
            text={language: (before, middle + said + after) for language, said in READ.items()},
            question={language: (before, how + tail) for language, how in BRIEFLY.items()},
            answer={"zh": "", "en": ""},
            end=_end_of_turn(tokenizer, closing),
            of_template=True,
        )


def rendered(
    tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, str]], to_answer: bool
) -> str:
    """What the template makes of messages; `to_answer` goes on to where the assistant answers.

    Raises:
        UserError: the template refuses them.
    """
    options = {"tokenize": False, "add_generation_prompt": to_answer, **FIXED}
    try:
        return tokenizer.apply_chat_template(messages, **options)
    except (TemplateError, ValueError, TypeError) as error:
        raise _unusable(tokenizer, f"cannot render {_shown(messages)} ({error})") from error


def _shown(messages: list[dict[str, str]]) -> str:
    """Who speaks in turn, and how it begins."""
    roles = ", ".join(message["role"] for message in messages[:4])
    more = ", ..." if len(messages) > 4 else ""
    return f"the messages of {roles}{more} that begin {messages[0]['content'][:30]!r}"


def _in_turn(tokenizer: PreTrainedTokenizerBase, contents: tuple[str, ...]) -> str:
    """The user's and the assistant's messages in turn, up to where the assistant answers."""
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(contents)]
    return rendered(tokenizer, messages, to_answer=True)


def _between(text: str, contents: tuple[str, ...]) -> list[str]:
    """What stands around and between the given contents; one part where they are not there."""
    parts = []
    for content in contents:
        part, _, text = text.partition(content)
        parts.append(part)
    return [*parts, text]


def _common_end(tokenizer: PreTrainedTokenizerBase, a: str, b: str) -> str:
    """The longest text that both end with and that no token reaches into."""
    options = {"add_special_tokens": False, "return_offsets_mapping": True}
    first, second = tokenizer(a, **options), tokenizer(b, **options)
    start = len(a)
    pairs = zip(
        reversed(first["input_ids"]),
        reversed(second["input_ids"]),
        reversed(first["offset_mapping"]),
        strict=False,
    )
    for one, other, (place, _) in pairs:
        if one != other:
            break
        start = place
    return a[start:] if b.endswith(a[start:]) else ""


def _end_of_turn(tokenizer: PreTrainedTokenizerBase, closing: str) -> int:
    """The special token that follows what the assistant says, else the tokenizer's end token."""
    known = tokenizer.added_tokens_decoder
    ids = tokenizer(closing, add_special_tokens=False)["input_ids"]
    special = [token for token in ids if token in known and known[token].special]
    return special[0] if special else tokenizer.eos_token_id


def _unusable(tokenizer: PreTrainedTokenizerBase, why: str) -> UserError:
    return UserError(
        f"{tokenizer.name_or_path}: its chat template {why}; "
        "expected turns of user and assistant, or base.chat_template: none"
    )
