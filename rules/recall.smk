"""The probes of every run asked under every condition and sweep, in shards of samples."""


rule recall:
    input:
        **closure("recall.py"),
        # Loaded by its path, so that a run depends on its own update rule alone.
        update_rule=update_rule_files,
        benchmark=BENCHMARK,
        base=base_files(),
        model=MODEL,
        sanity=SANITY,
    output:
        PREDICTIONS,
    log:
        LOGS / "recall" / "{run}" / "{seed}" / "{condition}" / "{shard}.log",
    benchmark:
        TIMES / "recall" / "{run}" / "{seed}" / "{condition}" / "{shard}.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.recall.threads
    resources:
        **resources_of("recall"),
    params:
        config=recall_slice,
        base=base_folder,
        checkpoint=recall_checkpoint,
        shard=lambda wildcards: wildcards.shard.replace("-of-", "/"),
    message:
        "Asking {wildcards.run}, seed {wildcards.seed}: {wildcards.condition}, shard {wildcards.shard}"
    shell:
        "python {input.script:q} --config {params.config:q}"
        " --run {wildcards.run:q} --seed {wildcards.seed} --model {input.model:q}"
        " --base {params.base:q} --benchmark {input.benchmark:q}"
        " --condition {wildcards.condition} --shard {params.shard}"
        " --checkpoint {params.checkpoint:q} --out {output:q} > {log:q} 2>&1"


rule diagnose:
    input:
        **closure("diagnose.py"),
        # Loaded by its path, so that a run depends on its own update rule alone.
        update_rule=update_rule_files,
        benchmark=BENCHMARK,
        base=base_files(),
        model=MODEL,
        sanity=SANITY,
    output:
        statistics=DIAGNOSTICS,
        gates=GATES,
    log:
        LOGS / "diagnose" / "{run}" / "{seed}.log",
    benchmark:
        TIMES / "diagnose" / "{run}" / "{seed}.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.diagnose.threads
    resources:
        **resources_of("diagnose"),
    params:
        config=diagnose_slice,
        base=base_folder,
    message:
        "Measuring {wildcards.run}, seed {wildcards.seed}"
    shell:
        "python {input.script:q} --config {params.config:q}"
        " --run {wildcards.run:q} --seed {wildcards.seed} --model {input.model:q}"
        " --base {params.base:q} --benchmark {input.benchmark:q}"
        " --out {output.statistics:q} --gates {output.gates:q} > {log:q} 2>&1"
