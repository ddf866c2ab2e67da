"""Can test-time-training fast weights serve as memory? Configuration, rules, report."""

from snakemake.utils import min_version

min_version("9.20")


report: "workflow/report/workflow.rst"


# The configuration, config.yaml under presets, checked before any work.
include: "rules/common.smk"
# What rules take from the configuration, the code and the files that exist.
include: "rules/inputs.smk"


rule all:
    default_target: True
    input:
        REPORT / "index.html",
        REPORT / "RESULTS.md",
        RESULTS / "provenance.json",
    localrule: True


# Dialogues with facts and probes, text to train on, and published benchmarks.
include: "rules/benchmark.smk"
# The base model: pretrained here, a local folder, or a model of the hub.
include: "rules/base.smk"
# Training: one job for each run and seed. A model that fails the sanity checks is not asked.
include: "rules/train.smk"
# The probes asked under every condition and sweep, in shards.
include: "rules/recall.smk"
# The forecast study: series, and each strategy, baseline and seed on them.
include: "rules/forecast.smk"
# Metrics with intervals, tables, figures and the verdict.
include: "rules/score.smk"
include: "rules/report.smk"
