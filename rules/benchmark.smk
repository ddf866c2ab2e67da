"""What is asked: the generated benchmark, the training corpus, published benchmarks."""

BENCHMARK = RESULTS / "benchmark" / "benchmark.parquet"
DIALOGUES = RESULTS / "corpus" / "dialogues.parquet"
PASSAGES = RESULTS / "corpus" / "passages.parquet"
IMPORTED = RESULTS / "imports" / "{imported}" / "benchmark.parquet"


rule make_benchmark:
    input:
        code=closure("make_benchmark.py"),
    output:
        benchmark=BENCHMARK,
        card=BENCHMARK.with_name("CARD.md"),
    log:
        LOGS / "make_benchmark.log",
    benchmark:
        TIMES / "make_benchmark.tsv"
    threads: CONFIG.resources.benchmark.threads
    resources:
        **resources_of("benchmark"),
    params:
        config=slice_of("benchmark"),
    shell:
        "{PYTHON} {SCRIPTS}/make_benchmark.py --config {params.config:q}"
        " --out {output.benchmark:q} --card {output.card:q} > {log:q} 2>&1"


rule make_corpus:
    input:
        code=closure("make_corpus.py"),
    output:
        dialogues=DIALOGUES,
        passages=PASSAGES,
    log:
        LOGS / "make_corpus.log",
    benchmark:
        TIMES / "make_corpus.tsv"
    threads: CONFIG.resources.corpus.threads
    resources:
        **resources_of("corpus"),
    params:
        config=slice_of("corpus"),
    shell:
        "{PYTHON} {SCRIPTS}/make_corpus.py --config {params.config:q}"
        " --out {output.dialogues:q} --passages {output.passages:q} > {log:q} 2>&1"


rule import_benchmark:
    input:
        published=lambda wildcards: CONFIG.imports[wildcards.imported].benchmark,
        code=closure("import_benchmark.py"),
    output:
        IMPORTED,
    log:
        LOGS / "import_benchmark" / "{imported}.log",
    benchmark:
        TIMES / "import_benchmark" / "{imported}.tsv"
    resources:
        **resources_of("benchmark"),
    shell:
        "{PYTHON} {SCRIPTS}/import_benchmark.py --json {input.published:q}"
        " --out {output:q} > {log:q} 2>&1"
