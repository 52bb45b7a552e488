"""The ledger: what files there are, who works on them, and what came of it. SQLite or PostgreSQL, nothing of Dagster.

`models` declares the tables, `migrations` brings a database to them, `database` connects, retries and migrates.
Queries live in one module per concern: `files` (what the store holds), `backlog` (what to run next), `leases` (who may
write), `transcripts` (what was heard), `voices` (who speaks, across an owner's files), `timings` (how long it took),
`events` (what the world must be told). `text` knows which characters a database takes.

Two rules hold everywhere. A run writes only under its claim: every statement carries the claim's generation and lease
in its WHERE, so a run that was superseded changes nothing (`leases.fence`). And every transaction may be repeated
(`database.write`): a connection that breaks during COMMIT leaves open whether it happened.
"""
