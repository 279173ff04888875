"""The page as a Space of Hugging Face; the same as `saccade-env app` anywhere else."""

import os

from saccade_env.cli import app

PORT = os.environ.get("GRADIO_SERVER_PORT", "7860")  # a Space says which

app(
    [
        "app",
        "--host",
        "0.0.0.0",
        "--port",
        PORT,
        "--classifier",
        "efficientnet_lite0",
        "--no-record",
    ]
)
