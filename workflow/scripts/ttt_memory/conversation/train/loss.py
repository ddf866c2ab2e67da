"""Losses of answers, read off hidden states: the logits of most positions are never needed."""

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel

from ..prompts.packing import IGNORE


def answer_loss(model: PreTrainedModel, hidden: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of the labelled positions.

    `hidden` [B, T, d] is the output of the final norm, `labels` [B, T] the token to predict
    at each position, or IGNORE.
    """
    chosen = labels != IGNORE
    return cross_entropy(model, hidden[chosen], labels[chosen])


def cross_entropy(model: PreTrainedModel, hidden: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of `labels` [N], read off the final norm's output `hidden` [N, d]."""
    return F.cross_entropy(logits_of(model, hidden).float(), labels)


def logits_of(model: PreTrainedModel, hidden: Tensor) -> Tensor:
    """Logits [..., vocabulary] of the final norm's output [..., d], capped if the model does so."""
    logits = model.get_output_embeddings()(hidden)
    cap = getattr(model.get_decoder().config, "final_logit_softcapping", None)
    return logits if cap is None else cap * torch.tanh(logits / cap)
