"""How many dialogues are read and asked at once: what is set, what fits, and not what did not."""

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

from ...cost.model import Decoder, Memory
from ...errors import UserError
from ...fast_weights import FastWeights
from ..config.asking import RecallConfig

if TYPE_CHECKING:
    from .conditions import Job

SHARE = 0.8  # of the memory that is free: the rest is for what the cost model leaves out
QUESTION = 32  # tokens of a question, about


class Room:
    """Batches of jobs within the limits on dialogues, probes and a GPU's free memory.

    The last is an estimate from shapes. Where memory runs out all the same, on any device, half as
    many dialogues are asked at once from there on.
    """

    def __init__(self, fw: FastWeights, config: RecallConfig) -> None:
        self.fw, self.config, self.limit = fw, config, config.rows

    def batches(self, jobs: list["Job"], in_context: bool) -> Iterator[list["Job"]]:
        """Jobs of similar length together; `in_context`: what they read stays in the KV cache."""
        batch: list[Job] = []
        for job in sorted(jobs, key=lambda job: (job.tokens, len(job.asked))):
            width = max(len(other.asked) for other in [*batch, job])
            rows = self._rows(job.tokens, width, in_context)
            full = len(batch) >= rows or width * (len(batch) + 1) > self.config.probe_rows
            if batch and full:
                yield batch
                batch = []
            batch.append(job)
        if batch:
            yield batch

    def ask(self, batch: list["Job"], ask: Callable[[list["Job"]], list[dict]]) -> list[dict]:
        """What `ask` returns for all jobs of a batch, in parts where memory runs out.

        Raises:
            UserError: it runs out with a single job.
        """
        if len(batch) > self.limit:  # as the half before it found
            return self._halves(batch, ask)
        try:
            return ask(batch)
        except RuntimeError as error:
            if not should_reduce_batch_size(error):
                raise
            if len(batch) == 1:
                job = batch[0]
                raise UserError(
                    f"out of memory with one dialogue of {job.tokens} tokens and its "
                    f"{len(job.asked)} probes; expected a device with more memory, or a smaller "
                    f"recall.segment_tokens ({self.config.segment_tokens})"
                ) from error
        # Only here: the error's traceback keeps what was allocated.
        clear_device_cache(garbage_collection=True)
        self.limit = len(batch) // 2
        text = f"out of memory with {len(batch)} dialogues at once: going on with {self.limit}"
        print(text, file=sys.stderr)
        return self._halves(batch, ask)

    def _halves(self, batch: list["Job"], ask: Callable[[list["Job"]], list[dict]]) -> list[dict]:
        half = len(batch) // 2
        return self.ask(batch[:half], ask) + self.ask(batch[half:], ask)

    def _rows(self, tokens: int, probes: int, in_context: bool) -> int:
        """The most dialogues of so many tokens and probes."""
        rows = self.limit
        if in_context:  # every dialogue's KV cache is held until its probes are answered
            rows = min(rows, self.config.context_tokens // max(1, tokens))
        if (free := free_bytes(self.fw.model.device)) is not None:
            rows = min(rows, int(SHARE * free / self._row_bytes(tokens, probes, in_context)))
        return max(1, rows)

    def _row_bytes(self, tokens: int, probes: int, in_context: bool) -> int:
        """Of one dialogue: KV cache, state while it is solved, and the widest activations."""
        dtype = str(self.fw.model.dtype).removeprefix("torch.")
        decoder = Decoder.of(self.fw.model.config, dtype)
        memory = Memory(decoder, self.fw.config)
        lanes = probes * (QUESTION + self.config.max_new_tokens)
        read = tokens if in_context else min(tokens, self.config.segment_tokens)
        cached = decoder.cache_bytes(lanes + (tokens if in_context else 0))
        state = 0 if in_context else memory.solving_bytes(memory.held(tokens))
        return cached + state + max(read, lanes) * 4 * (decoder.d + decoder.ff) * 4


def free_bytes(device: torch.device) -> int | None:
    """What a GPU can still be asked for, bytes; None on a CPU, whose jobs share its memory."""
    if device.type != "cuda":
        return None
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + kept
