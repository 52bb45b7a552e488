"""A model reads a whole transcript: in one go where it fits the context, else section by section.

A model answers with one flat list of notes, each of a kind, since that is what models of every size fill in well, and
its schema leaves room in a context of 2,000 tokens. What does not belong here: what is asked, and what becomes of it.
"""

from functools import cache
from typing import Any, Final, Literal

from pydantic import BaseModel, Field, create_model

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.insight.prompts import line, transcript_data
from transcribe_pipeline.language_models.port import A, LanguageModel, Prompt
from transcribe_pipeline.text.sections import sections

_TOKENS_OF_NOTE: Final = 40
"""A short sentence with its citations and the names of the fields, as JSON."""
_MOST_NOTES: Final = 60


class Note(BaseModel):
    """One thing that a model found."""

    kind: str
    """One of those that were asked for; it is not checked here."""
    text: str = Field(max_length=200)
    segments: list[int] = Field(max_length=6)


class Notes(BaseModel):
    notes: list[Note]


def form_of(kinds: tuple[str, ...], model: LanguageModel) -> type[Notes]:
    """Of an answer: as many notes, of these kinds, as fit into what the model has free for it."""
    return _form(kinds, max(1, min(_MOST_NOTES, model.answer_tokens // _TOKENS_OF_NOTE)))


@cache
def _form(kinds: tuple[str, ...], most: int) -> type[Notes]:
    kind: Any = Literal[kinds]
    note: Any = create_model("Note", __base__=Note, kind=(kind, ...))
    return create_model("Notes", __base__=Notes, notes=(list[note], Field(max_length=most)))


def read(model: LanguageModel, transcript: Transcript, asked: Prompt, form: type[Notes]) -> list[list[Note]]:
    """The notes about every section, in order. Raises as `answers`."""
    return [answer.notes for answer in answers(model, transcript, asked, form)]


def answers(model: LanguageModel, transcript: Transcript, asked: Prompt, form: type[A]) -> list[A]:
    """An answer for every section, in order. A section that fails is a failure of the whole.

    :param asked: its data is not used.
    :raises PipelineError: as `model.ask`, or LANGUAGE_MODEL_REFUSED where the context has no room for a segment.
    """
    segments = transcript.segments
    room = model.room(asked, form) - model.count(transcript_data([]))
    parts = sections(transcript, tokens=room, cost=lambda i: model.count(f"\n{line(segments[i])}"))
    return [
        model.ask(Prompt(asked.task, asked.instructions, transcript_data(segments[first : last + 1])), form)
        for first, last in parts
    ]
