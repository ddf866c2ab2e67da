"""Can test-time-training fast weights serve as memory? Configuration, rules, report."""

from snakemake.utils import min_version

min_version("9.20")


report: "workflow/report/workflow.rst"


# The configuration, config.yaml under presets, checked before any work.
include: "rules/common.smk"


rule all:
    default_target: True
    input:
        REPORT / "index.html",
        REPORT / "RESULTS.md",
        RESULTS / "provenance.json",
    localrule: True


# What is asked: generated dialogues with facts and probes, text to train on, published data.
include: "rules/benchmark.smk"
# Who is asked: a small model pretrained here, a local folder, or a model from the hub.
include: "rules/base.smk"
# What is learned: one training regime ("run") and seed per job, gated by sanity checks.
include: "rules/train.smk"
# What is remembered: every condition and sweep, in shards.
include: "rules/recall.smk"
# What is forecast: series, and every strategy, baseline and seed on them.
include: "rules/forecast.smk"
# What it means: metrics with intervals, tables, figures, verdict.
include: "rules/score.smk"
include: "rules/report.smk"
