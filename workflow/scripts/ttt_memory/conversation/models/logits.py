"""Logits from hidden states: most positions never need them."""

import torch
from torch import Tensor
from transformers import PreTrainedModel


def logits_of(model: PreTrainedModel, hidden: Tensor) -> Tensor:
    """Logits [..., vocabulary] of the final norm's output `hidden` [..., d].

    They are capped by `final_logit_softcapping` if the model's configuration has it.
    """
    logits = model.get_output_embeddings()(hidden)
    cap = getattr(model.get_decoder().config, "final_logit_softcapping", None)
    return logits if cap is None else cap * torch.tanh(logits / cap)
