"""From a model's notes to the parts of a summary: what is kept of each note, and what we know better than the model.

Times, talk shares, priorities and who took part in a decision come from the cited segments, whatever the model says.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.export.script import clean
from transcribe_pipeline.insight.grounding import MOST_CITED, Grounding
from transcribe_pipeline.insight.summary.answers import CLOSED, Note
from transcribe_pipeline.insight.summary.content_type import content_type, talk_shares
from transcribe_pipeline.insight.summary.cues import priority
from transcribe_pipeline.insight.summary.templates import Part
from transcribe_pipeline.insight.summary.titles import title_of
from transcribe_pipeline.insights import ActionItem, Decision, Sentiment, SpeakerRole, Statement, Topic
from transcribe_pipeline.search.tokens import fold

_MOST: Final = 50
"""Of decisions, action items and follow-ups each: more nobody reads."""
_MOST_TOPICS: Final = 20
_MOST_CONTRIBUTIONS: Final = 3


class Finding(NamedTuple):
    """A note that the transcript bears out."""

    kind: str
    text: str
    segments: tuple[int, ...]
    about: str = ""
    """Title of a topic, owner of an action item, label of a speaker; '' where the transcript does not bear it out."""
    due: str = ""

    @property
    def is_statement(self) -> bool:
        return self.kind not in CLOSED

    def statement(self) -> Statement:
        return Statement(text=self.text, segments=self.segments)


def findings(notes: Iterable[Note], grounding: Grounding) -> Iterator[Finding]:
    """Those of the notes that are borne out, in order, each once."""
    seen: set[tuple[str, str]] = set()
    for note in notes:
        finding = _finding(note, grounding)
        if finding and (key := (finding.kind, finding.about + fold(finding.text))) not in seen:
            seen.add(key)
            yield finding


def _finding(note: Note, grounding: Grounding) -> Finding | None:
    text, segments = clean(note.text), grounding.citations(note.segments)
    speaker = grounding.speaker(note.about)
    if words := CLOSED.get(note.kind):
        is_known = text.lower() in words and (note.kind != "role" or speaker)
        return Finding(note.kind, text.lower(), segments, speaker) if is_known else None
    if grounding.objection(text, note.segments):
        return None
    match note.kind:
        case "topic":
            title = clean(note.about)
            return Finding(note.kind, text, segments, "" if grounding.title_objection(title, segments) else title)
        case "contribution":
            return Finding(note.kind, text, segments, speaker) if speaker else None
        case "action item":
            owner = grounding.name(clean(note.about)) or ""
            due = clean(note.due) if grounding.is_said(note.due, segments) else ""
            return Finding(note.kind, text, segments, owner, due)
    return Finding(note.kind, text, segments)


def compose(transcript: Transcript, parts: Sequence[Part], found: Sequence[Finding]) -> dict[str, Any]:
    """The fields of a `Summary` that come from findings; `found` has one statement at least."""
    made: dict[str, Any] = {
        "content_type": _content_type(transcript, found),
        "bottom_line": _bottom_line(found),
        "brief_summary": (),
    }
    for part in parts:
        match part:
            case "brief_summary":
                made[part] = _statements(found, "summary")
            case "major_topics":
                made[part] = tuple(_topics(transcript, found))[:_MOST_TOPICS]
            case "key_points":
                made[part] = _statements(found, "key point")
            case "decisions":
                made[part] = tuple(_decisions(transcript, _of(found, "decision")))[:_MOST]
            case "action_items":
                made[part] = tuple(_action_items(transcript, _of(found, "action item")))[:_MOST]
            case "follow_ups":
                made[part] = _statements(found, "follow-up")[:_MOST]
            case "speakers":
                made[part] = tuple(_speakers(transcript, found))
            case "sentiment":
                made[part] = _sentiment(_of(found, "sentiment"))
    return made


def _of(found: Iterable[Finding], kind: str) -> list[Finding]:
    return [finding for finding in found if finding.kind == kind]


def _statements(found: Iterable[Finding], kind: str) -> tuple[Statement, ...]:
    return tuple(finding.statement() for finding in _of(found, kind))


def _bottom_line(found: Sequence[Finding]) -> Statement:
    """The model's; where the transcript does not bear it out, the best that it does."""
    kinds = ("bottom line", "summary", "decision", "key point", "topic")
    ranked = sorted(
        (finding for finding in found if finding.is_statement),
        key=lambda finding: kinds.index(finding.kind) if finding.kind in kinds else len(kinds),
    )
    return ranked[0].statement()


def _content_type(transcript: Transcript, found: Iterable[Finding]) -> str:
    """What most sections are said to be."""
    told = Counter(finding.text for finding in _of(found, "content type"))
    return told.most_common(1)[0][0] if told else content_type(transcript)


def _topics(transcript: Transcript, found: Sequence[Finding]) -> Iterator[Topic]:
    """In order of time, each with the details that follow it."""
    details: list[list[Finding]] = []
    topics: list[Finding] = []
    for finding in found:
        if finding.kind == "topic":
            topics.append(finding)
            details.append([])
        elif finding.kind == "detail" and details:
            details[-1].append(finding)
    for topic, points in sorted(zip(topics, details, strict=True), key=lambda pair: pair[0].segments):
        cited = sorted({each for finding in (topic, *points) for each in finding.segments})
        title = topic.about or title_of([transcript.segments[each].text for each in cited], transcript.language)
        if title:
            yield Topic(
                title=title,
                start=transcript.segments[cited[0]].start,
                end=max(transcript.segments[each].end for each in cited),
                summary=topic.statement(),
                key_points=tuple(point.statement() for point in points),
            )


def _decisions(transcript: Transcript, found: Iterable[Finding]) -> Iterator[Decision]:
    for finding in found:
        heard = dict.fromkeys(transcript.segments[each].speaker for each in finding.segments)
        speakers = tuple(label for label in heard if label)
        yield Decision(text=finding.text, segments=finding.segments, stakeholders=speakers)


def _action_items(transcript: Transcript, found: Iterable[Finding]) -> Iterator[ActionItem]:
    for finding in found:
        said = " ".join(transcript.segments[each].text for each in finding.segments)
        yield ActionItem(
            text=finding.text,
            segments=finding.segments,
            owner=finding.about or None,
            due=finding.due or None,
            priority=priority(said) if transcript.language == "en" else None,
        )


def _speakers(transcript: Transcript, found: Sequence[Finding]) -> Iterator[SpeakerRole]:
    roles = {finding.about: finding.text for finding in reversed(_of(found, "role"))}
    for label, share in talk_shares(transcript).items():
        contributions = [finding for finding in _of(found, "contribution") if finding.about == label]
        yield SpeakerRole(
            speaker=label,
            role=roles.get(label),
            talk_share=share,
            contributions=tuple(finding.statement() for finding in contributions[:_MOST_CONTRIBUTIONS]),
        )


def _sentiment(found: Sequence[Finding]) -> Sentiment | None:
    """What the sections that are not neutral agree on, else mixed; None where no section has one with citations."""
    found = [finding for finding in found if finding.segments]
    if not found:
        return None
    labels = {finding.text for finding in found}
    told = labels - {"neutral"} or labels
    cited = sorted({each for finding in found for each in finding.segments})[:MOST_CITED]
    return Sentiment.model_validate({"label": told.pop() if len(told) == 1 else "mixed", "segments": tuple(cited)})
