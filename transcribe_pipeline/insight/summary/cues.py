"""Sentences that say that something is decided, to be done, or put off, by the words that people use for it.

In English only: in other languages nothing is found rather than something wrong. Patterns are careful: what they find
nearly always is what they say, and what they miss a language model finds.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple

from transcribe_pipeline.artifacts import Transcript, TranscriptSegment
from transcribe_pipeline.insight import temporal
from transcribe_pipeline.insight.summary.ranking import is_fit
from transcribe_pipeline.insights import ActionItem, Decision, Statement

_TASKS: Final = (
    "add|arrange|ask|book|build|buy|call|cancel|check|clean up|collect|confirm|contact|coordinate|create|deliver"
    "|deploy|document|draft|draw up|e-?mail|fill in|find out|finish|fix|follow up|forward|get (?:back|in touch|you)"
    "|hand in|implement|inform|install|invite|investigate|look (?:into|up)|make (?:a|an|sure|the)|merge|migrate"
    "|notify|order"
    "|organi[sz]e|pay|ping|plan|post|prepare|present|print|propose|put together|reach out|read through|record|remove"
    "|repair|replace|report|research|reserve|resend|review|rewrite|run (?:a|the)|schedule|send|set up|share|ship|sign"
    "|sort out|submit|summari[sz]e|take care of|talk to|tell|test|translate|try to (?:find|get|fix)|update|upload"
    "|verify|visit|work on|write"
)
_SOFTLY: Final = r"(?:also |just |then |gladly |quickly |definitely |try and |go and |personally )?"
_PROMISE: Final = re.compile(
    rf"\bI(?:'ll| will| am going to|'m going to| have to| need to| must| can| promise to) {_SOFTLY}(?:{_TASKS})\b", re.I
)
_REQUEST: Final = re.compile(
    rf"\b(?:(?:can|could|would|will) you {_SOFTLY}(?:please )?|please {_SOFTLY}|you(?:'ll| will) (?:have|need) to"
    rf"|you (?:need|have) to |(?:I'd|I would) like you to )(?:{_TASKS})\b",
    re.I,
)
_ASSIGNMENT: Final = re.compile(
    rf"\b(?P<name>[A-Z][a-z]+) (?:will|is going to|has to|needs to|is to) {_SOFTLY}(?:{_TASKS})\b"
)
_NO_TASK: Final = re.compile(
    r"\b(?:tell you (?:what|that|the truth|something|how|why)|I(?:'ll| will| can) tell you|ask you (?:a|something|this)"
    r"|if I|I(?:'ll| will) (?:never|not)|unless|could have|would have|used to|you can|I can see|don't have to"
    r"|do I have to|should I)\b",
    re.I,
)
_CALLED: Final = re.compile(
    r"(?:^|[,;] )(?P<name>[A-Z][a-z]+), (?:please|can|could|would|will) |^(?:please|can you|could you|thanks)\b.*, "
    r"(?P<last>[A-Z][a-z]+)[?.!]*$"
)
_DECISION: Final = re.compile(
    r"\b(?:we(?:'ve| have)?(?: all| now| just| already)* (?:decided|agreed|resolved|voted) (?:that|to|on|against|for)"
    r"|(?:it|that)(?:'s| is| was)(?: now| all| then)? (?:decided|settled|agreed|a deal|approved)"
    r"|(?:the|our|my) (?:final )?decision (?:is|was)|we(?:'re| are) (?:going|sticking) with"
    r"|(?:so|then|okay,?) we go with|we settled? on|(?:the )?(?:motion|proposal|budget|plan) (?:is|was|has been) "
    r"(?:approved|accepted|passed|adopted|rejected))\b",
    re.I,
)
_UNDECIDED: Final = re.compile(
    r"\b(?:if|unless|whether|haven't|have not|hasn't|has not|not (?:yet )?(?:decided|agreed|settled)|never|until|once"
    r"|might|should we|didn't|did not)\b",
    re.I,
)
_FOLLOW_UP: Final = re.compile(
    r"\b(?:(?:come|get|go) back to (?:that|this|it)|(?:discuss|talk about|decide|look at|cover|revisit|continue|do) "
    r"(?:it|that|this)(?: \w+)? (?:next|another|some other) (?:time|week|month|meeting)|follow up on|circle back"
    r"|(?:for|until|at|in) (?:the|our) next (?:meeting|call|session|time)|(?:take|discuss) (?:that|this|it) offline"
    r"|to be (?:discussed|decided|continued|confirmed)|(?:remains|still|stays) (?:open|unclear|to be)|revisit)\b",
    re.I,
)
_URGENT: Final = re.compile(
    r"\b(?:urgent(?:ly)?|a\.?s\.?a\.?p\.?|as soon as possible|immediately|top priority|right away)\b", re.I
)
_NO_HURRY: Final = re.compile(
    r"\b(?:no rush|no hurry|low priority|when(?:ever)? you (?:have|get|find) (?:the |some )?time)\b", re.I
)
_DUE: Final = re.compile(r"\b(?:by|until|till|before|on|at|in|within) $|\b(?:by|before) the $", re.I)
_PAST: Final = re.compile(r"\b(?:ago|yesterday|last|past|since|previous)\b", re.I)
_MOST_QUOTED: Final = 60
"""Words: longer sentences are a recogniser's run-on."""


