"""Differences: two baselines -> reports/diff/A..B.md. Needs resources/baselines; measures nothing.

`snakemake --cores 1 reports/diff/tr113..tr114.md`; a side is name or name@version.
"""


rule diff:
    input:
        a=first_baseline,
        b=second_baseline,
        made_by=DIFFING_CODE,
    output:
        "reports/diff/{a}..{b}.md",
    log:
        "reports/diff/{a}..{b}.log",
    wildcard_constraints:
        a=r"[a-z0-9]+([_.-][a-z0-9]+)*(@[0-9.]*[0-9])?",
        b=r"[a-z0-9]+([_.-][a-z0-9]+)*(@[0-9.]*[0-9])?",
    conda:
        "../../environment.yaml"
    shell:
        "python -m tandembench diff {wildcards.a:q} {wildcards.b:q} --exit-zero --output {output:q}"
        " 2> {log:q}"
