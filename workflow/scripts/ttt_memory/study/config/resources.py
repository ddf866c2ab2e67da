"""The threads, RAM, time and GPUs of each rule's jobs. They do not change any result."""

from pydantic import Field

from ...options import InputPath, Options


class RuleResources(Options):
    """What one job of a rule may use."""

    threads: int = Field(1, ge=1, description="The number of CPU threads of a job.")
    mem_mb: int = Field(
        4000,
        ge=1,
        description="The RAM of a job in MB. The second attempt gets twice as much, and so on.",
    )
    runtime: int = Field(
        60,
        ge=1,
        description="The time limit of a job in minutes, on a cluster only. The second attempt gets"
        " twice as much, and so on.",
    )
    gpu: int = Field(0, ge=0, description="The number of GPUs of a job.")
    gpu_model: str | None = Field(
        None, description="The GPU model, such as a100. With null, any model will do."
    )


class TrainResources(RuleResources):
    """What one training may use. The number of processes does not change the result."""

    processes: int = Field(
        1,
        ge=1,
        description="The number of processes that share the micro-batches of a step. It must divide"
        " `train.accumulation`. With GPUs, there is one process for each GPU.",
    )
    accelerate: InputPath | None = Field(
        None,
        pattern=r"^\S+$",
        description="A configuration file of Accelerate, such as envs/fsdp.yaml, without spaces in"
        " its path. With null, training is data parallel.",
    )


class ResourcesConfig(Options):
    """Threads, memory, time and GPUs of every rule's jobs."""

    most_mem_mb: int | None = Field(
        None,
        ge=1,
        description="The most RAM in MB that any attempt of a job asks for, such as a partition's"
        " limit: Slurm lets a job that asks for more wait and says nothing. With null, there is no"
        " limit.",
    )
    most_runtime: int | None = Field(
        None,
        ge=1,
        description="The longest time limit in minutes that any attempt of a job asks for. With"
        " null, there is no limit.",
    )
    benchmark: RuleResources = Field(RuleResources(), description="Generation of the benchmark.")
    corpus: RuleResources = Field(RuleResources(), description="Generation of the training corpus.")
    base: RuleResources = Field(
        RuleResources(threads=2), description="Pretraining of the base model."
    )
    train: TrainResources = Field(
        TrainResources(), description="Training of one run with one seed."
    )
    sanity: RuleResources = Field(RuleResources(), description="The checks of one trained run.")
    recall: RuleResources = Field(
        RuleResources(),
        description="Recall in one condition or sweep, on one shard of the samples.",
    )
    diagnose: RuleResources = Field(
        RuleResources(),
        description="Statistics of the write gate and of the norms of the state, for one run.",
    )
    score: RuleResources = Field(RuleResources(), description="Scoring of one run.")
    make_series: RuleResources = Field(RuleResources(), description="The series of one dataset.")
    forecast: RuleResources = Field(
        RuleResources(runtime=240),
        description="Training and forecasts of one strategy or baseline on one dataset, all seeds.",
    )
    leaderboard: RuleResources = Field(
        RuleResources(), description="The comparison of all forecasts."
    )
    report: RuleResources = Field(
        RuleResources(), description="The tables, figures and text of the report."
    )

    @property
    def of_rules(self) -> dict[str, RuleResources]:
        """What a job of each rule may use, by the key of the rule."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: means for name, means in values.items() if isinstance(means, RuleResources)}

    def asked(self, rule: str, resource: str, attempt: int) -> int:
        """What an attempt of a job asks for: more each time, but at most `most_<resource>`."""
        grown = getattr(self.of_rules[rule], resource) * attempt
        most = getattr(self, f"most_{resource}")
        return grown if most is None else min(grown, most)
