"""tandem-bench: what do LLM agents gain by running at once on local model servers?"""
