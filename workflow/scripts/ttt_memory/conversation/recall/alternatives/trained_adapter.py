"""L: a low-rank adapter is trained on the text, the plain way to put a text into weights.

The loss is that of the next token. A step is on one segment of the text, in turn. The adapter
(peft) is on every linear map of every layer, and only it is trained. The text is dropped.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import cycle, islice
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from ....errors import UserError
from ....fast_weights.base_model import is_adapter
from ...config.training import LoraConfig
from ...models.lora import adapt
from ..answers import Answer
from ..episodes import Episode
from ..kept import Costs, Engine, Kept, Questions

if TYPE_CHECKING:
    from peft import PeftModel

Factors = dict[str, Tensor]


def trained(engine: Engine, batch: list[Episode]) -> Iterator[Kept]:
    """L, at every rank.

    Raises:
        UserError: the run has an adapter of its own.
    """
    if any(is_adapter(name) for name, _ in engine.fw.model.named_parameters()):
        raise UserError(
            "recall.alternatives: L trains an adapter, but the run has one of its own (regime"
            " lora); expected a run of regime frozen or joint"
        )
    for rank in engine.config.lora_ranks:
        started = time.perf_counter()
        factors = [train(engine, episode, rank) for episode in batch]
        seconds = time.perf_counter() - started
        pairs = zip(batch, factors, strict=True)
        costs = [_costs(engine, episode, tensors) for episode, tensors in pairs]
        answer = partial(_answer, engine, rank, factors)
        yield Kept(answer, costs, seconds, float(rank))


def train(engine: Engine, episode: Episode, rank: int) -> Factors:
    """The factors of an adapter that was trained on the texts of `episode`."""
    config, device = engine.config, engine.fw.model.device
    opening = engine.prompter.opening
    pieces = [torch.tensor([opening + ids], device=device) for ids in _pieces(engine, episode)]
    with _adapter(engine, rank) as adapted, torch.enable_grad():
        own = [p for p in adapted.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(own, lr=config.lora_lr, weight_decay=0.0)
        for ids in islice(cycle(pieces), config.lora_steps):
            logits = adapted(input_ids=ids, use_cache=False).logits[0, :-1]
            loss = F.cross_entropy(logits.float(), ids[0, 1:])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return {n: p.detach().clone() for n, p in adapted.named_parameters() if is_adapter(n)}


def _pieces(engine: Engine, episode: Episode) -> list[list[int]]:
    """The segments of the texts, but for those of one token, which predict nothing."""
    length = engine.config.segment_tokens
    found = [text[i : i + length] for text in episode.texts for i in range(0, len(text), length)]
    return [ids for ids in found if len(ids) > 1]


def _answer(
    engine: Engine, rank: int, factors: list[Factors], questions: Questions
) -> list[list[Answer]]:
    answers = []
    for tensors, row in zip(factors, questions, strict=True):
        with _adapter(engine, rank) as adapted, torch.no_grad():
            for name, parameter in adapted.named_parameters():
                if name in tensors:
                    parameter.copy_(tensors[name])
            answers += engine.answer([row])
    return answers


@contextmanager
def _adapter(engine: Engine, rank: int) -> "Iterator[PeftModel]":
    """A fresh adapter on the model of the run, always the same, for a while."""
    torch.manual_seed(engine.config.seed)
    adapted = adapt(engine.fw.model, LoraConfig(rank=rank, alpha=2.0 * rank))
    try:
        yield adapted
    finally:
        adapted.unload()


def _costs(engine: Engine, episode: Episode, factors: Factors) -> Costs:
    """Its base is frozen, so it costs one backward pass; its own numbers cost two."""
    numbers, flops = sum(t.numel() for t in factors.values()), 0
    for ids in islice(cycle(_pieces(engine, episode)), engine.config.lora_steps):
        tokens = len(engine.prompter.opening) + len(ids)
        flops += 2 * engine.decoder.forward(1, tokens, logits=tokens - 1).flops
        flops += 3 * 2 * tokens * numbers
    return Costs(sum(t.nbytes for t in factors.values()), flops, 0, 2 * numbers)
