"""The room of the agents: tasks do their work on result files, prompts tell the model of it.

Done once, when a study is resolved: prompts go into the run specification as text, so that
nothing here runs while the clocks do.
"""

from tandembench.agents.prompts import read_data, render_steps

__all__ = ["read_data", "render_steps"]
