"""Greedy answers to many probes at once, from the context, from fast weights, or from nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from transformers import DynamicCache

from ..fast_weights import FastState, FastWeights
from .packing import pad_left
from .prompts import Prompter


@dataclass(frozen=True)
class Answer:
    """What the model said: text up to the end token, whether it came, and how many tokens."""

    text: str
    ended: bool
    new_tokens: int


@torch.no_grad()
def answer(
    fw: FastWeights,
    prompter: Prompter,
    questions: list[list[list[int]]],
    contexts: list[list[int]] | None = None,
    state: FastState | None = None,
    max_new_tokens: int = 32,
) -> list[list[Answer]]:
    """Answer every dialogue's probes greedily, all dialogues and probes in one batch.

    `questions` holds, for each of B dialogues, the ids of its rendered questions; `contexts`
    (condition A) the ids that each dialogue's probes see, read once per dialogue. `state` has
    B rows; None reads with the memory off.
    """
    device = fw.model.device
    width = max(map(len, questions))
    # Every dialogue gets the same number of rows, so that row b reads state b // width.
    filler = [prompter.end]
    flat = [ids for row in questions for ids in [*row, *[filler] * (width - len(row))]]
    ids, mask = (tensor.to(device) for tensor in pad_left(flat, prompter.pad))
    cache, past_mask = DynamicCache(), mask.new_zeros(len(flat), 0)
    if contexts is not None:
        context_ids, context_mask = (t.to(device) for t in pad_left(contexts, prompter.pad))
        fw.plain(
            input_ids=context_ids,
            attention_mask=context_mask,
            position_ids=_positions(context_mask),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache.batch_repeat_interleave(width)
        past_mask = context_mask.repeat_interleave(width, 0)
    forward = fw.plain if state is None else partial(fw.read, state, width)
    live = torch.tensor([i < len(row) for row in questions for i in range(width)], device=device)
    tokens = _decode(forward, ids, mask, past_mask, cache, live, prompter.end, max_new_tokens)
    return _collect(tokens, questions, width, prompter)


def _positions(mask: Tensor) -> Tensor:
    return (mask.cumsum(-1) - 1).clamp(min=0)


def _decode(
    forward: Callable,
    ids: Tensor,
    mask: Tensor,
    past_mask: Tensor,
    cache: DynamicCache,
    live: Tensor,
    end: int,
    limit: int,
) -> Tensor:
    """New token ids [R, <= limit]; rows that ended go on with the end token."""
    whole = torch.cat([past_mask, mask], 1)
    positions = _positions(whole)[:, past_mask.shape[1] :]
    done, new = ~live, []
    for _ in range(limit):
        output = forward(
            input_ids=ids,
            attention_mask=whole,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        chosen = output.logits[:, -1].argmax(-1).masked_fill(done, end)
        new.append(chosen)
        done = done | (chosen == end)
        if done.all():
            break
        ids = chosen[:, None]
        whole = torch.cat([whole, whole.new_ones(len(whole), 1)], 1)
        positions = positions[:, -1:] + 1
    return torch.stack(new, 1)


def _collect(
    tokens: Tensor, questions: list[list[list[int]]], width: int, prompter: Prompter
) -> list[list[Answer]]:
    rows = tokens.tolist()
    answers = []
    for b, row in enumerate(questions):
        answers.append([])
        for i in range(len(row)):
            ids = rows[b * width + i]
            text, ended = prompter.decode(ids)
            used = ids.index(prompter.end) + 1 if ended else len(ids)
            answers[-1].append(Answer(text, ended, used))
    return answers
