"""Stretches of about 150 words that overlap by 25 and end in good places: what is compared and retrieved by meaning.

Words are counted as `text.words.size` does: in languages written without spaces, 150 words are 300 characters.

What does not belong here: how good a place is (`text/cuts.py`), and search's own chunks, which do not overlap.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.insight import topics
from transcribe_pipeline.insight.temporal import TemporalMarker, markers
from transcribe_pipeline.insights import Provenance, SemanticChunk, SemanticChunks, TemporalInfo
from transcribe_pipeline.text import cuts
from transcribe_pipeline.text.embeddings import Embedder
from transcribe_pipeline.text.words import join_words, size

WORDS: Final = 150
OVERLAP: Final = 25
_TOLERANCE: Final = 0.2
"""A chunk has 120 to 180 words: 180 English words are 240 of the 256 word pieces that sentence models read."""
_TOPIC_WINDOW: Final = 75
"""Words on each side: topics are told apart that fill half a chunk."""
_TOPIC_SHIFT: Final = 2.5
"""Added to a place's strength: a shift of topic weighs more than the end of a paragraph, and less than another speaker;
where both meet is the best place of all."""

_WORTH_A_MODEL: Final = 1000
"""Words, 6 minutes. Loading MiniLM takes 5 to 10 s, as long as all other stages after speech together; a short call has
few places to cut, and speakers and pauses tell the best of them."""


def semantic_chunks(transcript: Transcript, transcript_id: str, embedder: Embedder | None) -> SemanticChunks:
    """All words, in order; each chunk but the first begins with the last 25 words of the one before.

    A chunk ends, at 120 to 180 words, where the speaker changes, else where the topic shifts, else at the end of a
    paragraph, a pause, a sentence, a clause, else after 150 words. The last two are shorter where too few words are
    left. Linear and deterministic. Raises as `Embedder.embed` does.

    :param embedder: tells where the topic shifts; None: no shifts are looked for. Not asked about short recordings.
    """
    cutter = _Cutter(transcript, markers(transcript))
    if cutter.words < _WORTH_A_MODEL:
        embedder = None
    return SemanticChunks(
        transcript_id=transcript_id,
        language=transcript.language,
        made_by=Provenance(method="offline"),
        chunks=tuple(cutter.chunks(_places(transcript, embedder))),
        embedding_model=embedder.name if embedder else None,
    )


def uncovered_words(chunks: SemanticChunks, transcript: Transcript) -> int:
    """Words of the transcript that are in no chunk. A chunk that does not say what its word indices say has none."""
    words = transcript.words
    covered: set[int] = set()
    before = 0
    for chunk in chunks.chunks:
        own = words[chunk.start_word_index : chunk.end_word_index]
        text = join_words((word.text for word in own), transcript.language)
        is_true = (
            chunk.text_content == text
            and chunk.word_count == len(own)
            and chunk.character_count == len(text)
            and chunk.overlap_words == before - chunk.start_word_index
        )
        if is_true:
            covered.update(range(chunk.start_word_index, chunk.end_word_index))
        before = chunk.end_word_index
    return len(words) - len(covered)


def _places(transcript: Transcript, embedder: Embedder | None) -> list[float]:
    """How good a place to cut there is after each word."""
    strengths = cuts.strengths(transcript)
    if embedder:
        shifts = topics.shifts(topics.depths(transcript, embedder, window=_TOPIC_WINDOW))
        strengths = [strength + _TOPIC_SHIFT * (shift > 0) for strength, shift in zip(strengths, shifts, strict=True)]
    return cuts.word_strengths(transcript, strengths)


class _Cutter:
    def __init__(self, transcript: Transcript, markers: Sequence[TemporalMarker]) -> None:
        self._language = transcript.language
        self._segments = transcript.segments
        self._words = transcript.words
        self._segment_of = [segment.id for segment in transcript.segments for _ in segment.words]
        self._sizes = [0.0, *accumulate(size(word.text, self._language) for word in self._words)]
        """Of all words before each, and in all."""
        self._markers: dict[int, list[TemporalMarker]] = {}
        for marker in markers:
            self._markers.setdefault(marker.segment, []).append(marker)

    @property
    def words(self) -> float:
        return self._sizes[-1]

    def chunks(self, strengths: Sequence[float]) -> Iterator[SemanticChunk]:
        """:param strengths: of the place after each word."""
        start = end = 0
        for index in range(len(self._words)):
            overlap = end - start
            end = self._end(start, end, strengths)
            yield self._chunk(index, start, end, overlap)
            if end == len(self._words):
                return
            start = max(bisect_left(self._sizes, self._sizes[end] - OVERLAP), start + 1)

    def _end(self, start: int, reached: int, strengths: Sequence[float]) -> int:
        """Of the chunk from `start` on (exclusive): at least one word further than was `reached`."""
        sizes = self._sizes
        left = sizes[-1] - sizes[start]
        if left <= (1 + _TOLERANCE) * WORDS:
            return len(self._words)
        # Two chunks of like size, rather than one and a rest that is mostly overlap.
        wanted = sizes[start] + min(WORDS, (left + OVERLAP) / 2)
        reach = _TOLERANCE * (wanted - sizes[start])
        low = max(bisect_left(sizes, wanted - reach), reached + 1)
        high = max(bisect_right(sizes, wanted + reach) - 1, low)
        return 1 + cuts.best(range(low - 1, high), strengths, lambda last: abs(sizes[last + 1] - wanted))

    def _chunk(self, index: int, start: int, end: int, overlap: int) -> SemanticChunk:
        words = self._words[start:end]
        text = join_words((word.text for word in words), self._language)
        first, last = self._segment_of[start], self._segment_of[end - 1]
        speakers = dict.fromkeys(segment.speaker for segment in self._segments[first : last + 1] if segment.speaker)
        return SemanticChunk(
            chunk_index=index,
            text_content=text,
            word_count=len(words),
            character_count=len(text),
            start_word_index=start,
            end_word_index=end,
            overlap_words=overlap,
            start=words[0].start,
            end=max(word.end for word in words),
            first_segment=first,
            last_segment=last,
            speakers=tuple(speakers),
            temporal_info=_temporal_info(self._markers, first, last, text),
        )


def _temporal_info(markers: Mapping[int, Sequence[TemporalMarker]], first: int, last: int, text: str) -> TemporalInfo:
    """The marker that most needs a person; of several the surest, and then the first."""
    # A chunk may begin or end within a segment, and its marker be in the other part.
    plain = " ".join(text.split())
    heard = [marker for i in range(first, last + 1) for marker in markers.get(i, ()) if marker.text in plain]
    if not heard:
        return TemporalInfo()
    told = max(heard, key=lambda marker: (marker.needs_clarification, marker.confidence))
    return TemporalInfo(
        temporal_marker=told.text,
        temporal_confidence=told.confidence,
        requires_user_clarification=told.needs_clarification,
    )
