"""What was said, in forms that people act on. Plain Python: a transcript in, a value of `insights.py` out.

Each insight has an offline form, and most a better one by a language model. What a model says is published only where
the transcript bears it out (`grounding.py`).
"""
