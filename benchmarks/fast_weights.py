"""Write and read against the plain model; the parallel training form against the dense one.

    python benchmarks/fast_weights.py [--threads 2] [--lengths 512 2048 8192] [--check]

One process, forms timed in turns; each that is compared must give the same numbers first. Peak
memory is of a fresh process for each form. The model is random, by default d 512, ff 1536,
8 layers, memory in three. --check exits 1 and names the target that is missed.
"""

import argparse
import itertools
import statistics
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel, Qwen3Config, Qwen3ForCausalLM

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from ttt_memory.cost import flop_counter, roofline, stopwatch
from ttt_memory.errors import run
from ttt_memory.fast_weights import FastWeights, FastWeightsConfig, inject
from ttt_memory.fast_weights.passes import Write

CPU = torch.device("cpu")
HEADS, VOCABULARY = 8, 4096
TEXT, CHUNK = 512, 64  # tokens, and in a chunk, at which the targets hold
MOST_OVERHEAD, LEAST_TIME, LEAST_MEMORY = 0.15, 3.0, 5.0
TOLERANCE = 1e-3  # relative, between forms in float32
TRAINED = {"gate": "top", "target": "input_embed", "chunk": 512}
# The rule that the runs train, and its plainer relatives.
WRITTEN = {
    "mesa, gated": {"update": "mesa", **TRAINED},
    "delta, gated": {"update": "delta", **TRAINED},
    "hebbian": {"update": "hebbian", "chunk": 64},
}


