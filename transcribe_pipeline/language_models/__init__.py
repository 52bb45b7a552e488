"""Language models: one small port, and the providers behind it. What is asked of them is in `insight/`."""
