"""Reports: dataset -> reports/<study>/technical_report.md. Needs the dataset and templates."""


rule report:
    input:
        rules.dataset.output,
        made_by=REPORTING_CODE,
    output:
        REPORT,
    log:
        f"{PLAN.results}/logs/report.log",
    params:
        dataset=DATASET,
    shell:
        "python -m tandembench report {params.dataset:q} --output {output:q} 2> {log:q}"
