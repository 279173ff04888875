"""`python -m saccade_env.cli`."""

from saccade_env.cli import app

app()
