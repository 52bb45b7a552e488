"""English word times by CMU pocketsphinx: hidden Markov models over phones, no download, no GPU, 30 MB of memory.

Its acoustic model and dictionary are in the wheel. Words that the dictionary lacks are spelled in phones by
`pronunciation.py`. How close it comes to reference times stands in `align.py`, where it is chosen.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.media.samples import SAMPLE_RATE
from transcribe_pipeline.speech.aligner import Utterance
from transcribe_pipeline.speech.aligners.pronunciation import pronunciations
from transcribe_pipeline.speech.recogniser import Samples
from transcribe_pipeline.speech.spans import Span

LANGUAGES = frozenset({"en"})
_FRAME_SECONDS = 0.01
_PUNCTUATION = '.,;:!?"()[]…-–—“”'  # noqa: RUF001
_ORDINARY = re.compile(r"[A-Z]?[a-z']+")
_SHORTEST_SECONDS = 0.1
"""Less audio than this cannot hold a word; the decoder raises errors of all kinds on it."""


class PocketSphinx:
    """One decoder, used from one thread at a time. Raises ENGINE_MISSING on construction."""

    name = "pocketsphinx"

    def __init__(self) -> None:
        try:
            from pocketsphinx import Decoder
        except ImportError as error:
            raise PipelineError(ErrorCode.ENGINE_MISSING, "aligner pocketsphinx") from error
        self._decoder: Decoder = Decoder(lm=None, loglevel="FATAL")
        self._tokens: dict[str, str | None] = {}

    def align(self, samples: Samples, utterances: Sequence[Utterance]) -> list[list[Span | None]]:
        return [self._align_one(samples, utterance) for utterance in utterances]

    def _align_one(self, samples: Samples, utterance: Utterance) -> list[Span | None]:
        tokens = [self._token(word) for word in utterance.words]
        first = max(round(utterance.start * SAMPLE_RATE), 0)
        heard = samples[first : round(utterance.end * SAMPLE_RATE)]
        said = [token for token in tokens if token]
        spans = iter(self._decode(heard, said, first / SAMPLE_RATE))
        return [next(spans, None) if token else None for token in tokens]

    def _decode(self, heard: Samples, tokens: list[str], offset: float) -> list[Span]:
        """Span of each token, or nothing at all if they could not be found one after the other."""
        if not tokens or heard.size < _SHORTEST_SECONDS * SAMPLE_RATE:
            return []
        decoder = self._decoder
        try:
            decoder.set_align_text(" ".join(tokens))
            decoder.start_utt()
            try:
                decoder.process_raw(
                    (np.clip(np.nan_to_num(heard), -1, 1) * 32767).astype("<i2").tobytes(), full_utt=True
                )
            finally:
                decoder.end_utt()  # or the decoder refuses every later utterance
        except RuntimeError:
            return []
        spans = [
            (offset + s.start_frame * _FRAME_SECONDS, offset + (s.end_frame + 1) * _FRAME_SECONDS)
            for s in decoder.seg() or ()
            if not s.word.startswith(("<", "["))  # silence and noise
        ]
        return spans if len(spans) == len(tokens) else []

    def _token(self, word: str) -> str | None:
        """The dictionary's entry for a written word, made where there is none; None if nothing in it is said."""
        if word not in self._tokens:
            self._tokens[word] = self._find_token(word)
        return self._tokens[word]

    def _find_token(self, word: str) -> str | None:
        bare = word.strip(_PUNCTUATION)
        if _ORDINARY.fullmatch(bare) and self._decoder.lookup_word(bare.lower()):
            return bare.lower()  # with all the ways to say it that the dictionary knows
        ways = pronunciations(bare, self._decoder.lookup_word)
        if not ways:
            return None
        token = f"_{len(self._tokens)}"
        for number, phones in enumerate(ways, 1):
            self._decoder.add_word(token if number == 1 else f"{token}({number})", phones, update=False)
        return token


@lru_cache(maxsize=1)
def load() -> PocketSphinx:
    """The decoder of this process (0.4 s to load). Raises ENGINE_MISSING."""
    return PocketSphinx()
