"""Packed rows: one context with many probes, so that it is processed once for all of them."""

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
        position_ids: [B, T] int64; each probe continues from the end of its context.
        segment: [B, T] int64; CONTEXT, the number of the probe (from 1), or PADDING.
        labels: [B, T] int64; the answer token that the position must predict, else IGNORE.
        lm_labels: [B, T] int64; the next token of the context, else IGNORE.
        positions: number of positions of the longest context with one of its probes.
        has_probes: whether any row has a probe.
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
        # A padding query sees itself, because a softmax over no key would be NaN.
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

    A probe sees its context and itself, but no other probe. With an empty context, probes start at
    position 0.

    Args:
        contexts: ids of the context of each row.
        questions: ids of each question, for each row.
        answers: ids of each answer, for each row; the last id ends the answer.
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
    """The columns of one packed row: ids, positions, segment, labels, lm_labels."""
    ids, positions = list(context), list(range(len(context)))
    segment, labels = [CONTEXT] * len(context), [IGNORE] * len(context)
    lm_labels = [*context[1:], IGNORE] if context else []
    for number, (question, answer) in enumerate(zip(questions, answers, strict=True), start=1):
        # The last answer token has nothing to predict, so it is no input.
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
