"""Attention over the window of samples, the persistent tokens and what the memory returned."""

import math

import torch
from torch import Tensor, nn

from ..config import ModelConfig


class WindowAttention(nn.Module):
    """Multi-head attention with one query per position ("memory as context", Titans, arXiv
    2501.00663, section 4.1).

    Position t attends to the samples t - C + 1 .. t, each with a learned bias for its lag, to the
    persistent tokens, and to what the memory returned at t. In every layer the keys and values of
    the samples come from the embedded samples, so several layers see no further back than one.

    Args:
        config: sizes of the model.
        context_window: C.
        reads: whether `forward` is given what a memory returned.
    """

    def __init__(self, config: ModelConfig, context_window: int, reads: bool):
        super().__init__()
        width, heads = config.width, config.heads
        self.heads, self.head_width = heads, width // heads
        self.query = nn.Linear(width, width)
        self.sample = nn.Linear(width, 2 * width)
        self.read = nn.Linear(width, 2 * width) if reads else None
        if reads:
            # The bias log C gives the one read as much weight at the start as C samples have.
            self.read_bias = nn.Parameter(torch.full((heads, 1, 1), math.log(context_window)))
        self.lag_bias = nn.Parameter(torch.zeros(heads, context_window))
        self.persistent = nn.Parameter(
            torch.randn(2, heads, config.persistent, self.head_width) / math.sqrt(width)
        )
        self.output = nn.Linear(width, width)
        # Lag [C, 2C] from a chunk's positions to the samples of the chunk before it and its own.
        steps = torch.arange(context_window)
        lag = context_window + steps[:, None] - torch.arange(2 * context_window)
        self.register_buffer("lag", lag.clamp(0, context_window - 1), persistent=False)
        outside = (lag < 0) | (lag >= context_window)
        self.register_buffer("outside", outside, persistent=False)
        before_start = outside | (torch.arange(2 * context_window) < context_window)
        self.register_buffer("outside_first", before_start, persistent=False)

    def forward(self, stream: Tensor, samples: Tensor, read: Tensor | None) -> Tensor:
        """Attend from stream to samples and read; all three and the result are [B, n, C, E]."""
        count = stream.shape[1]
        query = self._split(self.query(stream), 1)[0] / math.sqrt(self.head_width)
        keys, values = self._with_chunk_before(self._split(self.sample(samples), 2))
        scores = [
            query @ keys.transpose(-1, -2) + self._bias(count),
            query @ self.persistent[0].transpose(-1, -2),
        ]
        if read is not None:
            read_key, read_value = self._split(self.read(read), 2)
            scores.append((query * read_key).sum(-1, keepdim=True) + self.read_bias)
        sizes = [score.shape[-1] for score in scores]
        shares = torch.softmax(torch.cat(scores, -1), -1).split(sizes, -1)
        found = shares[0] @ values + shares[1] @ self.persistent[1]
        if read is not None:
            found = found + shares[2] * read_value
        return self.output(found.transpose(2, 3).flatten(3))

    def _split(self, tokens: Tensor, parts: int) -> Tensor:
        """[B, n, C, parts * E] to [parts, B, n, heads, C, E / heads]."""
        split = tokens.unflatten(3, (parts, self.heads, self.head_width))
        return split.permute(3, 0, 1, 4, 2, 5)

    @staticmethod
    def _with_chunk_before(chunks: Tensor) -> Tensor:
        """[2, B, n, H, C, D] to [2, B, n, H, 2C, D]: the chunk before each chunk, then itself."""
        before = torch.cat([torch.zeros_like(chunks[:, :, :1]), chunks[:, :, :-1]], 2)
        return torch.cat([before, chunks], 4)

    def _bias(self, count: int) -> Tensor:
        """Lag bias [n, H, C, 2C]; minus infinity outside the window and before the series."""
        outside = torch.stack([self.outside_first, *[self.outside] * (count - 1)])
        return self.lag_bias[:, self.lag].masked_fill(outside[:, None], -math.inf)
