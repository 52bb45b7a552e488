"""Words and turns become a transcript: speakers for words, sentences, paragraphs, quality figures.

Pure functions over artifacts. A word goes to the speaker it overlaps most in the exclusive turns; a word outside all
turns goes to the nearest one. A segment never mixes speakers and ends with its sentence; a paragraph is what one
speaker says without a long pause.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from transcribe_pipeline.artifacts import (
    Alignment,
    Diarization,
    Doubt,
    GivenTranscript,
    Paragraph,
    RecognisedSegment,
    RecognisedWord,
    SpeakerTurn,
    Transcript,
    Transcription,
    TranscriptQuality,
    TranscriptSegment,
    TranscriptSpeaker,
    TranscriptWord,
)
from transcribe_pipeline.speech.quality import LOW_CONFIDENCE, repeated_words
from transcribe_pipeline.speech.spans import covered_seconds, union
from transcribe_pipeline.text.words import ends_clause, ends_sentence, join_words

_PAUSE_SECONDS = 2.0
"""Silence that ends a segment and a paragraph."""
_SEGMENT_SECONDS = 20.0
"""A longer sentence is cut at its next clause, and at any word when half as long again."""
_PARAGRAPH_SECONDS = 60.0
"""A longer paragraph ends with its next sentence."""
# What ends in a full stop inside a sentence, beside the titles and initials that `ends_sentence` knows.
_ABBREVIATIONS = frozenset({"bzw.", "e.g.", "etc.", "i.e.", "jr.", "m.", "vs.", "z.b."})
_NUMBER_SIGNS = frozenset({"no.", "nr."})
"""Abbreviations only before a number; 'No.' alone is an answer."""


_STRAY_WORDS = 2
"""At the edge of a sentence, taken for the work of an imprecise turn."""
_UNATTRIBUTED_SECONDS = 1.0
"""A word this far from every turn has a speaker by guess only."""


@dataclass(frozen=True)
class _Source:
    """What a transcript's word came from."""

    word: RecognisedWord
    segment: RecognisedSegment


def build_transcript(
    transcription: Transcription,
    alignment: Alignment,
    diarization: Diarization,
    given: GivenTranscript | None = None,
) -> Transcript:
    sources = _in_order(alignment.segments)
    words = [source.word for source in sources]
    speakers = _speakers_of(sources, diarization)
    names = _order_of_appearance(speakers, diarization.turns)
    labelled = [
        TranscriptWord(**word.model_dump(), speaker=names.get(speaker or ""))
        for word, speaker in zip(words, speakers, strict=True)
    ]
    segments = _segments(labelled, sources, transcription.language)
    turns = tuple(t.model_copy(update={"speaker": names[t.speaker]}) for t in diarization.turns) if words else ()
    match = given.match if given and given.cues else None
    return Transcript(
        language=transcription.language,
        language_probability=transcription.language_probability,
        audio_seconds=transcription.audio_seconds,
        no_speech=not segments,
        segments=segments,
        paragraphs=tuple(paragraphs(segments)),
        speakers=_speakers(labelled, turns, diarization, names) if words else (),
        turns=turns,
        quality=quality(transcription.speech, segments).model_copy(
            update={
                "reconsidered_seconds": transcription.reconsidered_seconds,
                "overlap_seconds": round(_overlap_seconds(turns), 3),
                "unattributed_words": _far_from_turns(words, diarization.turns),
                "given_match": match,
            }
        ),
        recogniser=f"{transcription.engine}/{transcription.model}",
        diarizer=f"{diarization.engine}/{diarization.model}",
        word_times=alignment.aligner,
        embedding_model=diarization.embedding_model,
        text_source="recogniser" if match is None else "given",
        translation=transcription.translation,
    )


def _in_order(segments: Iterable[RecognisedSegment]) -> list[_Source]:
    """All words; starts never run backwards and no word ends before it starts, whatever the engines say."""
    ordered: list[_Source] = []
    earliest = 0.0
    for segment in segments:
        for word in segment.words:
            start = max(word.start, earliest)
            placed = word.model_copy(update={"start": start, "end": max(word.end, start)})
            ordered.append(_Source(placed, segment))
            earliest = start
    return ordered


def _speakers_of(sources: Sequence[_Source], diarization: Diarization) -> list[str | None]:
    """A word heard on a channel is its speaker's, without any guess."""
    if any(source.segment.channel for source in sources):
        return [source.segment.channel for source in sources]
    words = [source.word for source in sources]
    return keep_sentences_whole(words, assign_speakers(words, diarization.exclusive_turns))


