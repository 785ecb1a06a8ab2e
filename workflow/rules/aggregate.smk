"""Aggregates: run files -> tables of each phase -> dataset.

Needs run files, and the manifests that are written when the workflow starts; makes
results/<study>/phases and results/<study>/dataset. The names of what is made hold the digest of
its manifest, so that it is made again exactly when that changes, whatever Snakemake remembers.
"""


rule aggregate_phase:
    input:
        phase_runs,
    output:
        runs=f"{PLAN.results}/phases/{{phase}}.{{digest}}.parquet",
        executions=f"{PLAN.results}/phases/{{phase}}.{{digest}}.executions.parquet",
        telemetry=f"{PLAN.results}/phases/{{phase}}.{{digest}}.telemetry.parquet",
        tokens=f"{PLAN.results}/phases/{{phase}}.{{digest}}.tokens.parquet",
    log:
        f"{PLAN.results}/logs/{{phase}}.{{digest}}.aggregate.log",
    conda:
        "../../environment.yaml"
    params:
        manifest=phase_manifest,
    shell:
        "python -m tandembench aggregate {params.manifest:q} --runs {output.runs:q}"
        " --executions {output.executions:q} --telemetry {output.telemetry:q}"
        " --tokens {output.tokens:q}"
        " > {log:q} 2>&1 || {{ cat {log:q} >&2; exit 1; }}"


rule dataset:
    input:
        tables=[
            f"{PLAN.tables(phase)}{table}"
            for phase in PLAN.study.phases
            for table in TABLES
        ],
        calibrations=PLAN.calibration_files(),
    output:
        runs=f"{PLAN.results}/dataset/runs.parquet",
        executions=f"{PLAN.results}/dataset/executions.parquet",
        telemetry=f"{PLAN.results}/dataset/telemetry.parquet",
        tokens=f"{PLAN.results}/dataset/tokens.parquet",
        rates=f"{PLAN.results}/dataset/rates.parquet",
        descriptor=f"{PLAN.results}/dataset/datapackage.json",
        made=touch(PLAN.dataset_mark),
    log:
        f"{PLAN.results}/logs/dataset.log",
    conda:
        "../../environment.yaml"
    params:
        manifest=PLAN.study_manifest_file,
    shell:
        "python -m tandembench dataset {params.manifest:q} --output {output.descriptor:q}"
        " > {log:q} 2>&1 || {{ cat {log:q} >&2; exit 1; }}"
