"""Aggregates: run files -> tables of each phase -> dataset.

Needs run files; makes manifests, results/<study>/phases and results/<study>/dataset. A manifest's
name holds the digest of what it lists, so that an aggregate is made again exactly when that
changes, whatever Snakemake remembers.
"""


rule phase_manifest:
    output:
        f"{PLAN.results}/phases/{{phase}}.manifest.{{digest}}.json",
    log:
        f"{PLAN.results}/logs/{{phase}}.manifest.{{digest}}.log",
    priority: 1_000_000
    conda:
        "../../environment.yaml"
    params:
        study=PLAN.file,
        session=PLAN.session,
    shell:
        "python -m tandembench manifest {params.study:q} --session {params.session:q}"
        " --phase {wildcards.phase:q} --output {output:q} 2> {log:q}"


rule study_manifest:
    output:
        f"{PLAN.results}/manifest.{{digest}}.json",
    log:
        f"{PLAN.results}/logs/manifest.{{digest}}.log",
    priority: 1_000_000
    conda:
        "../../environment.yaml"
    params:
        study=PLAN.file,
        session=PLAN.session,
    shell:
        "python -m tandembench manifest {params.study:q} --session {params.session:q}"
        " --output {output:q} 2> {log:q}"


rule aggregate_phase:
    input:
        runs=phase_runs,
        manifest=phase_manifest,
    output:
        runs=f"{PLAN.results}/phases/{{phase}}.parquet",
        executions=f"{PLAN.results}/phases/{{phase}}.executions.parquet",
        telemetry=f"{PLAN.results}/phases/{{phase}}.telemetry.parquet",
        tokens=f"{PLAN.results}/phases/{{phase}}.tokens.parquet",
    log:
        f"{PLAN.results}/logs/{{phase}}.aggregate.log",
    conda:
        "../../environment.yaml"
    shell:
        "python -m tandembench aggregate {input.manifest:q} --runs {output.runs:q}"
        " --executions {output.executions:q} --telemetry {output.telemetry:q}"
        " --tokens {output.tokens:q} 2> {log:q}"


rule dataset:
    input:
        runs=expand(rules.aggregate_phase.output.runs, phase=PLAN.study.phases),
        executions=expand(
            rules.aggregate_phase.output.executions, phase=PLAN.study.phases
        ),
        telemetry=expand(
            rules.aggregate_phase.output.telemetry, phase=PLAN.study.phases
        ),
        tokens=expand(rules.aggregate_phase.output.tokens, phase=PLAN.study.phases),
        manifest=PLAN.manifest_file(),
        calibrations=PLAN.calibration_files(),
    output:
        runs=f"{PLAN.results}/dataset/runs.parquet",
        executions=f"{PLAN.results}/dataset/executions.parquet",
        telemetry=f"{PLAN.results}/dataset/telemetry.parquet",
        tokens=f"{PLAN.results}/dataset/tokens.parquet",
        rates=f"{PLAN.results}/dataset/rates.parquet",
        descriptor=f"{PLAN.results}/dataset/datapackage.json",
    log:
        f"{PLAN.results}/logs/dataset.log",
    conda:
        "../../environment.yaml"
    shell:
        "python -m tandembench dataset {input.manifest:q} --output {output.descriptor:q} 2> {log:q}"
