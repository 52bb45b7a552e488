"""Finding what was said. `index.py` is what everybody else talks to; each backend is one module behind it.

Plain Python: nothing here knows Dagster or the ledger. An index is a projection of the current transcripts and can be
rebuilt from them at any time.
"""
