"""Texts that the untouched base writes by itself, as a sample of what it says otherwise."""

from collections.abc import Iterator

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..config.base_model import BaseTextsConfig
from ..prompts.packing import pad_left
from ..prompts.prompter import Prompter
from ..prompts.template import render_chat

ROWS = 32  # texts written at once


def write_texts(
    model: PreTrainedModel, prompter: Prompter, config: BaseTextsConfig
) -> Iterator[dict]:
    """Rows of `schemas.BASE_TEXTS`, sampled at temperature 1.

    A model with a chat template writes a user's message, then the answer to it; in every second
    batch it writes running text, as a model without one always does.
    """
    torch.manual_seed(config.seed)
    made, batch = 0, 0
    while made < config.count:
        chat = prompter.template.from_chat and batch % 2 == 0
        texts = (_chats if chat else _running)(model, prompter, config.tokens)
        for ids in texts[: config.count - made]:
            text = prompter.tokenizer.decode(ids)
            yield {"kind": "chat" if chat else "text", "ids": ids, "text": text}
            made += 1
        batch += 1
        print(f"{made} of {config.count} texts", flush=True)


def _running(model: PreTrainedModel, prompter: Prompter, tokens: int) -> list[list[int]]:
    """Texts from the start token on, or from the end token where there is no other."""
    start = prompter.tokenizer.bos_token_id
    start = prompter.end if start is None else start
    return [ids for ids in _go_on(model, prompter, [[start]] * ROWS, tokens) if len(ids) > 2]


def _chats(model: PreTrainedModel, prompter: Prompter, tokens: int) -> list[list[int]]:
    """Messages of a user, each with the answer to it."""
    before, _ = prompter.template.text["en"]
    (opening,) = prompter.ids([prompter.template.opening + before])
    # Half of the tokens are for the message, so that there is room for the answer.
    said = _go_on(model, prompter, [opening] * ROWS, max(tokens // 2, len(opening) + 4))
    messages = [prompter.decode(ids[len(opening) :]) for ids in said]
    # A message that was cut off is none.
    prompts = [
        render_chat(prompter.tokenizer, [{"role": "user", "content": text}], to_answer=True)
        for text, ended in messages
        if ended and text
    ]
    return _go_on(model, prompter, prompter.ids(prompts), tokens)


@torch.no_grad()
def _go_on(
    model: PreTrainedModel, prompter: Prompter, starts: list[list[int]], tokens: int
) -> list[list[int]]:
    """Each start with what the model samples after it, up to the end token or `tokens` in all."""
    starts = [start for start in starts if len(start) < tokens]
    if not starts:
        return []
    ids, mask = (part.to(model.device) for part in pad_left(starts, prompter.pad))
    made = model.generate(
        ids,
        attention_mask=mask,
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        max_new_tokens=tokens - min(map(len, starts)),
        eos_token_id=prompter.end,
        pad_token_id=prompter.pad,
    )
    after: list[Tensor] = list(made[:, ids.shape[1] :].cpu())
    texts = []
    for start, new in zip(starts, after, strict=True):
        found = new.tolist()
        kept = found[: found.index(prompter.end) + 1] if prompter.end in found else found
        texts.append([*start, *kept][:tokens])
    return texts
