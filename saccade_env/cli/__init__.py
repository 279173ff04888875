"""The command line: the one room here that may import policies and agents."""

from saccade_env.cli import evaluate, merge, images, train, paper, human, app as page  # noqa: F401, I001 - the order of --help
from saccade_env.cli import catalogue, push, bench, costs, cache, verify  # noqa: F401
from saccade_env.cli.root import app

__all__ = ["app"]
