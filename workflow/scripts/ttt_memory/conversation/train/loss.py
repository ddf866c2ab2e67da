"""Cross-entropy of chosen positions, from hidden states: most positions never need logits."""

from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel

from ..models.logits import logits_of
from ..prompts.packing import IGNORE


def answer_loss(model: PreTrainedModel, hidden: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of the labelled positions, a scalar.

    `hidden` [B, T, d] is the output of the final norm. `labels` [B, T] is the token to predict at
    each position, or IGNORE.
    """
    chosen = labels != IGNORE
    return cross_entropy(model, hidden[chosen], labels[chosen])


def cross_entropy(model: PreTrainedModel, hidden: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy, a scalar, of `labels` [N] for final-norm outputs `hidden` [N, d]."""
    return F.cross_entropy(logits_of(model, hidden).float(), labels)
