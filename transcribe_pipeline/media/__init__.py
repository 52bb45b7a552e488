"""Recordings as files: what they are, what they say about themselves, and their speech as 16 kHz mono FLAC.

Plain Python: knows nothing of Dagster, the ledger or the object store. Every file is hostile until `probe` has proven
it, and stays confined to `tools.run_tool` afterwards.
"""
