"""Measures: one job per (config, repetition). Needs the model; makes a run file a block."""


rule fetch_model:
    output:
        MODEL_FILE,
    log:
        "resources/models/{model}.log",
    conda:
        "../../environment.yaml"
    shell:
        "python -m tandembench fetch-model {wildcards.model:q} --output {output:q} 2> {log:q}"
        " || {{ cat {log:q} >&2; exit 1; }}"


rule run_block:
    input:
        models=ancient(block_models),
    output:
        f"{PLAN.results}/runs/{PLAN.session}/{{config}}.r{{repetition}}.{{digest}}.parquet",
    log:
        f"{PLAN.results}/logs/{PLAN.session}/{{config}}.r{{repetition}}.{{digest}}.log",
    priority: block_priority
    conda:
        "../../environment.yaml"
    threads: measure_threads
    params:
        spec=block_spec,
        session=PLAN.session,
    shell:
        # One command, so that no bash stands between Snakemake and the measurement.
        "exec python -m tandembench run --spec {params.spec:q} --session {params.session:q}"
        " --output {output:q} --log {log:q} --parent $PPID"
