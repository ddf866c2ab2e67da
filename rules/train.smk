"""Training, one job for each run and seed, and the sanity checks before a model is asked.

A run whose memory is trained already takes it as it is.
"""


rule train:
    input:
        **closure("train.py"),
        # Loaded by its path, so that a run depends on its own update rule alone.
        update_rule=update_rule_files,
        corpus=DIALOGUES,
        passages=PASSAGES,
        base=base_files(),
        start=begun_files,
        base_texts=base_texts_of,
    output:
        model=directory(MODEL),
        curve=CURVE,
    log:
        LOGS / "train" / "{run}" / "{seed}.log",
    benchmark:
        TIMES / "train" / "{run}" / "{seed}.tsv"
    wildcard_constraints:
        run="|".join(run for run in CONFIG.runs if run not in TRAINED) or "none",
    # The longest jobs, and the ones that most others wait for.
    priority: 2
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.train.threads
    resources:
        **resources_of("train"),
    params:
        config=train_slice,
        base=base_folder,
        checkpoints=train_checkpoints,
        base_texts=base_texts_option,
    message:
        "Training {wildcards.run}, seed {wildcards.seed}"
    # SIGTERM reaches every process of a job. If it ended the shell or `tee`, the training would end
    # with them, before it has written its checkpoint. The launcher is an environment variable,
    # because a change of the command would train again, and a number of processes should not.
    shell:
        "exec $TTT_TRAIN_LAUNCHER {input.script:q} --config {params.config:q}"
        " --run {wildcards.run:q} --seed {wildcards.seed} --base {params.base:q}"
        " --corpus {input.corpus:q} --passages {input.passages:q}"
        " {params.base_texts} --out {output.model:q} --curve {output.curve:q}"
        " --checkpoints {params.checkpoints:q} > >(trap '' TERM; exec tee {log:q}) 2>&1"


rule take_trained:
    input:
        **closure("take_trained.py"),
        files=trained_files,
    output:
        model=directory(MODEL),
        curve=CURVE,
    log:
        LOGS / "take_trained" / "{run}" / "{seed}.log",
    wildcard_constraints:
        run="|".join(TRAINED) or "none",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        folder=lambda wildcards: str(trained_folder(wildcards)),
    message:
        "Taking the trained memory of {wildcards.run}, seed {wildcards.seed}"
    shell:
        "python {input.script:q} --run {wildcards.run:q} --seed {wildcards.seed}"
        " --trained {params.folder:q} --out {output.model:q} --curve {output.curve:q}"
        " > {log:q} 2>&1"


rule sanity:
    input:
        **closure("sanity.py"),
        # Loaded by its path, so that a run depends on its own update rule alone.
        update_rule=update_rule_files,
        benchmark=BENCHMARK,
        base=base_files(),
        model=MODEL,
    output:
        SANITY,
    log:
        LOGS / "sanity" / "{run}" / "{seed}.log",
    benchmark:
        TIMES / "sanity" / "{run}" / "{seed}.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.sanity.threads
    resources:
        **resources_of("sanity"),
    params:
        config=slice_of(*MODEL_KEYS, "recall.device", "recall.segment_tokens"),
        base=base_folder,
        fresh=lambda wildcards: (
            ""
            if wildcards.run in TRAINED or CONFIG.runs[wildcards.run].train.memory_is_trained
            else "--fresh-memory"
        ),
    message:
        "Checking {wildcards.run}, seed {wildcards.seed}"
    shell:
        "python {input.script:q} --config {params.config:q} --model {input.model:q}"
        " --base {params.base:q} --benchmark {input.benchmark:q} {params.fresh}"
        " --out {output:q} > {log:q} 2>&1"
