"""What the pipeline did on one day (UTC), for all owners and for each: figures, and the files that people read.

Every figure counts what happened on that day, whatever became of it later, so the report of a day is the same whenever
it is made, but for files that were deleted since: they are no longer counted anywhere. What "on that day" means is said
at each figure in `values`.
"""
