"""Who spoke when: one engine per module, each a `diarizer.Diarizer`; what they share is in `turns` and `clustering`."""
