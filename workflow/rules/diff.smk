"""Differences: two baselines -> reports/diff/A..B.md, .html or .json. Measures nothing.

Needs resources/baselines. `snakemake --cores 1 reports/diff/tr113..tr114.html`; a side is name or
name@version.
"""


# Any Markdown page can be made HTML; of a difference the HTML has longer tables.
ruleorder: diff > page


rule diff:
    input:
        a=first_baseline,
        b=second_baseline,
        made_by=DIFFING_CODE,
    output:
        "reports/diff/{a}..{b}.{format}",
    log:
        "reports/diff/{a}..{b}.{format}.log",
    wildcard_constraints:
        a=r"[a-z0-9]+([_.-][a-z0-9]+)*(@[0-9.]*[0-9])?",
        b=r"[a-z0-9]+([_.-][a-z0-9]+)*(@[0-9.]*[0-9])?",
        format="md|html|json",
    conda:
        "../../environment.yaml"
    shell:
        "python -m tandembench diff {wildcards.a:q} {wildcards.b:q} --exit-zero --output {output:q}"
        " > {log:q} 2>&1 || {{ cat {log:q} >&2; exit 1; }}"
