"""Who is asked: the base model, wherever it comes from, as files in the hub's format."""


rule train_base:
    input:
        **closure("train_base.py"),
        corpus=DIALOGUES,
        passages=PASSAGES,
    output:
        model=[PRETRAINED / name for name in MODEL_FILES],
        curve=RESULTS / "base" / "curve.parquet",
    log:
        LOGS / "train_base.log",
    benchmark:
        TIMES / "train_base.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.base.threads
    resources:
        **resources_of("base"),
    params:
        config=slice_of("base.architecture", "base.pretrain", "base.dtype"),
        folder=lambda wildcards, output: str(Path(output.model[0]).parent),
        checkpoints=base_checkpoints,
    message:
        "Pretraining the base model"
    shell:
        "python {input.script:q} --config {params.config:q}"
        " --corpus {input.corpus:q} --passages {input.passages:q}"
        " --out {params.folder:q} --curve {output.curve:q}"
        " --checkpoints {params.checkpoints:q} 2>&1 | tee {log:q}"


rule fetch_model:
    input:
        **closure("fetch_model.py"),
    output:
        HUB_MODELS / "{name}" / "{revision}" / "config.json",
    log:
        LOGS / "fetch_model" / "{name}" / "{revision}.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        config=slice_of("base.hub_id", "base.revision", "base.source"),
        folder=subpath(output[0], parent=True),
    message:
        "Fetching {wildcards.name} at {wildcards.revision}"
    shell:
        "env -u HF_HUB_OFFLINE -u TRANSFORMERS_OFFLINE"
        " python {input.script:q} --config {params.config:q}"
        " --out {params.folder:q} 2>&1 | tee {log:q}"
