"""Recordings dropped into object storage become trusted, searchable, speaker-labelled transcripts."""
