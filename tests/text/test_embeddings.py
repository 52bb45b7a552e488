"""What was embedded lately is not embedded again."""

import numpy as np

from transcribe_pipeline.text.embeddings import Remembering


class Counting:
    name = "counting"
    dimensions = 2

    def __init__(self):
        self.asked = []

    def embed(self, texts):
        self.asked.append(list(texts))
        return np.array([[len(text), 1.0] for text in texts], np.float32).reshape(len(texts), 2)


def test_a_text_is_embedded_once():
    counting = Counting()
    remembering = Remembering(counting)
    for texts in (["a", "bb", "a"], ["bb", "ccc"], ["a"]):
        assert remembering.embed(texts)[:, 0].tolist() == [len(text) for text in texts]
    assert counting.asked == [["a", "bb"], ["ccc"]]
    assert (remembering.name, remembering.dimensions) == ("counting", 2)
    assert remembering.embed([]).shape == (0, 2)


def test_memory_is_bounded():
    counting = Counting()
    remembering = Remembering(counting, most_texts=3)
    remembering.embed(["a", "bb"])
    remembering.embed(["ccc", "dddd"])  # too many together: the latest stay
    remembering.embed(["ccc", "dddd"])
    remembering.embed(["a"])
    remembering.embed(["1", "12", "123", "1234"])  # too many at once: answered, and not kept
    assert remembering.embed(["1"])[0, 0] == 1
    assert counting.asked == [["a", "bb"], ["ccc", "dddd"], ["a"], ["1", "12", "123", "1234"], ["1"]]
