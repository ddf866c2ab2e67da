"""How many episodes are asked at once: as configured, or fewer where RAM or GPU memory is short."""

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from transformers import PreTrainedModel

from ...errors import UserError
from ...fast_weights import FastWeights
from ...fast_weights.sizes import StateSizes
from ..config.asking import RecallConfig

if TYPE_CHECKING:
    from .episodes import Episode

SHARE = 0.8  # of the GPU memory that is free; the rest is for what the estimate leaves out
QUESTION = 32  # typical tokens of a question


class BatchSizes:
    """Batches of episodes within the configured limits and a GPU's free memory.

    What an episode takes is estimated from shapes. Where memory runs out all the same, on any
    device, half as many episodes are asked at once from there on.
    """

    def __init__(self, fw: FastWeights, config: RecallConfig) -> None:
        self.fw, self.config, self.limit = fw, config, config.rows

    def batches(self, episodes: list["Episode"], in_context: bool) -> Iterator[list["Episode"]]:
        """Episodes of similar length together; `in_context`: their texts stay in the KV cache."""
        batch: list[Episode] = []
        for episode in sorted(episodes, key=lambda episode: (episode.tokens, len(episode.asked))):
            width = max(len(other.asked) for other in [*batch, episode])
            rows = self._rows(episode.tokens, width, in_context)
            full = len(batch) >= rows or width * (len(batch) + 1) > self.config.probe_rows
            if batch and full:
                yield batch
                batch = []
            batch.append(episode)
        if batch:
            yield batch

    def ask(
        self, batch: list["Episode"], ask: Callable[[list["Episode"]], list[dict]]
    ) -> list[dict]:
        """What `ask` returns for all episodes of a batch, in parts where memory runs out.

        Raises:
            UserError: it runs out with a single episode.
        """
        if len(batch) > self.limit:  # the first half of the batch has lowered it
            return self._halves(batch, ask)
        try:
            return ask(batch)
        except RuntimeError as error:
            if not should_reduce_batch_size(error):
                raise
            if len(batch) == 1:
                episode = batch[0]
                raise UserError(
                    f"out of memory with one dialogue of {episode.tokens} tokens and its "
                    f"{len(episode.asked)} probes; expected a device with more memory, or a smaller"
                    f" recall.segment_tokens ({self.config.segment_tokens})"
                ) from error
        # Not inside the `except`: there the traceback keeps the failed tensors alive.
        clear_device_cache(garbage_collection=True)
        self.limit = len(batch) // 2
        text = f"out of memory with {len(batch)} dialogues at once: going on with {self.limit}"
        print(text, file=sys.stderr)
        return self._halves(batch, ask)

    def _halves(
        self, batch: list["Episode"], ask: Callable[[list["Episode"]], list[dict]]
    ) -> list[dict]:
        half = len(batch) // 2
        return self.ask(batch[:half], ask) + self.ask(batch[half:], ask)

    def _rows(self, tokens: int, probes: int, in_context: bool) -> int:
        """The most episodes of so many tokens and probes."""
        rows = self.limit
        if in_context:  # each KV cache is held until its probes are answered
            rows = min(rows, self.config.context_tokens // max(1, tokens))
        if (free := free_bytes(self.fw.model.device)) is not None:
            rows = min(rows, int(SHARE * free / self._row_bytes(tokens, probes, in_context)))
        return max(1, rows)

    def _row_bytes(self, tokens: int, probes: int, in_context: bool) -> int:
        """Of one episode: KV cache, state while it is made readable, and the widest activations."""
        d, ff = self.fw.widths(self.fw.config.layers[0])
        lanes = probes * (QUESTION + self.config.max_new_tokens)
        at_once = tokens if in_context else min(tokens, self.config.segment_tokens)
        cached = cache_bytes(self.fw.model, lanes + (tokens if in_context else 0))
        sizes = StateSizes(self.fw.config, d, ff)
        state = 0 if in_context else sizes.readable_peak_bytes(sizes.held(tokens))
        return cached + state + max(at_once, lanes) * 4 * (d + ff) * 4


def cache_bytes(model: PreTrainedModel, tokens: int) -> int:
    """Bytes of the KV cache of `tokens` tokens."""
    config = model.get_decoder().config
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    numbers = 2 * config.num_hidden_layers * config.num_key_value_heads * head
    return numbers * tokens * model.dtype.itemsize


def free_bytes(device: torch.device) -> int | None:
    """What a GPU can still be asked for, bytes; None on a CPU, whose RAM other jobs share."""
    if device.type != "cuda":
        return None
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + kept
