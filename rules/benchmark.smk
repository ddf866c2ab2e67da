"""The benchmark, the training corpus, and published benchmarks with predictions."""


rule make_benchmark:
    input:
        **closure("make_benchmark.py"),
        conversations=list(CONFIG.benchmark.files),
    output:
        benchmark=BENCHMARK,
        card=BENCHMARK.with_name("CARD.md"),
    log:
        LOGS / "make_benchmark.log",
    benchmark:
        TIMES / "make_benchmark.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.benchmark.threads
    resources:
        **resources_of("benchmark"),
    params:
        config=slice_of("benchmark"),
    message:
        "Making the benchmark"
    shell:
        "python {input.script:q} --config {params.config:q}"
        " --out {output.benchmark:q} --card {output.card:q} > {log:q} 2>&1"


rule make_corpus:
    input:
        **closure("make_corpus.py"),
        texts=own_texts(),
        conversations=own_conversations(),
    output:
        dialogues=DIALOGUES,
        passages=PASSAGES,
    log:
        LOGS / "make_corpus.log",
    benchmark:
        TIMES / "make_corpus.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.corpus.threads
    resources:
        **resources_of("corpus"),
    params:
        config=slice_of("corpus"),
    message:
        "Making the training corpus"
    shell:
        "python {input.script:q} --config {params.config:q}"
        " --out {output.dialogues:q} --passages {output.passages:q}"
        " --texts {input.texts:q} > {log:q} 2>&1"


if CONFIG.corpus.source == "hub":

    rule fetch_corpus:
        input:
            # The revision says what is fetched, so an edit of the script does not fetch it again.
            script=ancient(SCRIPTS / "fetch_corpus.py"),
        output:
            directory(own_texts()),
        log:
            LOGS / "fetch_corpus.log",
        localrule: True
        conda:
            ENVIRONMENT
        params:
            config=slice_of("corpus.source", "corpus.hub_id", "corpus.revision", "corpus.hub_files"),
        message:
            "Fetching the corpus into {output}"
        shell:
            "env -u HF_HUB_OFFLINE -u TRANSFORMERS_OFFLINE"
            " python {input.script:q} --config {params.config:q}"
            " --out {output:q} 2>&1 | tee {log:q}"


rule import_benchmark:
    input:
        **closure("import_benchmark.py"),
        published=lambda wildcards: CONFIG.imports[wildcards.imported].benchmark,
    output:
        IMPORTED,
    log:
        LOGS / "import_benchmark" / "{imported}.log",
    benchmark:
        TIMES / "import_benchmark" / "{imported}.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        **resources_of("benchmark"),
    message:
        "Importing benchmark {wildcards.imported}"
    shell:
        "python {input.script:q} --json {input.published:q} --out {output:q} > {log:q} 2>&1"
