"""Which value comes back for a key that two sessions gave one, and what older sessions keep.

    python benchmarks/recency.py

Eight sessions of random keys and values are written into one least-squares state. Two keys get a
new value: one in session 2, after which six more follow, and one in the last session. Shares are
the weights of the new and of the old value in what dW returns for the key. Of the first session's
other keys: cosine to the value, and the share of it that comes back.

none, factor F: the recency of the update rule `mesa`, factor 1 and below
tag T: each key has a part of length T that turns from session to session by equal angles, a right
    angle in all; a question has that of the last session
delta: after least squares, one step of the delta rule on each token of the last session
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from ttt_memory.errors import run
from ttt_memory.fast_weights.rules.least_squares import counts
from ttt_memory.fast_weights.rules.mesa import MesaState

D, FF, SESSIONS, TOKENS = 128, 384, 8, 20
EARLY, LATE = 0, 1  # places in a session of the two keys that change


@dataclass
class Sessions:
    """Keys `[sessions, tokens, ff]` of length one, and values `[sessions, tokens, d]`."""

    keys: Tensor
    values: Tensor

    @classmethod
    def random(cls, seed: int) -> "Sessions":
        """Session 2 gives the first key of session 1 another value, the last session the second."""
        generator = torch.Generator().manual_seed(seed)
        keys = normalize(torch.randn(SESSIONS, TOKENS, FF, generator=generator), dim=-1)
        keys[1, EARLY], keys[-1, LATE] = keys[0, EARLY], keys[0, LATE]
        return cls(keys, torch.randn(SESSIONS, TOKENS, D, generator=generator))

    def tagged(self, length: float) -> "Sessions":
        """The same with a part in each key that turns with the session."""
        angle = torch.linspace(0, torch.pi / 2, SESSIONS)[:, None, None]
        tag = length * torch.cat([angle.cos(), angle.sin()], -1).expand(-1, TOKENS, -1)
        return Sessions(normalize(torch.cat([self.keys, tag], -1), dim=-1), self.values)

    def asked(self) -> Tensor:
        """The first session's keys, with the last session's tag if there is one."""
        return torch.cat([self.keys[0, :, :FF], self.keys[-1, :, FF:]], -1)


def least_squares(sessions: Sessions, factor: float = 1.0) -> Tensor:
    """DW `[d, ff]` of all sessions; `factor` is the recency."""
    state = MesaState.empty(1, D, sessions.keys.shape[-1], sessions.keys)
    strength = counts(torch.full((1, TOKENS), 0.95))
    for place in range(SESSIONS):
        if place and factor < 1:
            state = state.age(torch.tensor([factor]))
        keys, values = sessions.keys[place : place + 1], sessions.values[place : place + 1]
        state = state.append(keys=keys, values=values, counts=strength)
    return state.make_readable().to_dense()[0]


def with_delta_step(sessions: Sessions, factor: float = 1.0) -> Tensor:
    """`least_squares`, and then the last session's tokens by the delta rule at rate 1."""
    dw = least_squares(sessions, factor)
    for key, value in zip(sessions.keys[-1], sessions.values[-1], strict=True):
        dw = dw + torch.outer(value - dw @ key, key)
    return dw


def measured(make: Callable[[Sessions], Tensor], sessions: Sessions) -> Iterator[float]:
    """New and old share of both keys, then cosine and share of the other keys of session 1."""
    dw = make(sessions)
    found = sessions.asked() @ dw.T
    for place, session in ((EARLY, 1), (LATE, -1)):
        both = torch.stack([sessions.values[session, place], sessions.values[0, place]])
        yield from torch.linalg.lstsq(both.T, found[place]).solution.tolist()
    rest, values = found[2:], sessions.values[0, 2:]
    yield cosine_similarity(rest, values).mean().item()
    yield ((rest * values).sum() / values.square().sum()).item()


def forms() -> Iterator[tuple[str, Callable[[Sessions], Tensor], float]]:
    """Name, the way to dW, and the length of the tag."""
    yield "none", least_squares, 0.0
    for factor in (0.5, 0.3, 0.1):
        yield f"factor {factor:g}", partial(least_squares, factor=factor), 0.0
    for length in (0.5, 1.0):
        yield f"tag {length:g}", least_squares, length
    yield "factor 0.5, tag 0.5", partial(least_squares, factor=0.5), 0.5
    yield "none, delta", with_delta_step, 0.0
    yield "factor 0.5, delta", partial(with_delta_step, factor=0.5), 0.0


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=20, help="number of random draws")
    args = parser.parse_args()
    print(f"{args.draws} draws of {SESSIONS} sessions of {TOKENS} tokens, ff {FF}, d {D}\n")
    columns = ("", "Changed in session 2: new, old", "in the last: new, old")
    print(f"| {' | '.join((*columns, 'First session: cosine, share'))} |")
    print("|---|---|---|---|")
    for name, make, length in forms():
        draws = [Sessions.random(seed) for seed in range(args.draws)]
        draws = [draw.tagged(length) if length else draw for draw in draws]
        rows = torch.tensor([list(measured(make, draw)) for draw in draws])
        cells = [f"{number:.2f}" for number in rows.mean(0)]
        pairs = [", ".join(cells[i : i + 2]) for i in (0, 2, 4)]
        print(f"| {name} | {' | '.join(pairs)} |")


if __name__ == "__main__":
    run(main)
