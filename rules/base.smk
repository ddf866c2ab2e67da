"""The base model, as files in the hub's format: pretrained here, fetched, or converted.

A local folder is used as it is and never written to, so it has no rule.
"""

if CONFIG.base.source == "pretrain":

    rule train_base:
        input:
            **closure("train_base.py"),
            corpus=DIALOGUES,
            passages=PASSAGES,
            start=start_files(),
        output:
            model=base_files(),
            curve=BASE_CURVE,
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
            config=slice_of("base.architecture", "base.pretrain", *MODEL_KEYS),
            folder=base_folder,
            checkpoints=base_checkpoints,
        message:
            "Pretraining the base model"
        # SIGTERM reaches every process of a job. If it ended the shell or `tee`, the training
        # would end with them, before it has written its checkpoint.
        shell:
            "exec python {input.script:q} --config {params.config:q}"
            " --corpus {input.corpus:q} --passages {input.passages:q}"
            " --out {params.folder:q} --curve {output.curve:q}"
            " --checkpoints {params.checkpoints:q} > >(trap '' TERM; exec tee {log:q}) 2>&1"


if CONFIG.base.source == "hub":

    rule fetch_model:
        input:
            # The revision says what is fetched, so an edit of the script does not fetch it again.
            script=ancient(SCRIPTS / "fetch_model.py"),
        output:
            base_files(),
        log:
            LOGS / "fetch_model.log",
        localrule: True
        conda:
            ENVIRONMENT
        params:
            config=slice_of("base.hub_id", "base.revision", "base.source"),
            folder=base_folder,
        message:
            "Fetching the base model into {params.folder}"
        shell:
            "env -u HF_HUB_OFFLINE -u TRANSFORMERS_OFFLINE"
            " python {input.script:q} --config {params.config:q}"
            " --out {params.folder:q} 2>&1 | tee {log:q}"


if CONFIG.base.source in CONVERTED:

    rule convert_model:
        input:
            # The digest or the file says what is converted, so an edit of the script does not
            # convert it again.
            script=ancient(SCRIPTS / "convert_model.py"),
            gguf=base_gguf(),
        output:
            base_files(),
        log:
            LOGS / "convert_model.log",
        benchmark:
            TIMES / "convert_model.tsv"
        # What a package holds is downloaded, and compute nodes have no internet.
        localrule: CONFIG.base.source == "package"
        conda:
            ENVIRONMENT
        threads: CONFIG.resources.base.threads
        resources:
            **resources_of("base"),
        params:
            config=slice_of(
                *("base.source", "base.dtype"),
                "base.path" if CONFIG.base.source == "gguf" else "base.packages",
            ),
            folder=base_folder,
        message:
            "Converting the base model into {params.folder}"
        shell:
            # The reader's progress bar would be most of the log.
            "TQDM_DISABLE=1 python {input.script:q} --config {params.config:q}"
            " --out {params.folder:q} 2>&1 | tee {log:q}"


if any(run.train.keep_weight for run in CONFIG.runs.values()):

    rule sample_base:
        input:
            **closure("sample_base.py"),
            base=base_files(),
        output:
            BASE_TEXTS,
        log:
            LOGS / "sample_base.log",
        benchmark:
            TIMES / "sample_base.tsv"
        conda:
            ENVIRONMENT
        threads: CONFIG.resources.base.threads
        resources:
            **resources_of("base"),
        params:
            config=slice_of("base.texts", *MODEL_KEYS),
            folder=base_folder,
        message:
            "Letting the base model write texts"
        shell:
            "python {input.script:q} --config {params.config:q} --base {params.folder:q}"
            " --out {output:q} > {log:q} 2>&1"
