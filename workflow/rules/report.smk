"""Reports: dataset -> reports/<study>/technical_report, details (.md, .html), report.json, figures/.

Needs the dataset and templates; measures nothing. Any other Markdown page under reports/ becomes
HTML in the same way: `snakemake --cores 1 reports/diff/tr113..tr114.html`.
"""


# A study's report is made with its page, in one command.
ruleorder: report > page


report: "../report/workflow.rst"


rule report:
    input:
        **rules.dataset.output,
        hypotheses=hypotheses_files,
        baselines=baselines_files,
        made_by=REPORTING_CODE,
    output:
        markdown=report(
            REPORT,
            caption="../report/technical_report.rst",
            category="Report",
            labels={"study": PLAN.study.name, "as": "Markdown"},
        ),
        values=report(
            f"{REPORTS}/report.json",
            caption="../report/values.rst",
            category="Report",
            labels={"study": PLAN.study.name, "as": "JSON"},
        ),
        page=report(
            PAGE,
            caption="../report/page.rst",
            category="Report",
            labels={"study": PLAN.study.name, "as": "page"},
        ),
        details=report(
            multiext(f"{REPORTS}/details", ".md", ".html"),
            caption="../report/details.rst",
            category="Report",
            labels={"study": PLAN.study.name, "as": "details"},
        ),
        figures=report(
            directory(f"{REPORTS}/figures"),
            patterns=["{name}.svg"],
            caption="../report/figures.rst",
            category="Figures",
        ),
    log:
        f"{PLAN.results}/logs/report.log",
    conda:
        "../../environment.yaml"
    shell:
        "python -m tandembench report {input.descriptor:q} --output {output.markdown:q} --page"
        " > {log:q} 2>&1 || {{ cat {log:q} >&2; exit 1; }}"


rule page:
    input:
        markdown="reports/{page}.md",
        made_by=PAGE_CODE,
    output:
        report(
            "reports/{page}.html",
            caption="../report/page.rst",
            category="Report",
            labels={"study": "{page}", "as": "page"},
        ),
    log:
        f"{PLAN.results}/logs/{{page}}.html.log",
    conda:
        "../../environment.yaml"
    shell:
        "python -m tandembench page {input.markdown:q} --output {output:q}"
        " > {log:q} 2>&1 || {{ cat {log:q} >&2; exit 1; }}"