class Cued(NamedTuple):
    decisions: tuple[Decision, ...]
    action_items: tuple[ActionItem, ...]
    follow_ups: tuple[Statement, ...]


def cued(transcript: Transcript) -> Cued:
    """What the transcript's own words mark, in order of time."""
    if transcript.language != "en":
        return Cued((), (), ())
    quotable = [each for each in transcript.segments if is_fit(each) and len(each.words) <= _MOST_QUOTED]
    texts = {each.id: each.text.replace("’", "'") for each in quotable}  # noqa: RUF001
    return Cued(
        tuple(
            Decision(text=each.text, segments=(each.id,))
            for each in quotable
            if _DECISION.search(texts[each.id]) and not _is_question(each) and not _UNDECIDED.search(texts[each.id])
        ),
        tuple(_action_items(transcript, quotable, texts)),
        tuple(
            Statement(text=each.text, segments=(each.id,))
            for each in quotable
            if _FOLLOW_UP.search(texts[each.id]) and not _is_question(each)
        ),
    )


def _action_items(
    transcript: Transcript, segments: Sequence[TranscriptSegment], texts: dict[int, str]
) -> Iterator[ActionItem]:
    owned = [(each, _owner(each, texts[each.id])) for each in segments if not _NO_TASK.search(texts[each.id])]
    items = [(segment, owner[0]) for segment, owner in owned if owner]
    times = _times(transcript, [segment for segment, _ in items])
    for segment, owner in items:
        yield ActionItem(
            text=segment.text,
            segments=(segment.id,),
            owner=owner,
            due=_due(segment.text, times.get(segment.id, [])),
            priority=priority(texts[segment.id]),
        )


def _owner(segment: TranscriptSegment, text: str) -> tuple[str | None] | None:
    """Who is to do it, as far as that can be told, in a tuple; None if nobody is to do anything."""
    if _PROMISE.search(text) and not _is_question(segment):
        return (segment.speaker,)
    if found := _ASSIGNMENT.search(text):
        return (found["name"],) if not _is_question(segment) else None
    if _REQUEST.search(text):
        called = _CALLED.search(text)
        return ((called["name"] or called["last"]) if called else None,)
    return None


def _times(transcript: Transcript, segments: Sequence[TranscriptSegment]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for marker in temporal.markers(transcript.model_copy(update={"segments": tuple(segments)})):
        found.setdefault(marker.segment, []).append(marker.text)
    return found


def _due(text: str, times: Sequence[str]) -> str | None:
    """When, in the words of the sentence, with the preposition: 'by Thursday'."""
    for time in times:
        start = text.find(time)
        if start < 0 or _PAST.search(time):
            continue
        before = _DUE.search(text[:start])
        return text[before.start() if before else start : start + len(time)]
    return None


def priority(text: str) -> Literal["high", "low"] | None:
    """Of what is said, as far as English words tell."""
    if _URGENT.search(text):
        return "high"
    return "low" if _NO_HURRY.search(text) else None


def _is_question(segment: TranscriptSegment) -> bool:
    return segment.text.rstrip().endswith("?")