def assign_speakers(words: Sequence[RecognisedWord], turns: Sequence[SpeakerTurn]) -> list[str | None]:
    """The speaker of each word by largest overlap, else by nearest turn; None if there are no turns.

    `turns` are exclusive and ordered, so one binary search finds each word's neighbours.
    """
    if not turns:
        return [None] * len(words)
    starts = [turn.start for turn in turns]

    def speaker(word: RecognisedWord) -> str:
        first = max(bisect_right(starts, word.start) - 1, 0)
        last = max(bisect_right(starts, word.end), first + 1)
        # Smallest distance first: a word's overlap is a negative distance, a gap a positive one.
        nearby = turns[first : last + 1]
        return min(nearby, key=lambda t: max(t.start, word.start) - min(t.end, word.end)).speaker

    return [speaker(word) for word in words]


def keep_sentences_whole(words: Sequence[RecognisedWord], speakers: Sequence[str | None]) -> list[str | None]:
    """Speakers with one or two stray words at a sentence's edge given to whoever says the rest of it.

    Turns begin and end some tenths of a second off, or in overlap, and cut words from sentences ('Neither did | I.').
    Longer runs stay: people do interrupt each other.
    """
    kept = list(speakers)
    start = 0
    for position, word in enumerate(words):
        following = words[position + 1] if position + 1 < len(words) else None
        if (
            following
            and following.start - word.end < _PAUSE_SECONDS
            and not _is_sentence_end(word.text, following.text)
        ):
            continue
        kept[start : position + 1] = _without_strays(kept[start : position + 1])
        start = position + 1
    return kept


def _without_strays(speakers: list[str | None]) -> list[str | None]:
    """One sentence's."""
    runs = [(speaker, len(list(group))) for speaker, group in groupby(speakers)]
    main, length = max(runs, key=lambda run: run[1])
    for edge in (0, -1):
        stray, words = runs[edge]
        if stray != main and words <= _STRAY_WORDS and length >= 2 * words:
            runs[edge] = (main, words)
    return [speaker for speaker, words in runs for _ in range(words)]


def _order_of_appearance(speakers: Sequence[str | None], turns: Sequence[SpeakerTurn]) -> dict[str, str]:
    """Engine label -> SPEAKER_00, SPEAKER_01, ...: by first word, then those who never get a word by first turn."""
    seen = dict.fromkeys([*(s for s in speakers if s), *(t.speaker for t in turns)])
    return {label: f"SPEAKER_{position:02d}" for position, label in enumerate(seen)}


def split_sentences(words: Iterable[TranscriptWord]) -> list[list[TranscriptWord]]:
    """Words grouped into segments: cut at speaker changes, sentence ends, long pauses, and at clauses if very long."""
    groups: list[list[TranscriptWord]] = []
    for word in words:
        if groups and not _ends_segment(groups[-1], word):
            groups[-1].append(word)
        else:
            groups.append([word])
    return groups


def _ends_segment(group: list[TranscriptWord], following: TranscriptWord) -> bool:
    last = group[-1]
    if last.speaker != following.speaker or following.start - last.end >= _PAUSE_SECONDS:
        return True
    if _is_sentence_end(last.text, following.text):
        return True
    seconds = last.end - group[0].start
    return seconds > 1.5 * _SEGMENT_SECONDS or (seconds > _SEGMENT_SECONDS and ends_clause(last.text))


def _is_sentence_end(word: str, following: str) -> bool:
    if not ends_sentence(word):
        return False
    if following[:1].islower():  # 'approx. ten', 'Yahoo! is'
        return False
    if word.lower() in _NUMBER_SIGNS:
        return not following[:1].isdigit()
    is_letter = len(word) == 2 and word[0].isalpha() and word[1] == "." and word != "I."  # 'z. B.'
    return not is_letter and word.lower() not in _ABBREVIATIONS


def _segments(
    words: Sequence[TranscriptWord], sources: Sequence[_Source], language: str
) -> tuple[TranscriptSegment, ...]:
    segments: list[TranscriptSegment] = []
    position = 0
    for group in split_sentences(words):
        heard = {id(s.segment): s.segment for s in sources[position : position + len(group)]}
        position += len(group)
        segments.append(_segment(len(segments), group, tuple(heard.values()), language))
    return tuple(segments)


