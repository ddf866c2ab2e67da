"""Rows of one context and many probes, so that a dialogue is read once for all its probes."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

IGNORE = -100
CONTEXT, PADDING = 0, -1


@dataclass
class Packed:
    """A batch of packed rows.

    Attributes:
        input_ids: [B, T] int64, right-padded.
        position_ids: [B, T] int64; every probe continues at its context's end.
        segment: [B, T] int64, CONTEXT, the number of a probe from 1, or PADDING.
        labels: [B, T] int64, the answer token that position t must predict, else IGNORE.
        lm_labels: [B, T] int64, the next token inside the context, else IGNORE.
        positions: of the longest sequence that a probe or context makes.
        has_probes: whether anything but context stands in a row.
    """

    input_ids: Tensor
    position_ids: Tensor
    segment: Tensor
    labels: Tensor
    lm_labels: Tensor
    positions: int
    has_probes: bool

    @property
    def mask(self) -> Tensor:
        """[B, 1, T, T] bool, True where a query (third axis) sees a key (fourth axis)."""
        query, key = self.segment[:, :, None], self.segment[:, None, :]
        length = self.segment.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool, device=key.device).tril()
        mask = causal & ((query == key) | (key == CONTEXT)) & (key != PADDING)
        # A padding query sees itself: a softmax over nothing would be NaN.
        mask |= torch.eye(length, dtype=torch.bool, device=key.device)
        return mask[:, None]

    def to(self, device: torch.device | str) -> "Packed":
        """The same batch on another device."""
        moved = {n: v.to(device) for n, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **moved)


def pack(
    contexts: list[list[int]], questions: list[list[list[int]]], answers: list[list[list[int]]]
) -> Packed:
    """Pack each context with its probes (question and answer ids) into one row.

    Probes see their context and themselves, never each other. An empty context gives rows of
    probes alone, at positions from 0.
    """
    rows = [_row(*parts) for parts in zip(contexts, questions, answers, strict=True)]
    length = max(len(row[0]) for row in rows)
    fill = (0, 0, PADDING, IGNORE, IGNORE)
    columns = [
        torch.tensor([row[i] + [fill[i]] * (length - len(row[0])) for row in rows])
        for i in range(5)
    ]
    positions = 1 + max(max(row[1], default=-1) for row in rows)
    return Packed(*columns, positions=positions, has_probes=any(map(any, questions)))


def _row(
    context: list[int], questions: list[list[int]], answers: list[list[int]]
) -> tuple[list[int], list[int], list[int], list[int], list[int]]:
    ids, positions = list(context), list(range(len(context)))
    segment, labels = [CONTEXT] * len(context), [IGNORE] * len(context)
    lm_labels = [*context[1:], IGNORE] if context else []
    for number, (question, answer) in enumerate(zip(questions, answers, strict=True), start=1):
        # The last answer token predicts nothing, so it is not read.
        probe = question + answer[:-1]
        ids += probe
        positions += range(len(context), len(context) + len(probe))
        segment += [number] * len(probe)
        labels += [IGNORE] * (len(question) - 1) + answer
        lm_labels += [IGNORE] * len(probe)
    return ids, positions, segment, labels, lm_labels


def pad_right(rows: list[list[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Ids [B, T] and attention mask [B, T] (int64) of ragged rows, padded on the right."""
    length = max(map(len, rows))
    ids = torch.tensor([row + [pad] * (length - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows])
    return ids, mask


def pad_left(rows: list[list[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Ids [B, T] and attention mask [B, T] (int64) of ragged rows, padded on the left."""
    length = max(map(len, rows))
    ids = torch.tensor([[pad] * (length - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows])
    return ids, mask
