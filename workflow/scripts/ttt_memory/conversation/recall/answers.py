"""Greedy answers to many probes at once, from the context, from fast weights, or from nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Self

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from ...fast_weights import FastState, FastWeights
from ..models.attention_masks import block_mask
from ..prompts.packing import pad_left, pad_right
from ..prompts.prompter import Prompter

CONTEXT = -1  # stands in place of a lane's number for tokens of the context


@dataclass(frozen=True)
class Answer:
    """What the model said: text up to the end token, whether that token came, tokens generated."""

    text: str
    ended: bool
    new_tokens: int


@dataclass(frozen=True)
class Context:
    """The KV cache of the contexts of B rows.

    Attributes:
        cache: K entries of every row, in every layer. Its answers are added to it.
        seen: [B, K] bool, False where an entry is padding.
        lengths: [B] int64, the tokens of each context. Questions go on at this position, also
            where fewer entries are left.
    """

    cache: DynamicCache
    seen: Tensor
    lengths: Tensor


@torch.no_grad()
def answer(
    fw: FastWeights,
    prompter: Prompter,
    questions: list[list[list[int]]],
    contexts: list[list[int]] | Context | None = None,
    state: FastState | None = None,
    max_new_tokens: int = 32,
) -> list[list[Answer]]:
    """Answer every dialogue's probes greedily, all dialogues and probes in one batch.

    Args:
        fw: the model with fast weights.
        prompter: renders and decodes.
        questions: for each of B dialogues, the token ids of its rendered questions.
        contexts: for condition A, the token ids that each dialogue's probes see after the opening;
            or a KV cache that holds the opening too.
        state: the fast weights to read, B rows; None answers without fast weights.
        max_new_tokens: the most tokens of an answer, at least 1.

    Raises:
        ValueError: `max_new_tokens` is less.

    A row of the batch is a dialogue, and its probes are lanes of the row. They share the KV cache
    of the context and grow side by side; a mask keeps each lane from seeing the others.
    """
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens: found {max_new_tokens}, expected at least 1")
    if not any(questions):
        return [[] for _ in questions]
    device = fw.model.device
    lanes = Lanes.of(questions, prompter, device)
    forward = fw.plain if state is None else partial(fw.read, state)
    if not isinstance(contexts, Context):
        contexts = prefill(forward, prompter, contexts or [[] for _ in questions], device)
    lanes.follow(contexts.seen, contexts.lengths)
    tokens = _decode(fw.model, forward, lanes, contexts.cache, prompter.end, max_new_tokens)
    return _collect(tokens, questions, prompter)


def prefill(
    forward: Callable, prompter: Prompter, contexts: list[list[int]], device: torch.device
) -> Context:
    """The KV cache of the opening and each of the contexts."""
    # Without a configuration the cache keeps every token of sliding-window layers; the mask, which
    # applies the window, needs them.
    cache = DynamicCache()
    contexts = [prompter.opening + context for context in contexts]
    ids, mask = (t.to(device) for t in pad_right(contexts, prompter.pad))
    if any(contexts):
        # Padding comes last and no token sees it. So no mask is needed, and attention that is only
        # causal takes a third of the time.
        forward(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return Context(cache, mask.bool(), mask.sum(1))


class Lanes:
    """The probes of B dialogues, P a row, as the next input of a model with a KV cache.

    Attributes:
        ids, positions: [B, T] int64, the next input tokens and their positions.
        key_positions: [B, K] int64, positions of all tokens in the cache after this input.
        lane: [T] int64, the lane of each input token.
        last: [P] int64, the last input token of each lane.
        live: [B, P] bool, False where a row has fewer probes than the others.
    """

    def __init__(self, ids: Tensor, mask: Tensor, live: Tensor):
        _, lanes, length = ids.shape
        self.live, self.ids = live, ids.flatten(1)
        self.positions = (mask.cumsum(-1) - 1).clamp(min=0).flatten(1)
        self.lane = torch.arange(lanes, device=ids.device).repeat_interleave(length)
        self.last = torch.arange(1, lanes + 1, device=ids.device) * length - 1
        # For all tokens in the cache after this input: lane (or context), validity, position.
        self._key_lane, self._key_valid = self.lane, mask.flatten(1).bool()
        self.key_positions = self.positions

    @classmethod
    def of(cls, questions: list[list[list[int]]], prompter: Prompter, device: torch.device) -> Self:
        """Questions padded on the left to the longest, rows filled up to the largest number."""
        width = max(map(len, questions))
        filler = [[prompter.end]]
        flat = [ids for row in questions for ids in row + filler * (width - len(row))]
        ids, mask = (t.to(device).unflatten(0, (-1, width)) for t in pad_left(flat, prompter.pad))
        live = torch.tensor([[i < len(row) for i in range(width)] for row in questions])
        return cls(ids, mask, live.to(device))

    def follow(self, seen: Tensor, lengths: Tensor) -> None:
        """Continue a context in the cache; see `Context`."""
        self.positions = self.positions + lengths[:, None]
        before = (seen.cumsum(1) - 1).clamp(min=0)
        self.key_positions = torch.cat([before, self.positions], 1)
        of_context = self.lane.new_full((seen.shape[1],), CONTEXT)
        self._key_lane = torch.cat([of_context, self._key_lane])
        self._key_valid = torch.cat([seen, self._key_valid], 1)

    def mask(self) -> Tensor:
        """[B, 1, T, K] bool: each token attends to the context and to its own lane up to itself."""
        keys = torch.arange(len(self._key_lane), device=self.lane.device)
        own = keys[len(keys) - len(self.lane) :]
        past = (self._key_lane == self.lane[:, None]) & (keys <= own[:, None])
        seen = (past | (self._key_lane == CONTEXT)) & self._key_valid[:, None]
        # Padding attends to itself: a softmax over no token would be NaN.
        return (seen | (keys == own[:, None]))[:, None]

    def grow(self, chosen: Tensor) -> None:
        """Append to each lane its token of `chosen` [B, P]."""
        self.positions = self.positions[:, self.last] + 1
        self.ids, self.lane = chosen, torch.arange(chosen.shape[1], device=chosen.device)
        self.last = self.lane
        self.key_positions = torch.cat([self.key_positions, self.positions], 1)
        self._key_lane = torch.cat([self._key_lane, self.lane])
        self._key_valid = torch.cat([self._key_valid, torch.ones_like(chosen, dtype=bool)], 1)


def _decode(
    model: PreTrainedModel,
    forward: Callable,
    lanes: Lanes,
    cache: DynamicCache,
    end: int,
    limit: int,
) -> Tensor:
    """New token ids [B, P, at most limit]; lanes that ended repeat the end token."""
    done, new = ~lanes.live, []
    while True:
        output = forward(
            input_ids=lanes.ids,
            attention_mask=block_mask(model, lanes.mask(), lanes.positions, lanes.key_positions),
            position_ids=lanes.positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=lanes.last,
        )
        chosen = output.logits.argmax(-1).masked_fill(done, end)
        new.append(chosen)
        done = done | (chosen == end)
        if done.all() or len(new) == limit:
            return torch.stack(new, 2)
        lanes.grow(chosen)


def _collect(
    tokens: Tensor, questions: list[list[list[int]]], prompter: Prompter
) -> list[list[Answer]]:
    answers = []
    for row, said in zip(questions, tokens.tolist(), strict=True):
        answers.append([])
        for ids in said[: len(row)]:
            text, ended = prompter.decode(ids)
            used = ids.index(prompter.end) + 1 if ended else len(ids)
            answers[-1].append(Answer(text, ended, used))
    return answers
