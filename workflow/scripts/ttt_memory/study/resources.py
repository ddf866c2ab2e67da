"""What each rule's jobs may use; it shapes no result."""

from pydantic import Field

from ..options import Options


class RuleResources(Options):
    """What one job of a rule may use."""

    threads: int = Field(1, ge=1, description="CPU threads.")
    mem_mb: int = Field(4000, ge=1, description="Memory, MB; grows with each attempt.")
    runtime: int = Field(60, ge=1, description="Time limit, minutes (cluster only).")
    gpu: int = Field(0, ge=0, description="GPUs.")
    gpu_model: str | None = Field(None, description="GPU model, for example a100; null for any.")


class TrainResources(RuleResources):
    """What one training may use; how many processes share it shapes no result."""

    processes: int = Field(
        1,
        ge=1,
        description="Processes that share a step's micro-batches (`train.accumulation` is a"
        " multiple of it), by `accelerate launch`; with GPUs, one process on each.",
    )
    accelerate: str | None = Field(
        None,
        pattern=r"^\S+$",
        description="Accelerate's configuration file, without spaces in its name, such as"
        " envs/fsdp.yaml; null: data parallel.",
    )


class ResourcesConfig(Options):
    """Threads, memory, time and GPUs of every rule's jobs."""

    benchmark: RuleResources = Field(RuleResources(), description="Benchmark generation.")
    corpus: RuleResources = Field(RuleResources(), description="Training corpus generation.")
    base: RuleResources = Field(RuleResources(threads=2), description="Base model pretraining.")
    train: TrainResources = Field(TrainResources(), description="One run, one seed.")
    sanity: RuleResources = Field(RuleResources(), description="Sanity checks of a trained run.")
    recall: RuleResources = Field(RuleResources(), description="One condition or sweep, one shard.")
    diagnose: RuleResources = Field(RuleResources(), description="Gate and norm statistics.")
    score: RuleResources = Field(RuleResources(), description="Scoring of one run.")
    make_series: RuleResources = Field(RuleResources(), description="One dataset's series.")
    forecast: RuleResources = Field(
        RuleResources(runtime=240), description="One strategy or baseline, one dataset, one seed."
    )
    leaderboard: RuleResources = Field(RuleResources(), description="Comparison of forecasts.")
    report: RuleResources = Field(RuleResources(), description="Tables, figures and text.")
