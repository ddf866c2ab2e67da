"""Each update rule against a second, readable derivation of the same numbers."""

from types import SimpleNamespace

import pytest
import torch
from torch.func import grad, vmap
from torch.nn.functional import softplus

from forecast_models import memory_of, randomise
from ttt_memory.forecast import network, packed
from ttt_memory.forecast.strategy import STRATEGIES, import_file

BATCH, TOKENS, WIDTH = 2, 5, 6
PACKED = ("weights", "momentum", "mean", "square", "lead")


def tokens(seed: int = 0) -> torch.Tensor:
    return torch.randn(
        BATCH, TOKENS, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


def mlp(state: dict, key: torch.Tensor) -> torch.Tensor:
    """The memory network of one series, written with functions of torch."""
    hidden = torch.nn.functional.linear(key, state["weight0"], state["bias0"])
    hidden = torch.nn.functional.silu(hidden)
    return torch.nn.functional.linear(hidden, state["weight1"], state["bias1"])


def weights_of(state: dict) -> dict:
    return {name: state[name] for name in ("weight0", "bias0", "weight1", "bias1")}


def named(memory, found: dict) -> dict:
    """A state or a surprise with each matrix of `packed` written out as weights and biases."""
    result = {}
    for name, tensor in found.items():
        if name in PACKED:
            prefix = "" if name == "weights" else f"{name}_"
            parts = packed.unpack(memory, tensor)
            result |= {f"{prefix}{part}": weight for part, weight in parts.items()}
        else:
            result[name] = tensor
    return result


def gradient(loss, state: dict, *arguments: torch.Tensor) -> dict:
    """Gradient of loss(weights, ...) for every series of a batch, by automatic differentiation."""
    return vmap(grad(loss))(weights_of(state), *arguments)


def assert_same(found: dict, expected: dict) -> None:
    assert found.keys() >= expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, msg=lambda text, n=name: f"{n}: {text}")