@dataclass(frozen=True)
class Shape:
    """A Qwen3 with random weights and the layers that remember."""

    d: int
    ff: int
    layers: int
    remember: int

    def model(self) -> PreTrainedModel:
        """Always the same weights, frozen."""
        torch.manual_seed(0)
        config = Qwen3Config(
            hidden_size=self.d,
            intermediate_size=self.ff,
            num_hidden_layers=self.layers,
            num_attention_heads=HEADS,
            num_key_value_heads=HEADS,
            head_dim=self.d // HEADS,
            vocab_size=VOCABULARY,
        )
        return Qwen3ForCausalLM(config).eval().requires_grad_(False)

    @property
    def fast(self) -> tuple[int, ...]:
        """The layers that remember, spread over the model."""
        return tuple(i * self.layers // self.remember for i in range(self.remember))

    def memory(self, **rule: object) -> FastWeights:
        """The model with a memory."""
        return inject(self.model(), FastWeightsConfig(layers=self.fast, **rule))

    def published(self, chunk: int) -> FastWeights:
        """The model with a memory that is read while it is written, as published."""
        return self.memory(chunk=chunk, read_while_writing=True, key_norm="none", learn_lr=False)

    def ids(self, length: int) -> Tensor:
        """Random tokens `[1, length]`."""
        generator = torch.Generator().manual_seed(1)
        return torch.randint(0, VOCABULARY, (1, length), generator=generator)


class DenseMLP(nn.Module):
    """A gated MLP in the published training form: a weight `[d, ff]` for every chunk."""

    def __init__(self, fw: FastWeights, layer: int) -> None:
        super().__init__()
        self.mlp, self.fast = fw.model.get_decoder().layers[layer].mlp, fw.fast[str(layer)]
        self.chunk = fw.config.chunk

    def forward(self, x: Tensor) -> Tensor:
        """`[B, T, d]` -> `[B, T, d]`, with the weights from before each token's chunk."""
        z = self.mlp.act_fn(self.mlp.gate_proj(x)) * self.mlp.up_proj(x)
        batch, length, d = x.shape
        chunk = min(self.chunk, length)
        pieces = -(-length // chunk)
        z, x = (F.pad(t, (0, 0, 0, pieces * chunk - length)) for t in (z, x))
        taps = self.fast.conv
        values = F.conv1d(
            x.reshape(batch * pieces, chunk, d).mT, taps[:, None], padding="same", groups=d
        )
        values = (values.mT @ self.fast.proj).reshape(batch, pieces, chunk, d)
        z = z.reshape(batch, pieces, chunk, -1)
        writes = self.fast.config.lr * values.mT @ z
        weights = self.mlp.down_proj.weight + writes.cumsum(1) - writes
        return (z @ weights.mT).reshape(batch, pieces * chunk, d)[:, :length]


class ParallelMLP(nn.Module):
    """The same MLP in the library's form, by the calls that its hooks make."""

    def __init__(self, fw: FastWeights, layer: int) -> None:
        super().__init__()
        self.mlp, self.fast, self.layer = fw.model.get_decoder().layers[layer].mlp, fw.fast, layer
        self.config, self.empty = fw.config, fw.empty_state(1)

    def forward(self, x: Tensor) -> Tensor:
        """`[1, T, d]` -> `[1, T, d]`."""
        layers = {self.layer: self.fast[str(self.layer)]}
        mask = torch.ones(x.shape[:2], dtype=torch.bool)
        call = Write(self.config, layers, self.empty, mask, None, "drop", None)
        call.enter(self.layer, x)
        z = self.mlp.act_fn(self.mlp.gate_proj(x)) * self.mlp.up_proj(x)
        return call.down(self.layer, z, self.mlp.down_proj(z))


FORMS = {"dense-cumulative": DenseMLP, "parallel": ParallelMLP}


def layer_step(fw: FastWeights, form: str, x: Tensor) -> list[Tensor]:
    """Output of one MLP that remembers, and the gradients of its input and of its memory."""
    layer = fw.config.layers[0]
    x = x.detach().requires_grad_()
    out = FORMS[form](fw, layer)(x)
    return [out.detach(), *gradients(fw, out.square().mean()), x.grad]


def gradients(fw: FastWeights, loss: Tensor) -> list[Tensor]:
    """Gradients of the memory's parameters that `loss` reaches."""
    fw.fast.zero_grad(set_to_none=True)
    loss.backward()
    return [p.grad for p in fw.fast_parameters() if p.grad is not None]


def model_step(fw: FastWeights, form: str, ids: Tensor) -> list[Tensor]:
    """Next-token loss of the whole model, and the gradients of its memory."""
    layers = fw.model.get_decoder().layers
    own = {i: layers[i].mlp for i in fw.config.layers}
    if form == "dense-cumulative":
        for i in own:
            layers[i].mlp = DenseMLP(fw, i)
        logits = fw.plain(input_ids=ids, use_cache=False).logits
        for i, mlp in own.items():
            layers[i].mlp = mlp
    else:
        logits = fw.write(ids, logits=True).logits
    loss = F.cross_entropy(logits[0, :-1], ids[0, 1:])
    return [loss.detach(), *gradients(fw, loss)]


def training_case(shape: Shape, whole: bool, chunk: int, length: int) -> tuple:
    """(step function, memory, input) of one row of the table."""
    fw = shape.published(chunk)
    if whole:
        return model_step, fw, shape.ids(length)
    generator = torch.Generator().manual_seed(2)
    return layer_step, fw, torch.randn(1, length, shape.d, generator=generator)


def training_peak(
    shape: Shape, whole: bool, chunk: int, length: int, form: str, threads: int
) -> int:
    """Peak bytes of one training step; for a fresh process."""
    torch.set_num_threads(threads)
    step, fw, x = training_case(shape, whole, chunk, length)
    step(fw, form, x[:, :8].clone())  # threads and libraries are in place
    return stopwatch.peak_bytes(partial(step, fw, form, x), CPU)


def difference(found: list[Tensor], expected: list[Tensor]) -> float:
    """Largest relative difference, tensor by tensor, by norm."""
    pairs = zip(found, expected, strict=True)
    return max(((a - b).norm() / b.norm().clamp_min(1e-12)).item() for a, b in pairs)


class Table:
    """Rows as they come, each with its roofline; and what is missed."""

    def __init__(self, ceilings: roofline.Ceilings, rounds: int) -> None:
        self.ceilings, self.rounds = ceilings, rounds
        self.missed: list[str] = []

    def time(self, forms: dict, length: int, base: str, peaks: dict | None = None) -> dict:
        """Time the forms in turns, print a row for each; returns ratio to `base` by form."""
        times = stopwatch.seconds(forms, self.rounds, CPU)
        ratios = {}
        for name, form in forms.items():
            took, count = statistics.median(times[name]), flop_counter.count(form)
            ratios[name] = stopwatch.ratio(times[name], times[base])
            share = self.ceilings.bound(count, "float32") / took
            memory = f"{peaks[name] / 2**20:>9.0f}" if peaks else f"{'':>9}"
            print(
                f"{name:<36}{1e3 * took:>9.1f}{length / took:>10.0f}{ratios[name]:>8.2f}{memory}"
                f"{count.flops / took / 1e9:>9.1f}{count.bytes / took / 1e9:>8.1f}{share:>8.0%}",
                flush=True,
            )
        return ratios

    def heading(self, text: str, base: str) -> None:
        """Title and columns of the rows that follow."""
        columns = f"{'ms':>9}{'tokens/s':>10}{'ratio':>8}{'peak MB':>9}{'GFLOP/s':>9}{'GB/s':>8}"
        print(f"\n{text}; ratio: time by that of {base}\n{'':<36}{columns}{'bound':>8}")

    def require(self, holds: bool, what: str) -> None:
        """Note a target that is missed."""
        if not holds:
            self.missed.append(what)


@torch.no_grad()
def overhead(shape: Shape, table: Table, length: int) -> None:
    """Write and read rows, against the forward of the plain model over the same tokens."""
    ids, model = shape.ids(length), shape.model()
    forms = {"plain": lambda: model.get_decoder()(input_ids=ids, use_cache=False)}
    plain = forms["plain"]().last_hidden_state
    for name, rule in WRITTEN.items():
        fw = inject(model, FastWeightsConfig(layers=shape.fast, **rule))
        state = fw.write(ids).state.readable()
        forms[f"write ({name})"] = lambda fw=fw: fw.write(ids).state.readable()
        forms[f"read ({name})"] = partial(
            fw.read, state, input_ids=ids, use_cache=False, logits_to_keep=1
        )
        apart = difference([fw.write(ids).hidden], [plain])
        table.require(apart == 0, f"write ({name}): its forward differs from plain by {apart:.1e}")
    table.heading(f"T = {length}, whole model, no gradient", "plain")
    ratios = table.time(forms, length, "plain")
    if length == TEXT:
        for name in (f"write ({name})" for name in WRITTEN):
            over = ratios[name] - 1
            target = f"{name}: overhead {over:.1%} > {MOST_OVERHEAD:.0%} at T = {length}"
            table.require(over <= MOST_OVERHEAD, target)


def training(shape: Shape, table: Table, whole: bool, chunk: int, length: int) -> None:
    """One comparison of the two training forms: numbers, time, peak memory."""
    case = shape, whole, chunk, length
    step, fw, x = training_case(*case)
    threads = torch.get_num_threads()
    peaks = {form: stopwatch.in_child(training_peak, *case, form, threads) for form in FORMS}
    dense, parallel = (partial(step, fw, form, x) for form in FORMS)
    what = f"{'model' if whole else 'layer'}, T = {length}, chunk {chunk}"
    apart = difference(parallel(), dense())
    table.require(apart < TOLERANCE, f"{what}: the forms differ by {apart:.1e}")
    rows = {f"{what}, {form}": f for form, f in zip(FORMS, (dense, parallel), strict=True)}
    named = dict(zip(rows, peaks.values(), strict=True))
    first, second = rows
    faster = 1 / table.time(rows, length, first, named)[second]
    smaller = named[first] / named[second]
    print(f"{'':<36}{faster:.2f} times faster, {smaller:.2f} times smaller, apart {apart:.0e}")
    if length == TEXT and chunk == CHUNK:
        table.require(faster >= LEAST_TIME, f"{what}: time ratio {faster:.2f} < {LEAST_TIME:g}")
        message = f"{what}: memory ratio {smaller:.2f} < {LEAST_MEMORY:g}"
        table.require(smaller >= LEAST_MEMORY, message)


def main() -> None:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shape = (("--d", 512), ("--ff", 1536), ("--layers", 8), ("--remember", 3))
    for name, value in (*shape, ("--rounds", 7), ("--threads", 2)):
        parser.add_argument(name, type=int, default=value, help=f"default {value}")
    parser.add_argument("--lengths", type=int, nargs="*", default=[512, 2048, 8192])
    parser.add_argument("--chunks", type=int, nargs="*", default=[64, 512, 4096])
    parser.add_argument("--check", action="store_true", help="fail where a target is missed")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    sizes = Shape(args.d, args.ff, args.layers, args.remember)
    table = Table(stopwatch.ceilings(CPU, ("float32",)), args.rounds)
    best = table.ceilings
    print(f"{stopwatch.machine(CPU)}; {sizes}")
    print(f"ceilings: {best.matmul['float32'] / 1e9:.1f} GFLOP/s, copy {best.copy / 1e9:.1f} GB/s")
    for length in args.lengths:
        overhead(sizes, table, length)
    table.heading("Training step, read while writing", "dense-cumulative")
    if TEXT in args.lengths:
        training(sizes, table, True, CHUNK, TEXT)
    for length, chunk in itertools.product(args.lengths, args.chunks):
        training(sizes, table, False, chunk, length)
    if args.check and table.missed:
        sys.exit(f"benchmarks/fast_weights.py: target missed: {'; '.join(table.missed)}")


if __name__ == "__main__":
    run(main)
