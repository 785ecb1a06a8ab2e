"""Calibrates the instrument: once per session, before its first block. Needs nothing; makes a file.

Its name holds the digest of the code that it depends on, and nothing else of the study: a changed
study leaves it alone.
"""


rule calibrate:
    output:
        PLAN.calibration_file(),
    log:
        f"{PLAN.results}/logs/{PLAN.session}.calibrate.log",
    priority: 500_000
    conda:
        "../../environment.yaml"
    threads: measure_threads
    params:
        session=PLAN.session,
    shell:
        # One command, as in run_block: kill -9 of Snakemake ends it.
        "exec python -m tandembench calibrate --session {params.session:q} --output {output:q}"
        " --log {log:q} --parent $PPID"
