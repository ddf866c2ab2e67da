"""Losses of chosen positions, from hidden states: most positions never need logits."""

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


def log_probabilities(model: PreTrainedModel, hidden: Tensor) -> Tensor:
    """[N, vocabulary] float32 log-probabilities for final-norm outputs `hidden` [N, d]."""
    return logits_of(model, hidden).float().log_softmax(-1)


def divergence(base: Tensor, trained: Tensor) -> Tensor:
    """KL(base || trained) of log-probabilities [N, vocabulary], their mean over N; nats."""
    return F.kl_div(trained, base, reduction="sum", log_target=True) / len(base)
