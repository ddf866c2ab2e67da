"""The strings around a text, a question and an answer: raw, or from a chat template.

A sequence is `opening`, then texts, then perhaps a question. The strings around a part do not
depend on the parts before it. So a question is the same with and without the dialogue, and the text
that is written into fast weights is the text that condition A has in its context.
"""

from dataclasses import dataclass
from typing import Self

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from ...errors import UserError

# In a chat, the assistant acknowledges each text, and each question asks for the answer alone.
ACKNOWLEDGEMENT = {"zh": "好的。", "en": "OK."}
ANSWER_ALONE = {"zh": "\n只回答答案本身。", "en": "\nGive the answer alone, not a sentence."}
# Stand-ins for the contents of messages: what a template puts between them is what it always puts.
PLACEHOLDERS = ("first text", "said of it", "second text", "said again", "last question")
# A fixed date, because today's date would change the prompts from day to day.
RENDER_OPTIONS = {"enable_thinking": False, "date_string": "26 Jul 2024"}


@dataclass(frozen=True)
class PromptTemplate:
    """The fixed strings of prompts; those that depend on it are given for each language.

    Attributes:
        opening: begins every sequence; it is processed, but never written into fast weights.
        text: strings before and after a dialogue or a distractor.
        question: strings before and after a question.
        answer: string before an answer.
        end: id of the token that ends an answer.
        from_chat: whether the strings come from a chat template.
    """

    opening: str
    text: dict[str, tuple[str, str]]
    question: dict[str, tuple[str, str]]
    answer: dict[str, str]
    end: int
    from_chat: bool = False

    @classmethod
    def raw(cls, tokenizer: PreTrainedTokenizerBase) -> Self:
        """Running text, for a model without a chat template."""
        start = tokenizer.bos_token_id
        begins = start is not None and tokenizer("")["input_ids"][:1] == [start]
        return cls(
            opening=tokenizer.bos_token if begins else "",
            text={"zh": ("", ""), "en": ("", "")},
            question={"zh": ("问：", "\n答："), "en": ("Q: ", "\nA:")},
            # An English answer begins with a space, like the same words inside the dialogue.
            answer={"zh": "", "en": " "},
            end=tokenizer.eos_token_id,
        )

    @classmethod
    def chat(cls, tokenizer: PreTrainedTokenizerBase) -> Self:
        """Turns of a chat: each text is a message with its acknowledgement, then the question.

        Raises:
            UserError: the template refuses such turns, or renders a turn in a way that depends on
                other turns.
        """
        wrapped = _between(_in_turns(tokenizer, PLACEHOLDERS), PLACEHOLDERS)
        alone = _between(_in_turns(tokenizer, PLACEHOLDERS[-1:]), PLACEHOLDERS[-1:])
        start, middle, closing, tail = wrapped[0], wrapped[1], wrapped[2], wrapped[-1]
        if wrapped != [start, middle, closing, middle, closing, tail] or alone != [start, tail]:
            raise _unusable(tokenizer, "renders a turn in more than one way")
        # `closing` ends a turn of the assistant and begins one of the user. `start` ends with the
        # same beginning of a turn, so their common end is what stands before a text.
        before = _common_end(tokenizer, start, closing)
        after = closing.removesuffix(before)
        return cls(
            opening=start.removesuffix(before),
            text={
                language: (before, middle + said + after)
                for language, said in ACKNOWLEDGEMENT.items()
            },
            question={language: (before, how + tail) for language, how in ANSWER_ALONE.items()},
            answer={"zh": "", "en": ""},
            end=_end_of_turn(tokenizer, closing),
            from_chat=True,
        )


def render_chat(
    tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, str]], to_answer: bool
) -> str:
    """Render messages by the chat template of `tokenizer`.

    With `to_answer`, the text goes on to the place where the assistant's answer begins.

    Raises:
        UserError: the template refuses the messages.
    """
    options = {"tokenize": False, "add_generation_prompt": to_answer, **RENDER_OPTIONS}
    try:
        return tokenizer.apply_chat_template(messages, **options)
    except (TemplateError, ValueError, TypeError) as error:
        raise _unusable(tokenizer, f"cannot render {_shown(messages)} ({error})") from error


def _shown(messages: list[dict[str, str]]) -> str:
    """The roles of the first messages and the beginning of the first, for an error message."""
    roles = ", ".join(message["role"] for message in messages[:4])
    more = ", ..." if len(messages) > 4 else ""
    return f"the messages of {roles}{more} that begin {messages[0]['content'][:30]!r}"


def _in_turns(tokenizer: PreTrainedTokenizerBase, contents: tuple[str, ...]) -> str:
    """Messages of user and assistant by turns, up to where the assistant's answer begins."""
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(contents)]
    return render_chat(tokenizer, messages, to_answer=True)


def _between(text: str, contents: tuple[str, ...]) -> list[str]:
    """The parts of `text` before, between and after the given contents, in their order."""
    parts = []
    for content in contents:
        part, _, text = text.partition(content)
        parts.append(part)
    return [*parts, text]


def _common_end(tokenizer: PreTrainedTokenizerBase, a: str, b: str) -> str:
    """The longest common end of `a` and `b` that consists of whole tokens."""
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
    """The first special token after an answer of the assistant, else the tokenizer's end token."""
    known = tokenizer.added_tokens_decoder
    ids = tokenizer(closing, add_special_tokens=False)["input_ids"]
    special = [token for token in ids if token in known and known[token].special]
    return special[0] if special else tokenizer.eos_token_id


def _unusable(tokenizer: PreTrainedTokenizerBase, why: str) -> UserError:
    return UserError(
        f"{tokenizer.name_or_path}: its chat template {why}; "
        "expected turns of user and assistant, or base.chat_template: none"
    )
