"""Measures: one job per (comparison, repetition). Needs the model; makes a run file a block."""


rule fetch_model:
    output:
        MODEL_FILE,
    log:
        "resources/models/{model}.log",
    conda:
        "../../environment.yaml"
    shell:
        "python -m tandembench fetch-model {wildcards.model:q} --output {output:q}"
        " > {log:q} 2>&1 || {{ cat {log:q} >&2; exit 1; }}"


rule run_block:
    input:
        models=ancient(block_models),
    output:
        f"{PLAN.results}/runs/{PLAN.session}/{{comparison}}.r{{repetition}}.{{digest}}.parquet",
    log:
        f"{PLAN.results}/logs/{PLAN.session}/{{comparison}}.r{{repetition}}.{{digest}}.log",
    priority: block_priority
    conda:
        "../../environment.yaml"
    threads: measure_threads
    params:
        spec=block_spec,
        file=block_spec_file,
        session=PLAN.session,
    shell:
        # One command, so that no bash stands between Snakemake and the measurement.
        "exec python -m tandembench run --spec {params.file:q} --repetition {wildcards.repetition}"
        " --session {params.session:q} --output {output:q} --log {log:q} --parent $PPID"
