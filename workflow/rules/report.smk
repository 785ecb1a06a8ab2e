"""Reports: dataset -> reports/<study>/technical_report.md. Needs the dataset and templates."""


rule report:
    input:
        **rules.dataset.output,
        made_by=REPORTING_CODE,
    output:
        REPORT,
    log:
        f"{PLAN.results}/logs/report.log",
    conda:
        "../../environment.yaml"
    shell:
        "python -m tandembench report {input.descriptor:q} --output {output:q} 2> {log:q}"
