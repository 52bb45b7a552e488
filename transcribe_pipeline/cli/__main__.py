"""`python -m transcribe_pipeline.cli`, for environments whose scripts are not on the PATH."""

from transcribe_pipeline.cli import app

app()
