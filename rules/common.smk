"""Paths, configuration slices, code closures and resources that every rule uses."""

import json
import os
import shlex
import sys
from pathlib import Path

ROOT = Path(os.path.relpath(Path(str(workflow.current_basedir)).parent))
SCRIPTS = ROOT / "workflow" / "scripts"
sys.path.insert(0, str(SCRIPTS.resolve()))

from ttt_memory import closure as closures
from ttt_memory.config import load
from ttt_memory.errors import UserError

# The interpreter that runs Snakemake also runs the scripts, whether or not it is activated.
PYTHON = shlex.quote(sys.executable)

# Only `fetch_model` may use the network: compute nodes have none.
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")


try:
    CONFIG = load(config, [Path(file) for file in workflow.configfiles], ROOT)
except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    raise SystemExit(2) from None

RESULTS = Path(CONFIG.results)
REPORT = RESULTS / "report"
LOGS = RESULTS / "logs"
TIMES = RESULTS / "benchmarks"
# Outside the declared outputs, which are deleted before a rerun.
CHECKPOINTS = RESULTS / "checkpoints"


wildcard_constraints:
    run="|".join(CONFIG.runs),
    seed=r"\d+",
    condition=r"[A-Za-z]+",
    shard=r"\d+-of-\d+",
    imported="|".join(CONFIG.imports) or "none",


def slice_of(*keys):
    """Canonical JSON of the configuration under the dotted `keys`, and of nothing else.

    Passed as a parameter, it makes a rule rerun when one of its own keys changes, defaults
    included, and only then.
    """
    whole, part = CONFIG.model_dump(mode="json"), {}
    for key in keys:
        *path, last = key.split(".")
        source, target = whole, part
        for name in path:
            source, target = source[name], target.setdefault(name, {})
        target[last] = source[last]
    return json.dumps(part, sort_keys=True, ensure_ascii=False)


def closure(script):
    """The first-party files that `script` imports: inputs, compared by content."""
    return [str(file) for file in closures.closure(SCRIPTS / script)]


def checkpoint_key(config, *scripts):
    """A folder name that changes with the configuration and with the scripts' code."""
    files = {file for script in scripts for file in closures.closure(SCRIPTS / script)}
    return closures.fingerprint(sorted(files), config)


def resources_of(rule):
    """The resources of `rule` from the configuration; memory grows with each attempt."""
    means = getattr(CONFIG.resources, rule)
    found = {
        "mem_mb": lambda wildcards, attempt: means.mem_mb * attempt,
        "runtime": means.runtime,
    }
    if means.gpu:
        found["gpu"] = means.gpu
        if means.gpu_model:
            found["gpu_model"] = means.gpu_model
    return found
