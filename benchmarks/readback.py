"""How much of a written text can be read back from its state, token by token.

    python benchmarks/readback.py [--base data/models/embedded] [--model results/runs/.../model]

Dialogues of the corpus are written, each into a state of its own, and the state is brought into
several forms. Of each form three attacks try to find every token of the text:

kept     keys and values are taken from the state itself; projection and convolution are inverted
given    the text before each token is known: the same with what dW returns for its key
unrolled the first tokens are known; each found token is the text from which the next is sought

Without --model the memory is one that has learned nothing: every token is written half.
"""

import argparse
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from ttt_memory.benchmark import corpus
from ttt_memory.conversation.models.trained_run import load_base, load_run
from ttt_memory.conversation.prompts.prompter import Prompter
from ttt_memory.errors import run
from ttt_memory.fast_weights import FastState, FastWeights, FastWeightsConfig, inject

KNOWN = 5  # tokens that begin the unrolled text
SHARES = (1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32)  # of the bytes of the whole state
# As the run write-drop-read of config.yaml, before it is trained.
UNTRAINED = FastWeightsConfig(
    layers=(2,), chunk=512, target="input_embed", update="mesa", lr=3.0, gate="top"
)


@dataclass
class Attack:
    """Finds the tokens of one text, all of one chunk, by one layer's fast weights."""

    fw: FastWeights
    layer: int

    def __post_init__(self) -> None:
        self.made = self.fw.fast[str(self.layer)].keys_and_values(torch.float32)
        self.embeddings = self.fw.model.get_input_embeddings().weight

    def keys(self, ids: Tensor) -> Tensor:
        """Keys `[T, ff]` of a text `[T]`."""
        seen = []
        down = self.fw.down_projs[self.layer]
        handle = down.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
        self.fw.plain(input_ids=ids[None], logits_to_keep=1)
        handle.remove()
        return self.made.keys(seen[0])[0]

    def inverse(self, places: Tensor, length: int) -> Tensor:
        """For each channel `[d, length, N]`, from its values at `places` to a text of `length`."""
        return torch.linalg.pinv(self._band(length)[:, places])

    def tokens(self, values: Tensor, inverse: Tensor) -> Tensor:
        """The text `[T]` whose values `[N, d]` are `values`."""
        return self._nearest((inverse @ self._unprojected(values).T[..., None])[..., 0].T)

    def unrolled(self, dense: Tensor, ids: Tensor) -> Tensor:
        """The text found from its first tokens by dW `[d, ff]`."""
        found, taps = ids[:KNOWN], self.made.conv
        half = taps.shape[1] // 2
        while len(found) < len(ids):
            value = self._unprojected(self.keys(found)[-1:] @ dense.T)[0]
            before = self.embeddings[found[-half - 1 :]]  # what the convolution sees of the text
            known = (taps[:, half - len(before) + 1 : half + 1].T * before).sum(0)
            following = (value - known) / taps[:, half + 1]
            found = torch.cat([found, self._nearest(following[None])])
        return found

    def _unprojected(self, values: Tensor) -> Tensor:
        """`[N, d]` before the projection."""
        proj = self.made.proj
        return values if proj is None else values @ torch.linalg.pinv(proj)

    def _band(self, length: int) -> Tensor:
        """The convolution as matrices `[d, length, length]`, one for each channel."""
        taps = self.made.conv
        if taps is None:
            return torch.eye(length).expand(self.embeddings.shape[1], -1, -1)
        half = taps.shape[1] // 2
        shifts = [torch.diag(torch.ones(length), o)[:length, :length] for o in range(length + 1)]
        band = torch.zeros(len(taps), length, length)
        for column in range(taps.shape[1]):
            offset = column - half
            shift = shifts[abs(offset)] if abs(offset) < length else torch.zeros(length, length)
            band += taps[:, column, None, None] * (shift if offset >= 0 else shift.T)
        return band

    def _nearest(self, targets: Tensor) -> Tensor:
        """The token whose embedding points most nearly where `targets` `[T, d]` do."""
        unit = torch.nn.functional.normalize(self.embeddings, dim=1)
        return (targets @ unit.T).argmax(1)


def forms(state: FastState) -> Iterator[tuple[str, FastState]]:
    """The forms in which a state may be kept, by name."""
    yield "as written", state
    yield "solved", state.readable()
    for share in SHARES:
        yield f"compact, {share:.0%} of the bytes", state.compact(int(share * state.nbytes))


@dataclass
class Written:
    """A text, the state after it, and what the attacks need of both."""

    attack: Attack
    ids: Tensor  # [T]
    state: FastState
    gates: Tensor  # [T]

    def __post_init__(self) -> None:
        self.places, length = self.gates.nonzero().flatten(), len(self.ids)
        self.own = self.attack.keys(self.ids)
        self.whole = self.attack.inverse(torch.arange(length), length)
        self.open = self.attack.inverse(self.places, length)

    def found(self, state: FastState) -> list[float]:
        """The share of the tokens that each attack finds; nan where there is nothing to try."""
        written = state.layers[self.attack.layer].written
        dense, kept = written.to_dense()[0], getattr(written, "keys", None)
        given = self._right(self.attack.tokens(self.own @ dense.T, self.whole))
        unrolled = self._right(self.attack.unrolled(dense, self.ids), KNOWN)
        if kept is None:
            return [float("nan"), given, unrolled]
        # The values as they were written, or what their keys recall.
        values = written.values[0] if hasattr(written, "counts") else kept[0] @ dense.T
        return [self._right(self.attack.tokens(values, self.open)), given, unrolled]

    def _right(self, text: Tensor, start: int = 0) -> float:
        """The share of the tokens from `start` on that are those of the text."""
        return (text == self.ids)[start:].float().mean().item()


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", default="data/models/embedded", help="folder in Hub format")
    parser.add_argument("--model", help="a trained run; default: a memory that learned nothing")
    parser.add_argument("--dialogues", type=int, default=3, help="number of dialogues")
    parser.add_argument("--seed", type=int, default=1, help="seed of the dialogues")
    args = parser.parse_args()
    device = torch.device("cpu")
    if args.model:
        fw = load_run(args.model, args.base, device)
    else:
        fw = inject(load_base(args.base, args.base), UNTRAINED).eval()
    prompter = Prompter.load(args.base)
    attack = Attack(fw, fw.config.layers[-1])
    rows: dict[str, list[list[float]]] = {}
    for sample in islice(corpus.dialogues("en", seed=args.seed), args.dialogues):
        ids = torch.tensor(prompter.sessions(sample)[0])
        ids = ids[: fw.config.chunk]
        result = fw.write(ids[None])
        gates = torch.ones(len(ids)) if result.gates is None else result.gates[attack.layer][0]
        written = Written(attack, ids, result.state, gates)
        for name, state in forms(written.state):
            row = [state.nbytes / len(ids), *written.found(state)]
            rows.setdefault(name, []).append(row)
    print(f"{args.dialogues} dialogues, {fw.config.update}; shares of their tokens\n")
    print("| State | Bytes a token | kept | given | unrolled |\n|---|---|---|---|---|")
    for name, numbers in rows.items():
        size, *found = torch.tensor(numbers).mean(0).tolist()
        told = ["no keys" if math.isnan(share) else f"{share:.3f}" for share in found]
        print(f"| {name} | {size:,.0f} | {' | '.join(told)} |")


if __name__ == "__main__":
    run(main)
