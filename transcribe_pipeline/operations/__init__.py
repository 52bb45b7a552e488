"""The pipeline's care for itself and what admins ask of it: recovery, requests, cleanup, health, reports.

What belongs here: deciding and acting, with the ledger, Dagster's instance and the resources. What does not: SQL (the
ledger's modules have it), assets and jobs (thin, in `assets/operations/` and `jobs`), the words of commands (`cli/`).
"""
