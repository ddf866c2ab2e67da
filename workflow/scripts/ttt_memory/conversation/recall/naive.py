"""The oracle of the batched engine: one session, one probe, one token at a time."""

from collections.abc import Sequence

import torch
from transformers import DynamicCache

from ...fast_weights import FastState, FastWeights
from ..prompts.prompter import Prompter
from .answers import Answer


@torch.no_grad()
def write_naive(
    fw: FastWeights, sessions: Sequence[list[int]], opening: Sequence[int] = ()
) -> FastState:
    """The state after the sessions of one dialogue, each after an opening; folded and readable."""
    state = None
    for session in sessions:
        ids = torch.tensor([[*opening, *session]], device=fw.model.device)
        written = torch.ones_like(ids, dtype=torch.bool)
        written[:, : len(opening)] = False
        state = fw.write(input_ids=ids, write_mask=written, state=state).state
    return state.fold(always=True).readable()


@torch.no_grad()
def answer_naive(
    fw: FastWeights, prompter: Prompter, question: list[int], state: FastState, max_new_tokens: int
) -> Answer:
    """Answer one probe greedily from a state of one row."""
    ids = torch.tensor([prompter.opening + question], device=fw.model.device)
    cache, said = DynamicCache(), []
    while len(said) < max_new_tokens and (not said or said[-1] != prompter.end):
        logits = fw.read(state, input_ids=ids, past_key_values=cache, use_cache=True).logits
        said.append(int(logits[0, -1].argmax()))
        ids = torch.tensor([[said[-1]]], device=fw.model.device)
    text, ended = prompter.decode(said)
    return Answer(text, ended, len(said))
