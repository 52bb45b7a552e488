"""How hard the words would be to read, where a language has a formula that was made for it.

Formulas judge writing. Of speech they say how long its words and sentences are, as the recogniser cut them, no more.
"""

from typing import Final

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.insight.analytics.counting import tokens
from transcribe_pipeline.text.words import ends_sentence

_LIX_LANGUAGES: Final = frozenset({"da", "de", "en", "es", "fi", "fr", "it", "nn", "no", "pt", "ru", "sv"})
"""Those that Björnsson (1983): Readability of newspapers in 11 languages, Reading Research Quarterly 18, measured."""
_LONG_WORD_LETTERS: Final = 7
_LEAST_WORDS: Final = 100
"""The size of sample that readability formulas were made with (Flesch 1948); in less, one long sentence decides."""
_LONGEST_SENTENCE: Final = 100
"""Words on average: beyond, the recogniser has hardly punctuated, and there are no sentences to measure."""


def readability(transcript: Transcript) -> dict[str, float]:
    """Measure -> value. 'lix': below 30 easy, 40 newspapers, above 60 very hard; empty where it cannot be told."""
    if transcript.language not in _LIX_LANGUAGES:
        return {}
    words = [word.text for word in transcript.words if tokens(word.text, "words")]
    sentences = sum(map(ends_sentence, words))
    if len(words) < _LEAST_WORDS or sentences * _LONGEST_SENTENCE < len(words):
        return {}
    return {"lix": lix(words, sentences)}


def lix(words: list[str], sentences: int) -> float:
    """Läsbarhetsindex: words per sentence, and words of more than six letters in a hundred.

    Björnsson, C. H. (1968): Läsbarhet. Stockholm: Liber.
    """
    long = sum(sum(map(str.isalpha, word)) >= _LONG_WORD_LETTERS for word in words)
    return len(words) / sentences + 100 * long / len(words)