def _segment(
    position: int, words: list[TranscriptWord], heard: Sequence[RecognisedSegment], language: str
) -> TranscriptSegment:
    confidence = sum(word.probability for word in words) / len(words)
    # The recogniser's segments are cut differently; how sure it was of these very words is known exactly.
    inherited = {doubt for segment in heard for doubt in segment.doubts} - {Doubt.LOW_CONFIDENCE}
    if confidence < LOW_CONFIDENCE:
        inherited.add(Doubt.LOW_CONFIDENCE)
    return TranscriptSegment(
        id=position,
        start=words[0].start,
        end=max(word.end for word in words),
        speaker=words[0].speaker,
        text=join_words((word.text for word in words), language),
        confidence=round(confidence, 4),
        words=tuple(words),
        doubts=tuple(doubt for doubt in Doubt if doubt in inherited),
    )


def paragraphs(segments: Sequence[TranscriptSegment]) -> list[Paragraph]:
    """Consecutive segments of one speaker, ended by a long pause or, when long, by a sentence end."""
    if not segments:
        return []
    breaks = [0]
    for left, right in pairwise(segments):
        first = segments[breaks[-1]]
        is_long = left.end - first.start > _PARAGRAPH_SECONDS and ends_sentence(left.text)
        if left.speaker != right.speaker or right.start - left.end >= _PAUSE_SECONDS or is_long:
            breaks.append(right.id)
    return [
        Paragraph(
            start=segments[first].start,
            end=segments[following - 1].end,
            speaker=segments[first].speaker,
            first_segment=first,
            last_segment=following - 1,
        )
        for first, following in pairwise([*breaks, len(segments)])
    ]


def _speakers(
    words: Sequence[TranscriptWord], turns: Sequence[SpeakerTurn], diarization: Diarization, names: dict[str, str]
) -> tuple[TranscriptSpeaker, ...]:
    spoken = Counter(word.speaker for word in words)
    seconds: Counter[str] = Counter()
    for turn in turns:
        seconds[turn.speaker] += turn.end - turn.start  # type: ignore[assignment]  # Counter adds floats as well
    embeddings = {names[voice.speaker]: voice.embedding for voice in diarization.voices}
    return tuple(
        TranscriptSpeaker(
            label=label, seconds=round(seconds[label], 3), words=spoken[label], embedding=embeddings.get(label, ())
        )
        for label in names.values()
    )


def _overlap_seconds(turns: Sequence[SpeakerTurn]) -> float:
    """Seconds in which more than one speaker has a turn; `turns` are ordered by start."""
    total, reached = 0.0, 0.0
    for turn in turns:
        total += max(min(turn.end, reached) - turn.start, 0.0)
        reached = max(reached, turn.end)
    return total


def _far_from_turns(words: Sequence[RecognisedWord], turns: Sequence[SpeakerTurn]) -> int:
    """Words more than a second away from every turn; none where there are no turns at all."""
    near = union((turn.start - _UNATTRIBUTED_SECONDS, turn.end + _UNATTRIBUTED_SECONDS) for turn in turns)
    starts = [start for start, _ in near]

    def is_near(word: RecognisedWord) -> bool:
        reaching = near[max(bisect_right(starts, word.end) - 1, 0)]
        return reaching[0] <= word.end and word.start <= reaching[1]

    return sum(not is_near(word) for word in words) if near else 0


def quality(speech: Sequence[tuple[float, float]], segments: Sequence[TranscriptSegment]) -> TranscriptQuality:
    words = [word for segment in segments for word in segment.words]
    speech_seconds = sum(end - start for start, end in speech)
    doubtful = [segment for segment in segments if segment.doubts]
    return TranscriptQuality(
        mean_confidence=round(sum(word.probability for word in words) / len(words), 4) if words else None,
        low_confidence_words=sum(word.probability < LOW_CONFIDENCE for word in words),
        speech_seconds=round(speech_seconds, 3),
        covered_speech_seconds=round(covered_seconds(speech, [(s.start, s.end) for s in segments]), 3),
        doubtful_segments=len(doubtful),
        doubtful_seconds=round(sum(segment.end - segment.start for segment in doubtful), 3),
        repeated_words=repeated_words([word.text for word in words]),
        words_per_second=round(len(words) / speech_seconds, 3) if words and speech_seconds else None,
    )
