"""Where the values of a dialogue's facts stand among the tokens of its rendered sessions."""

import torch
from torch import Tensor

from ...benchmark import Sample
from .prompter import Prompter


def fact_tokens(prompter: Prompter, sample: Sample, session: int = 0) -> tuple[list[int], Tensor]:
    """Ids of a rendered session, and which of them `[T]` bool are part of a fact's value."""
    ids, places = session_tokens(prompter, sample.sessions[session], sample.language)
    facts = [fact for fact in sample.facts if fact.start >= 0 and fact.session == session]
    is_fact = [any(a < fact.end and fact.start < b for fact in facts) for a, b in places]
    return ids, torch.tensor(is_fact)


def session_tokens(
    prompter: Prompter, session: str, language: str
) -> tuple[list[int], list[tuple[int, int]]]:
    """Ids of a rendered session, and the place of each token in the session, in characters.

    Tokens that the template adds are before 0 or behind the end.
    """
    rendered = prompter.text(session, language)
    encoded = prompter.tokenizer(rendered, add_special_tokens=False, return_offsets_mapping=True)
    shift = rendered.index(session)
    return encoded["input_ids"], [(a - shift, b - shift) for a, b in encoded["offset_mapping"]]
