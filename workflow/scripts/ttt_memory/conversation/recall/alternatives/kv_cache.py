"""K and K_gate: the KV cache of a text, cut to a budget of bytes.

A cut keeps whole entries (a key and a value of one head) with the rotary positions that they have.
K keeps those that received most attention, summed over all queries of the text, as H2O does (arXiv
2306.14048); each head of each layer chooses for itself. K_gate, a control, keeps in all heads the
tokens that the write gate of the fast weights lets through most. The opening is always kept and not
counted, since it is the same before every text.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache, PreTrainedModel

from ....errors import UserError
from ....vocabulary import WHOLE
from ...models.attention_masks import SLIDING, layer_kinds
from ..answers import Context
from ..episodes import Episode
from ..kept import Costs, Engine, Kept
from ..write_dialogues import written_gates

QUERIES = 128  # at once: eager attention holds their weights on all keys, in all layers


@dataclass(frozen=True)
class Entries:
    """The KV entries of one text.

    Attributes:
        keys, values: [layers, heads, T, width], the opening among the T tokens.
        received: [layers, heads, T] float, the attention that each entry received from all queries.
        length: tokens of the opening and the text, also where entries were dropped.
    """

    keys: Tensor
    values: Tensor
    received: Tensor
    length: int

    def keep(self, score: Tensor, opening: int, count: int) -> "Entries":
        """The opening and the `count` entries with the highest `score` [layers, heads, T]."""
        count = min(count, self.keys.shape[2] - opening)
        best = score[..., opening:].topk(count).indices.sort().values + opening
        first = torch.arange(opening, device=best.device).expand(*best.shape[:2], opening)
        kept = torch.cat([first, best], -1)
        wide = kept[..., None].expand(*kept.shape, self.keys.shape[3])
        keys, values = (t.gather(2, wide) for t in (self.keys, self.values))
        return Entries(keys, values, self.received.gather(2, kept), self.length)


def by_attention(engine: Engine, batch: list[Episode]) -> Iterator[Kept]:
    """K: at every budget, and whole."""
    yield from _cuts(engine, batch, lambda entries, _: entries.received, whole=True)


def by_gate(engine: Engine, batch: list[Episode]) -> Iterator[Kept]:
    """K_gate: at every budget. A run without a gate keeps the last tokens."""

    def score(entries: Entries, episode: Episode) -> Tensor:
        opening = len(engine.prompter.opening)
        gates = torch.nn.functional.pad(write_gates(engine, episode.texts), (opening, 0))
        return gates.expand_as(entries.received)

    yield from _cuts(engine, batch, score)


def _cuts(
    engine: Engine,
    batch: list[Episode],
    score: Callable[[Entries, Episode], Tensor],
    whole: bool = False,
) -> Iterator[Kept]:
    started = time.perf_counter()
    texts = [entries_of(engine, episode.ids) for episode in batch]
    scores = [score(*pair) for pair in zip(texts, batch, strict=True)]
    common = time.perf_counter() - started
    opening = len(engine.prompter.opening)
    for budget in (*engine.config.budgets, *([WHOLE] if whole else [])):
        started = time.perf_counter()
        counts = [entry_count(budget, episode) for episode in batch]
        kept = [e.keep(s, opening, n) for e, s, n in zip(texts, scores, counts, strict=True)]
        costs = [
            Costs(
                engine.decoder.cache_bytes(entries.keys.shape[2] - opening),
                engine.prefill_flops(episode.tokens),
                entries.keys.shape[2] - opening,
            )
            for entries, episode in zip(kept, batch, strict=True)
        ]
        answer = partial(engine.answer, contexts=stacked(kept))
        yield Kept(answer, costs, common + time.perf_counter() - started, budget)


def entry_count(budget: float, episode: Episode) -> int:
    """Entries of each head in `budget`, a fraction of the dialogue's KV cache; at least one."""
    if budget == WHOLE:
        return episode.tokens
    return max(1, int(budget * episode.dialogue_tokens))


@torch.no_grad()
def entries_of(engine: Engine, text: list[int]) -> Entries:
    """The KV entries of the opening and `text`, and the attention that they receive.

    Raises:
        UserError: the model has sliding windows, in which entries fall out of sight by position.
    """
    model = engine.fw.model
    if SLIDING in layer_kinds(model):
        raise UserError(
            f"{type(model).__name__}: found sliding-window layers, expected full attention in all"
            " (recall.alternatives: leave out K, K_gate and Q)"
        )
    ids = torch.tensor([engine.prompter.opening + text], device=model.device)
    cache, received = DynamicCache(), []
    heads = model.get_decoder().config.num_key_value_heads
    with eager_attention(model):
        for piece in ids.split(QUERIES, 1):
            output = engine.fw.plain(
                input_ids=piece,
                past_key_values=cache,
                use_cache=True,
                output_attentions=True,
                logits_to_keep=1,
            )
            # Query heads that share a key are added up.
            weights = torch.stack([a[0].float().sum(1) for a in output.attentions])
            received.append(weights.unflatten(1, (heads, -1)).sum(2))
    total = pad_sequence([r.permute(2, 0, 1) for r in received]).sum(1).permute(1, 2, 0)
    keys, values = (torch.stack([getattr(layer, n)[0] for layer in cache.layers]) for n in _BOTH)
    return Entries(keys, values, total, ids.shape[1])


_BOTH = ("keys", "values")


def stacked(rows: list[Entries]) -> Context:
    """The cut caches of several texts as one batch; shorter ones are padded."""
    most, cache = max(row.keys.shape[2] for row in rows), DynamicCache()
    for layer in range(len(rows[0].keys)):
        padded = (
            torch.stack([_padded(getattr(row, name)[layer], most) for row in rows])
            for name in _BOTH
        )
        cache.update(*padded, layer)
    device = rows[0].keys.device
    count = torch.tensor([row.keys.shape[2] for row in rows], device=device)
    seen = torch.arange(most, device=device) < count[:, None]
    return Context(cache, seen, torch.tensor([row.length for row in rows], device=device))


def _padded(entries: Tensor, length: int) -> Tensor:
    return torch.nn.functional.pad(entries, (0, 0, 0, length - entries.shape[1]))


@torch.no_grad()
def write_gates(engine: Engine, texts: list[list[int]]) -> Tensor:
    """[T] gates of all tokens of the texts, averaged over layers, as they are written."""
    found, seen, opening = [], 0, engine.prompter.opening
    for text in texts:
        for start in range(0, len(text), engine.config.segment_tokens):
            piece = text[start : start + engine.config.segment_tokens]
            gates = written_gates(engine.fw, opening, piece)
            if not gates:  # all are written alike: the later, the better
                gates = {0: seen + torch.arange(len(piece)).float()}
            seen += len(piece)
            found.append(torch.stack(list(gates.values())).mean(0))
    return torch.cat(found).to(engine.fw.model.device)


@contextmanager
def eager_attention(model: PreTrainedModel) -> Iterator[None]:
    """The only attention that says what it attended to."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)
