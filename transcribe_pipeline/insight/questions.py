"""The questions of a recording: asked and answered, asked and left open, and those that a reader would ask next.

A model that reads along may find answers that are given minutes later, and what the recording leaves open. Which
segments ask is told without it (`asked_questions`), and what was asked and answered is always shown in the words of the
transcript; what the model would ask itself is shown where the cited segments have its words.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.errors import PipelineError
from transcribe_pipeline.insight.asked_questions import Asked
from transcribe_pipeline.insight.grounding import Grounding
from transcribe_pipeline.insight.making import best
from transcribe_pipeline.insight.next_questions import MOST_NEXT, clarifications, left_open
from transcribe_pipeline.insight.prompts import RULES
from transcribe_pipeline.insight.sectioned import Note, form_of, read
from transcribe_pipeline.insights import AskedQuestion, Provenance, Questions, Statement
from transcribe_pipeline.language_models.port import LanguageModel, Prompt
from transcribe_pipeline.search.tokens import tokens

TASK: Final = "questions"
_ANSWER, _NEXT = "answer", "next question"
_KINDS: Final = (_ANSWER, _NEXT)
_INSTRUCTIONS: Final = f"""\
You help people who were not there to use a recording.
{RULES}
Note these kinds of things.
{_ANSWER}: a question that somebody asks and somebody answers (segments: first the one that asks, then up to 4 that \
answer; text: empty). None for questions without an answer.
{_NEXT}: up to 5 questions that a careful reader would ask about what these segments leave open: who does it, by when, \
how much, why. Each uses the words of the segments that it cites, and ends with a question mark."""
_QUESTION_MARKS: Final = ("?", "？", "؟", ";", "\u037e", "՞", "፧")  # noqa: RUF001


def questions(
    transcript: Transcript, transcript_id: str, *, models: Sequence[LanguageModel] = ()
) -> tuple[Questions, PipelineError | None]:
    """By the first model that manages; without one, by the wordings of `question_patterns`.

    :return: also the last model's error, where it was made without one although there are some.
    """
    asked = Asked(transcript)
    if not transcript.segments:
        models = ()
    return best(
        models,
        lambda model: _by_model(transcript, transcript_id, asked, model),
        lambda: _offline(transcript, transcript_id, asked),
    )


def _offline(transcript: Transcript, transcript_id: str, asked: Asked) -> Questions:
    found = asked.questions()
    return Questions(
        transcript_id=transcript_id,
        language=transcript.language,
        made_by=Provenance(method="offline"),
        asked=found,
        next=left_open(transcript, found),
        clarifications=clarifications(transcript),
    )


def _by_model(transcript: Transcript, transcript_id: str, asked: Asked, model: LanguageModel) -> Questions:
    prompt, form = Prompt(TASK, _INSTRUCTIONS, ""), form_of(_KINDS, model)
    sections = read(model, transcript, prompt, form)
    notes = [note for section in sections for note in section]
    found, mispaired = _paired(asked, [note for note in notes if note.kind == _ANSWER])
    proposed, withheld = _grounded(transcript, [note for note in notes if note.kind == _NEXT])
    return Questions(
        transcript_id=transcript_id,
        language=transcript.language,
        made_by=Provenance(
            method="language model",
            provider=model.provider,
            model=model.model,
            prompt_hash=prompt.fingerprint(form),
            sections=len(sections),
            withheld=mispaired + withheld,
        ),
        asked=found,
        next=_chosen(proposed, left_open(transcript, found)),
        clarifications=clarifications(transcript),
    )


def _paired(asked: Asked, notes: Iterable[Note]) -> tuple[tuple[AskedQuestion, ...], int]:
    """The questions with the model's answers where those can be right; how many cannot."""
    found = list(asked.questions())
    position = {segment: i for i, question in enumerate(found) for segment in question.segments}
    mispaired = 0
    for note in notes:
        i = position.get(note.segments[0]) if note.segments else None
        answer = sorted(set(note.segments[1:]))
        if i is not None and asked.may_answer(found[i].segments, answer):
            found[i] = asked.question(found[i].segments, answer)
        else:
            mispaired += 1
    return tuple(found), mispaired


def _grounded(transcript: Transcript, proposed: Iterable[Note]) -> tuple[list[Statement], int]:
    """Those that the cited segments bear out, and that were not asked already; how many are not."""
    grounding = Grounding(transcript)
    said = {_wording(segment.text) for segment in transcript.segments}
    kept, withheld = [], 0
    for each in proposed:
        text = each.text.strip()
        is_new = text.endswith(_QUESTION_MARKS) and _wording(text) not in said
        if is_new and grounding.objection(text, each.segments) is None:
            kept.append(Statement(text=text, segments=grounding.citations(each.segments)))
        else:
            withheld += 1
    return kept, withheld


def _wording(text: str) -> str:
    return " ".join(token.text for token in tokens(text))


def _chosen(proposed: Sequence[Statement], otherwise: Sequence[Statement]) -> tuple[Statement, ...]:
    """Up to 10, from the whole recording alike; filled up with those that need no model, about other segments."""
    distinct = list({each.text.casefold(): each for each in proposed}.values())
    stride = max(1, -(-len(distinct) // MOST_NEXT))
    chosen = distinct[::stride]
    cited = {segment for each in chosen for segment in each.segments}
    rest = [each for each in otherwise if cited.isdisjoint(each.segments)]
    return tuple(sorted([*chosen, *rest[: MOST_NEXT - len(chosen)]], key=lambda each: each.segments))