def one_chunk(memory, seed: int = 0, updates: int = 1):
    """The state after `updates` chunks of random tokens, and everything about the next chunk."""
    state = memory.start(BATCH)
    for number in range(updates + 1):
        x = tokens(seed + number)
        keys, values = memory.strategy.call("compute_keys_values", memory, x)
        gates = {}
        if memory.strategy.has("compute_gates"):
            gates = memory.strategy.call("compute_gates", memory, x)
        surprise = memory.strategy.call("compute_surprise", memory, state, keys, values, gates)
        if number < updates:
            state = memory.strategy.call("apply_update", memory, state, surprise, gates)
    after = memory.strategy.call("apply_update", memory, state, surprise, gates)
    state, surprise, after = (named(memory, found) for found in (state, surprise, after))
    return state, keys, values, gates, surprise, after


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_network_and_its_gradient_are_those_of_autograd(depth: int) -> None:
    torch.manual_seed(0)
    start = network.start(WIDTH, 7, depth)
    state = {
        name: tensor.double().expand(BATCH, *tensor.shape[1:]) for name, tensor in start.items()
    }
    keys, error = tokens(1).requires_grad_(), tokens(2)
    leaves = {name: tensor.detach().clone().requires_grad_() for name, tensor in state.items()}
    recalled, pullback = network.vjp(leaves, keys)
    torch.testing.assert_close(recalled, network.forward(leaves, keys))
    expected = torch.autograd.grad(recalled, list(leaves.values()), error, create_graph=True)
    found = pullback(error)
    assert_same(found, dict(zip(leaves, expected, strict=True)))
    # Training differentiates the gradient, so its own gradients must agree too.
    inputs = [keys, *leaves.values()]
    seconds = [
        torch.autograd.grad(
            sum(tensor.square().sum() for tensor in first),
            inputs,
            retain_graph=True,
            materialize_grads=True,
        )
        for first in (found.values(), expected)
    ]
    for one, other in zip(*seconds, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_packed_network_is_the_network(depth: int) -> None:
    """What is recalled, the gradient of the weights, and the gradients of both."""
    torch.manual_seed(0)
    sizes = SimpleNamespace(emb_dim=WIDTH, hidden=7, depth=depth)
    start = network.start(WIDTH, 7, depth)
    torch.manual_seed(0)
    assert torch.equal(packed.start(WIDTH, 7, depth)["weights"], packed.pack(start))
    rows = torch.randn(BATCH, packed.pack(start).shape[1], dtype=torch.float64, requires_grad=True)
    keys, error = tokens(1).requires_grad_(), tokens(2).requires_grad_()
    recalled, pullback = packed.vjp(sizes, rows, keys)
    naive, naive_pullback = network.vjp(packed.unpack(sizes, rows), keys)
    torch.testing.assert_close(packed.pack(packed.unpack(sizes, rows)), rows)
    torch.testing.assert_close(packed.forward(sizes, rows, keys), naive)
    torch.testing.assert_close(recalled, naive)
    found, expected = pullback(error), packed.pack(naive_pullback(error))
    torch.testing.assert_close(found, expected)
    weight = torch.randn(found.shape, dtype=torch.float64)
    for one, other in zip(
        *(
            torch.autograd.grad((part * weight).sum() + out.square().sum(), [rows, keys, error])
            for part, out in ((found, recalled), (expected, naive))
        ),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_titans_default_is_descent_with_momentum_and_decay() -> None:
    memory = memory_of("titans_default", alpha=0.9, eta=0.5, theta=0.3)
    state, keys, values, _, _, after = one_chunk(memory)

    def loss(weights, key, value):
        return (mlp(weights, key) - value).square().sum(-1).mean()

    for name, step in gradient(loss, state, keys, values).items():
        momentum = 0.5 * state[f"momentum_{name}"] - 0.3 * step
        torch.testing.assert_close(after[f"momentum_{name}"], momentum)
        torch.testing.assert_close(after[name], 0.9 * state[name] + momentum)


def test_titans_gates_is_the_recurrence_over_tokens() -> None:
    memory = memory_of("titans_gates")
    randomise(memory)
    state, keys, values, gates, _, after = one_chunk(memory)

    def loss(weights, key, value):
        return (mlp(weights, key) - value).square().sum()

    keep = {name: state[name] for name in weights_of(state)}
    carried = {name: state[f"momentum_{name}"] for name in keep}
    for t in range(TOKENS):
        steps = gradient(loss, state, keys[:, t], values[:, t])
        for name, step in steps.items():
            alpha, eta, theta = (
                gates[rate][:, t].view(-1, *[1] * (step.dim() - 1))
                for rate in ("alpha", "eta", "theta")
            )
            carried[name] = eta * carried[name] - theta * step
            keep[name] = (1 - alpha) * keep[name] + carried[name]
    assert_same(after, keep)
    assert_same(after, {f"momentum_{name}": tensor for name, tensor in carried.items()})


def test_delta_is_the_delta_rule_token_by_token() -> None:
    memory = memory_of("delta")
    randomise(memory)
    state, keys, values, gates, _, after = one_chunk(memory)
    expected = state["memory"]
    kept = torch.diff(gates["log_kept"], dim=1, prepend=torch.zeros(BATCH, 1)).exp()
    for t in range(TOKENS):
        key, value = keys[:, t, :, None], values[:, t, :, None]
        a, b = kept[:, t].view(-1, 1, 1), gates["write"][:, t].view(-1, 1, 1)
        eye = torch.eye(WIDTH, dtype=torch.float64)
        expected = a * expected @ (eye - b * key @ key.mT) + b * value @ key.mT
    torch.testing.assert_close(after["memory"], expected)


def test_mesa_is_the_weighted_least_squares_of_all_tokens() -> None:
    memory = memory_of("mesa", key_width=4)
    randomise(memory)
    state, seen = memory.start(BATCH), []
    for number in range(3):
        x = tokens(number)
        keys, values = memory.strategy.call("compute_keys_values", memory, x)
        gates = memory.strategy.call("compute_gates", memory, x)
        surprise = memory.strategy.call("compute_surprise", memory, state, keys, values, gates)
        state = memory.strategy.call("apply_update", memory, state, surprise, gates)
        forget, write = memory.gate(x).unbind(-1)
        for t in range(TOKENS):
            seen = [(k, v, w * torch.sigmoid(forget[:, t])) for k, v, w in seen]
            seen.append((keys[:, t], values[:, t], softplus(write[:, t])))
    precision = softplus(memory.precision) + 1e-3
    for row in range(BATCH):
        # Ordinary least squares on rows scaled by the square roots of their weights; the prior
        # adds rows too.
        roots = [precision.sqrt().diag(), *[(w[row].sqrt() * k[row])[None] for k, _, w in seen]]
        sides = [precision.sqrt()[:, None] * memory.prior]
        sides += [(w[row].sqrt() * v[row])[None] for _, v, w in seen]
        expected = torch.linalg.lstsq(torch.cat(roots), torch.cat(sides)).solution
        query = torch.randn(BATCH, 3, 4, dtype=torch.float64)
        found = memory.retrieve(state, query)[row]
        torch.testing.assert_close(found, query[row] @ expected)


def test_adam_gated_is_adam_when_everything_surprises() -> None:
    memory = memory_of("adam_gated", threshold=0.0, rate=0.05, epsilon=1e-15)
    state, final = memory.start(BATCH), None
    rows = [
        {
            name: tensor[row].detach().clone().requires_grad_()
            for name, tensor in named(memory, {"weights": state["weights"]}).items()
        }
        for row in range(BATCH)
    ]
    optimisers = [
        torch.optim.Adam(row.values(), lr=0.05, betas=(0.9, 0.99), eps=1e-15) for row in rows
    ]
    for number in range(3):
        keys, values = memory.strategy.call("compute_keys_values", memory, tokens(number))
        surprise = memory.strategy.call("compute_surprise", memory, state, keys, values, {})
        state = memory.strategy.call("apply_update", memory, state, surprise, {})
        for row, optimiser in enumerate(optimisers):
            optimiser.zero_grad()
            error = mlp(rows[row], keys[row].detach()) - values[row].detach()
            error.square().sum(-1).mean().backward()
            optimiser.step()
        final = named(memory, state)
    for row, expected in enumerate(rows):
        assert_same({name: final[name][row] for name in expected}, expected)


def test_adam_gated_leaves_alone_what_does_not_surprise() -> None:
    memory = memory_of("adam_gated", threshold=1e9)
    state, _, _, _, surprise, after = one_chunk(memory)
    assert not surprise["open"].any()
    assert_same(after, weights_of(state))
    # The moving average starts at zero, so the first chunk is written.
    assert not torch.equal(state["weight0"], named(memory, memory.start(BATCH))["weight0"])


def test_contrastive_surprise_is_the_gradient_of_info_nce() -> None:
    memory = memory_of("contrastive_ema", temperature=0.3, rate=0.2, keep=0.99, decay=0.6)
    state, keys, values, _, surprise, after = one_chunk(memory)

    def loss(weights, key, value):
        scores = mlp(weights, key) @ value.T / 0.3
        return torch.nn.functional.cross_entropy(scores, torch.arange(TOKENS))

    fast = {name: tensor + state[f"lead_{name}"] for name, tensor in weights_of(state).items()}
    assert_same(surprise, gradient(loss, fast, keys, values))
    for name, tensor in fast.items():
        moved = 0.99 * tensor - 0.2 * surprise[name]
        torch.testing.assert_close(after[name], 0.6 * state[name] + 0.4 * moved)
        torch.testing.assert_close(after[name] + after[f"lead_{name}"], moved)


def test_muon_steps_are_nearly_orthogonal() -> None:
    memory = memory_of("muon", iterations=5, alpha=1.0, theta=0.1)
    state, _, _, _, _, after = one_chunk(memory)
    for name in ("weight0", "weight1"):
        step = (state[name] - after[name]) / 0.1
        values = torch.linalg.svdvals(step)
        momentum = torch.linalg.svdvals(after[f"momentum_{name}"])
        strong = momentum > 0.05 * momentum.max(dim=1, keepdim=True).values
        assert values[strong].min() > 0.5
        assert values.max() < 1.3
        # The step has the singular vectors of the momentum.
        u, _, v = torch.linalg.svd(after[f"momentum_{name}"], full_matrices=False)
        levelled = (u * torch.linalg.vecdot(u, step @ v.mT, dim=1).unsqueeze(1)) @ v
        torch.testing.assert_close(step, levelled)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_muon_steps_of_all_weights_are_those_of_each(depth: int) -> None:
    """Weights in one call and biases in closed form, against one matrix after another."""
    memory = memory_of("muon")
    module = import_file("muon", memory.strategy.path, STRATEGIES)
    torch.manual_seed(0)
    momentum = {
        name: torch.randn(BATCH, *part.shape[1:], dtype=torch.float64, requires_grad=True)
        for name, part in network.start(WIDTH, 7, depth).items()
    }
    found, expected = module.steps_of(momentum, 3), {}
    for name, part in momentum.items():
        matrix = part if part.dim() == 3 else part.unsqueeze(1)
        wide = matrix if matrix.shape[1] <= matrix.shape[2] else matrix.mT
        step = module.orthogonalise(wide, 3)
        expected[name] = (step if wide is matrix else step.mT).view_as(part)
    assert found.keys() == expected.keys()
    assert_same(found, expected)
    weights = [torch.randn_like(part) for part in expected.values()]
    for one, other in zip(
        *(
            torch.autograd.grad(
                sum((parts[name] * w).sum() for name, w in zip(expected, weights, strict=True)),
                list(momentum.values()),
            )
            for parts in (found, expected)
        ),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_yaad_is_the_gradient_of_the_huber_loss() -> None:
    memory = memory_of("yaad")
    randomise(memory, seed=1)
    state, keys, values, gates, surprise, after = one_chunk(memory)

    def loss(weights, key, value, rate, delta):
        length = (mlp(weights, key) - value).norm(dim=-1)
        return (rate * torch.where(length <= delta, length**2, delta * length)).sum()

    lengths = (network.forward(state, keys) - values).norm(dim=-1)
    assert (lengths <= gates["delta"]).any()
    assert (lengths > gates["delta"]).any()
    assert_same(surprise, gradient(loss, state, keys, values, gates["rate"], gates["delta"]))
    kept = gates["keep"].view(-1, 1, 1) * state["weight0"] - surprise["weight0"]
    torch.testing.assert_close(after["weight0"], kept)


def test_moneta_is_the_gradient_of_a_power_and_normalises_what_it_holds() -> None:
    memory = memory_of("moneta", smoothing=1e-4)
    state, keys, values, gates, surprise, _ = one_chunk(memory)
    normal = {
        name: t / (t.flatten(1) ** 4).sum(1).sqrt().view(-1, *[1] * (t.dim() - 1))
        for name, t in state.items()
    }

    def loss(weights, key, value, rate):
        return (rate * (mlp(weights, key) - value).abs().pow(3).sum(-1)).sum()

    assert_same(surprise, gradient(loss, normal, keys, values, gates["rate"]))
    queries = tokens(9)
    expected = vmap(mlp)(normal, queries)
    torch.testing.assert_close(memory.retrieve(state, queries), expected)


def test_omega_relearns_its_window_and_nothing_older() -> None:
    past = 8  # a chunk and three tokens more
    memory = memory_of("omega", past=past)
    randomise(memory)
    state = memory.start(BATCH)
    chunks = [memory.strategy.call("compute_keys_values", memory, tokens(n)) for n in range(3)]
    gates = memory.strategy.call("compute_gates", memory, tokens())
    for keys, values in chunks[:2]:
        surprise = memory.strategy.call("compute_surprise", memory, state, keys, values, gates)
        state = memory.strategy.call("apply_update", memory, state, surprise, gates)
    surprise = memory.strategy.call("compute_surprise", memory, state, *chunks[2], gates)
    state, surprise = named(memory, state), named(memory, surprise)
    keys, values = (torch.cat(parts, 1)[:, -past - TOKENS :] for parts in zip(*chunks, strict=True))
    gamma = torch.cat([softplus(memory.age), torch.ones(TOKENS, dtype=torch.float64)])

    def loss(weights, key, value):
        error = (mlp(weights, key) - value).square().sum(-1)
        return (gamma * error).sum() / gamma.sum()

    assert_same(surprise, gradient(loss, state, keys, values))


def test_clipping_bounds_a_gradient_per_series() -> None:
    memory = memory_of("titans_default")
    memory.inner_clip = 0.5
    scale = torch.tensor([0.01, 100.0], dtype=torch.float64).view(2, 1, 1)
    steps = {"a": scale * tokens(1), "b": (scale * tokens(2))[:, 0]}
    clipped = memory.clip(steps)
    norms = torch.cat([tensor.flatten(1) for tensor in clipped.values()], 1).norm(dim=1)
    assert_same({name: t[:1] for name, t in clipped.items()}, {n: t[:1] for n, t in steps.items()})
    torch.testing.assert_close(norms[1], torch.tensor(0.5, dtype=torch.float64))


def test_the_scan_is_the_loop_over_chunks() -> None:
    """States, reads and gradients of the scan against a loop that handles one chunk at a time."""
    memory = memory_of("titans_default")
    x = torch.stack([tokens(n) for n in range(4)], 1)  # [B, n, C, E]
    scan = memory.scan(x)
    read = memory.read(scan.states, x)
    state, last = memory.start(BATCH), torch.zeros(BATCH, 1, WIDTH).double()
    states, expected = [], []
    for chunk in x.unbind(1):
        states.append(state)
        queries, _ = memory.strategy.call("compute_keys_values", memory, memory.query(chunk))
        expected.append(network.forward(named(memory, state), queries))
        before = torch.cat([last, chunk[:, :-1]], 1)
        keys, _ = memory.strategy.call("compute_keys_values", memory, before)
        _, values = memory.strategy.call("compute_keys_values", memory, chunk)
        surprise = memory.strategy.call("compute_surprise", memory, state, keys, values, {})
        state = memory.strategy.call("apply_update", memory, state, surprise, {})
        last = chunk[:, -1:]
    torch.testing.assert_close(read, torch.stack(expected, 1))
    stacked = {name: torch.stack([state[name] for state in states], 1) for name in state}
    assert_same(scan.states, {name: tensor.flatten(0, 1) for name, tensor in stacked.items()})
    parameters = list(memory.parameters())
    found = torch.autograd.grad(read.square().sum(), parameters)
    naive = torch.autograd.grad(torch.stack(expected, 1).square().sum(), parameters)
    for one, other in zip(found, naive, strict=True):
        torch.testing.assert_close(one, other)
