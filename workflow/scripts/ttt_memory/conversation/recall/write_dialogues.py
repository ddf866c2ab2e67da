"""Write texts into fast weights, batched: segment by segment, with nothing else carried on."""

import torch
from torch import Tensor

from ...fast_weights import FastState, FastWeights
from ..prompts.packing import pad_right
from ..prompts.prompter import Prompter


@torch.no_grad()
def write_texts(
    fw: FastWeights,
    prompter: Prompter,
    texts: list[list[list[int]]],
    segment_tokens: int,
    state: FastState | None = None,
    gates: list[dict[int, Tensor]] | None = None,
) -> FastState:
    """Write the texts of each of B rows in order, into `state` if given.

    The KV cache is dropped at the end of every text and after each `segment_tokens` tokens of it,
    so that only the fast weights carry anything on. Each piece follows the opening. What a row
    holds grows older where a text begins, not where its next segment does.

    To a list `gates`, those of each segment are appended: by layer `[B, T]`, without the opening;
    nothing where there is no gate.
    """
    opening, device = prompter.opening, fw.model.device
    cuts = [
        [(text, i) for text in row for i in range(0, len(text), segment_tokens)] for row in texts
    ]
    segments = [[text[i : i + segment_tokens] for text, i in row] for row in cuts]
    for step in range(max(map(len, segments))):
        # A row that has no text left takes part with one token, which is not written.
        present = [row[step] if step < len(row) else [] for row in segments]
        rows = [opening + (ids or [prompter.end]) for ids in present]
        ids, mask = (t.to(device) for t in pad_right(rows, prompter.pad))
        written = mask.bool() & torch.tensor([[bool(row)] for row in present], device=device)
        written[:, : len(opening)] = False
        goes_on = [step < len(row) and row[step][1] > 0 for row in cuts]
        result = fw.write(
            input_ids=ids,
            attention_mask=mask,
            write_mask=written,
            state=state,
            same_text=torch.tensor(goes_on, device=device),
        )
        state = result.state
        if gates is not None:
            gates.append({i: g[:, len(opening) :] for i, g in (result.gates or {}).items()})
    return state.fold()


def written_gates(fw: FastWeights, opening: list[int], ids: list[int]) -> dict[int, Tensor]:
    """Gates of the tokens `ids` by layer `[T]`; the opening before them is not written."""
    start = len(opening)
    input_ids = torch.tensor([opening + ids], device=fw.model.device)
    written = (torch.arange(input_ids.shape[1], device=input_ids.device) >= start)[None]
    gates = fw.write(input_ids=input_ids, write_mask=written).gates or {}
    return {layer: gate[0, start:].float().cpu() for layer, gate in gates.items()}
