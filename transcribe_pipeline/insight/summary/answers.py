"""The form in which a language model answers.

One flat list of notes, each of a kind, since that is what models of every size fill in well, its schema fits a context
of 2,000 tokens, and a model gives each kind the room that it needs.
"""

from functools import cache
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, Field, create_model

from transcribe_pipeline.insight.summary.templates import Part
from transcribe_pipeline.insights import ContentType, Sentiment

_TOKENS_OF_NOTE: Final = 130
"""A long sentence with its citations and the names of the fields, as indented JSON: an answer must not be cut off."""
_MOST_NOTES: Final = 80

KINDS: Final[dict[Part, tuple[str, ...]]] = {
    "brief_summary": ("summary",),
    "major_topics": ("topic", "detail"),
    "key_points": ("key point",),
    "decisions": ("decision",),
    "action_items": ("action item",),
    "follow_ups": ("follow-up",),
    "speakers": ("contribution", "role"),
    "sentiment": ("sentiment",),
}
ROLES: Final = (
    *("chair", "moderator", "host", "interviewer", "interviewee", "guest", "presenter", "teacher", "student"),
    *("customer", "agent", "narrator", "participant"),
)
"""Closed, since nothing in a transcript could bear out a freely worded one."""
CLOSED: Final[dict[str, tuple[str, ...]]] = {
    "content type": get_args(ContentType),
    "role": ROLES,
    "sentiment": get_args(Sentiment.model_fields["label"].annotation),
}
"""Kinds whose text is one of a few words, and no statement."""

_EXPLAINED: Final[dict[Part, str]] = {
    "brief_summary": "summary: what to know next, up to 5",
    "major_topics": "topic: what one topic comes to (about: its title), in order of time;"
    " detail: a point of the topic before it",
    "key_points": "key point: the most important things said",
    "decisions": "decision: what was decided",
    "action_items": "action item: what somebody is to do (about: who; due: when, as it was said)",
    "follow_ups": "follow-up: what was put off or left open",
    "speakers": "contribution: what a speaker contributes (about: the speaker); role: a speaker's role (about: the"
    f" speaker; text: {', '.join(ROLES)})",
    "sentiment": f"sentiment: the tone of the whole, once (text: {', '.join(CLOSED['sentiment'])})",
}
_EXPLAINED_ALWAYS: Final = (
    "bottom line: the one sentence to read if only one is read, first",
    f"content type: once (text: {', '.join(CLOSED['content type'])})",
)


class Note(BaseModel):
    kind: str
    """Narrowed to those that are asked for."""
    text: Annotated[str, Field(max_length=300)]
    segments: Annotated[list[int], Field(max_length=8)]
    about: Annotated[str, Field(max_length=60)] = ""
    due: Annotated[str, Field(max_length=60)] = ""


class Answer(BaseModel):
    notes: list[Note]


def explained(parts: tuple[Part, ...]) -> str:
    """What the kinds of notes are for, as instructions."""
    return "; ".join([*_EXPLAINED_ALWAYS, *(_EXPLAINED[part] for part in parts)])


def most_notes(answer_tokens: int) -> int:
    """That an answer of so many tokens has room for."""
    return max(1, min(_MOST_NOTES, answer_tokens // _TOKENS_OF_NOTE))


@cache
def answer_form(kinds: tuple[str, ...], most: int) -> type[Answer]:
    """1 to `most` notes of these kinds."""
    kind: Any = Literal[kinds]
    note: Any = create_model("Note", __base__=Note, kind=(kind, ...))
    notes: Any = Annotated[list[note], Field(min_length=1, max_length=most)]
    return create_model("Answer", __base__=Answer, notes=(notes, ...))
