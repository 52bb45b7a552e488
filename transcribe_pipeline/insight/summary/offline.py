"""A summary in the speakers' own sentences, without a language model: the same form, every one its own evidence."""

import re
from collections.abc import Callable, Iterable
from typing import Final

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.export.script import clean
from transcribe_pipeline.insight.summary.content_type import content_type, interviewer, talk_shares
from transcribe_pipeline.insight.summary.cues import cued
from transcribe_pipeline.insight.summary.ranking import Ranking
from transcribe_pipeline.insight.summary.templates import Part, Template
from transcribe_pipeline.insight.summary.titles import title_of
from transcribe_pipeline.insights import Provenance, SpeakerRole, Statement, Summary, Topic
from transcribe_pipeline.text.sections import Section, sections
from transcribe_pipeline.text.words import size

_BRIEF: Final = 4
_KEY_POINTS: Final = 8
_MOST_CUED: Final = 50
"""Decisions, action items, follow-ups of each: more nobody reads, and ten hours have them."""
_TOPIC_SECONDS: Final = 480
_MOST_TOPICS: Final = 12
_SHIFT_WORDS: Final = 150
_TOPIC_KEY_POINTS: Final = 2
_TITLE_SENTENCES: Final = 12
"""That a title is made of: of all sentences it takes 0.7 s of CPU for an hour, which is two thirds of a summary."""
_LEAST_TALK: Final = 0.05
_OPENING: Final = re.compile(
    r"^(?:(?:okay|ok|so|well|yeah|yes|no|and|but|um|uh|now|then|right|great|alright|all right|I mean|you know)[,.]? )+"
    r"(?=\w+ \w+ \w+)",
    re.IGNORECASE,
)
"""How people begin to speak, in English: 'Okay, so we ship on Monday' reads better without."""


def offline(transcript: Transcript, transcript_id: str, template: Template) -> Summary:
    """Quotes: nothing is said that was not said. Linear in the length of the transcript, and deterministic."""
    ranking, marked = Ranking(transcript), cued(transcript)
    decided = [each for decision in marked.decisions for each in decision.segments]
    # What was settled matters more than what was talked about most.
    bottom_line = ranking.best_of(decided, 1) or ranking.best(1)
    brief = ranking.best(_share_of(transcript, _BRIEF), without=bottom_line)
    points = ranking.best(_share_of(transcript, _KEY_POINTS), without=[*bottom_line, *brief])
    parts: dict[Part, Callable[[], object]] = {
        "brief_summary": lambda: _quotes(transcript, sorted(brief)),
        "major_topics": lambda: _topics(transcript, ranking),
        "key_points": lambda: _quotes(transcript, sorted(points)),
        "decisions": lambda: marked.decisions[:_MOST_CUED],
        "action_items": lambda: marked.action_items[:_MOST_CUED],
        "follow_ups": lambda: marked.follow_ups[:_MOST_CUED],
        "speakers": lambda: _speakers(transcript, ranking),
        "sentiment": lambda: None,
    }
    return Summary.model_validate(
        {
            "transcript_id": transcript_id,
            "language": transcript.language,
            "made_by": Provenance(method="offline"),
            "template": template.label,
            "content_type": content_type(transcript),
            "bottom_line": next(iter(_quotes(transcript, bottom_line)), None),
            "brief_summary": (),
            **{part: parts[part]() for part in template.parts},
        }
    )


def _share_of(transcript: Transcript, most: int) -> int:
    """A summary of ten sentences has not eight key points."""
    return min(most, -(-len(transcript.segments) // (4 * most)) * 2)


def _quotes(transcript: Transcript, segments: Iterable[int]) -> tuple[Statement, ...]:
    return tuple(Statement(text=_quote(transcript, each), segments=(each,)) for each in segments)


def _quote(transcript: Transcript, segment: int) -> str:
    text = clean(transcript.segments[segment].text)
    if transcript.language != "en":
        return text
    without = _OPENING.sub("", text)
    return without[0].upper() + without[1:]


# --- topics ---------------------------------------------------------------------------------------------------------


def _topics(transcript: Transcript, ranking: Ranking) -> tuple[Topic, ...]:
    made = (_topic(transcript, ranking, stretch) for stretch in _stretches(transcript))
    return tuple(topic for topic in made if topic is not None)


def _stretches(transcript: Transcript) -> list[Section]:
    """The recording in up to a dozen parts of some eight minutes, cut where the topic shifts most."""
    from transcribe_pipeline.insight import topics

    language = transcript.language
    sizes = [max(1, round(sum(size(word.text, language) for word in each.words))) for each in transcript.segments]
    if not sizes:
        return []
    count = min(_MOST_TOPICS, max(1, round(transcript.audio_seconds / _TOPIC_SECONDS)))
    share = max(max(sizes), -(-sum(sizes) // count))
    depths = topics.depths(transcript, None, window=_SHIFT_WORDS)
    return sections(transcript, tokens=share, cost=sizes.__getitem__, strengths=depths)


def _topic(transcript: Transcript, ranking: Ranking, stretch: Section) -> Topic | None:
    """None where nothing in it can be quoted, or nothing tells what it is about."""
    first, last = stretch
    ranked = ranking.best_of(range(first, last + 1), _TITLE_SENTENCES)
    title = title_of([transcript.segments[each].text for each in sorted(ranked)], transcript.language)
    best = ranked[: 1 + _TOPIC_KEY_POINTS]
    if not best or not title:
        return None
    said, *points = _quotes(transcript, best)
    return Topic(
        title=title,
        start=transcript.segments[first].start,
        end=transcript.segments[last].end,
        summary=said,
        key_points=tuple(sorted(points, key=lambda point: point.segments)),
    )


# --- speakers -------------------------------------------------------------------------------------------------------


def _speakers(transcript: Transcript, ranking: Ranking) -> tuple[SpeakerRole, ...]:
    """In order of appearance."""
    said: dict[str | None, list[int]] = {}
    for segment in transcript.segments:
        said.setdefault(segment.speaker, []).append(segment.id)
    asks = interviewer(transcript)
    return tuple(
        SpeakerRole(
            speaker=label,
            role=None if asks is None or share < _LEAST_TALK else "interviewer" if label == asks else "interviewee",
            talk_share=share,
            contributions=_quotes(transcript, ranking.best_of(said.get(label, []), 1)),
        )
        for label, share in talk_shares(transcript).items()
    )
