"""Rows of one context and many probes, so that a dialogue is read once for all its probes."""

from dataclasses import dataclass

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
        mask: [B, 1, T, T] bool, True where a query (third axis) sees a key (fourth axis).
        labels: [B, T] int64, the answer token that position t must predict, else IGNORE.
        lm_labels: [B, T] int64, the next token inside the context, else IGNORE.
    """

    input_ids: Tensor
    position_ids: Tensor
    mask: Tensor
    labels: Tensor
    lm_labels: Tensor

    def to(self, device: torch.device | str) -> "Packed":
        """The same batch on another device."""
        return Packed(**{name: value.to(device) for name, value in vars(self).items()})


def pack(
    contexts: list[list[int]], questions: list[list[list[int]]], answers: list[list[list[int]]]
) -> Packed:
    """Pack each context with its probes (question and answer ids) into one row.

    Probes see their context and themselves, never each other. An empty context gives rows of
    probes alone, at positions from 0, as conditions B and C ask them.
    """
    rows = [_row(*parts) for parts in zip(contexts, questions, answers, strict=True)]
    length = max(len(row[0]) for row in rows)
    fill = (0, 0, PADDING, IGNORE, IGNORE)
    columns = [
        torch.tensor([row[i] + [fill[i]] * (length - len(row[0])) for row in rows])
        for i in range(5)
    ]
    ids, positions, segment, labels, lm_labels = columns
    query, key = segment[:, :, None], segment[:, None, :]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    mask = causal & ((query == key) | (key == CONTEXT)) & (key != PADDING)
    # A padding query sees itself: a softmax over nothing would be NaN.
    mask |= torch.eye(length, dtype=torch.bool)
    return Packed(ids, positions, mask[:, None], labels, lm_labels)


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
