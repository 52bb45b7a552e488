"""What a language model finds in a transcript, as far as the transcript bears it out.

The model names things and says of what kind they are. Where they occur, how often, and how they are related is looked
up in the transcript (`occurrences`, `edges`).
"""

from typing import Final, NamedTuple, cast

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.insight.grounding import Grounding
from transcribe_pipeline.insight.knowledge_graph.entities import Entity
from transcribe_pipeline.insight.knowledge_graph.occurrences import Occurrences
from transcribe_pipeline.insight.prompts import RULES
from transcribe_pipeline.insight.sectioned import Note, form_of, read
from transcribe_pipeline.insights import NodeKind, Provenance
from transcribe_pipeline.language_models.port import LanguageModel, Prompt

TASK: Final = "knowledge_graph"
_NAMED: Final = ("person", "organisation", "place")
_THINGS: Final = (*_NAMED, "topic")
_SENTENCES: Final = ("decision", "action item")
_INSTRUCTIONS: Final = f"""\
You list what a recording speaks of.
{RULES}
Note these kinds of things, the most important first.
person, organisation, place: its name, exactly as the segments that you cite have it. Speakers are not noted.
topic: a phrase of one to four words from the segments that you cite.
decision: what somebody says is decided, action item: what somebody says is to be done; one sentence, in the words of \
the segments that you cite."""


class Found(NamedTuple):
    entities: tuple[Entity, ...]
    """Each form once; every one has segments."""
    made_by: Provenance


def found(transcript: Transcript, occurrences: Occurrences, model: LanguageModel) -> Found:
    """:raises PipelineError: as `sectioned.read`."""
    prompt, form = Prompt(TASK, _INSTRUCTIONS, ""), form_of((*_THINGS, *_SENTENCES), model)
    sections = read(model, transcript, prompt, form)
    grounding = Grounding(transcript)
    checked = [_checked(grounding, occurrences, note) for section in sections for note in section]
    kept = tuple(each for each in checked if each)
    made_by = Provenance(
        method="language model",
        provider=model.provider,
        model=model.model,
        prompt_hash=prompt.fingerprint(form),
        sections=len(sections),
        withheld=len(checked) - len(kept),
    )
    return Found(kept, made_by)


def _checked(grounding: Grounding, occurrences: Occurrences, note: Note) -> Entity | None:
    """None where the transcript does not have it; only topics and sentences may be in other words than its own."""
    kind = cast("NodeKind", note.kind)
    text = note.text.strip()
    if kind in _THINGS and (name := grounding.name(text)):
        segments = occurrences.of([name])
        # What the transcript writes small is nobody's name, whatever the model says.
        return Entity("topic" if name.islower() else kind, name, segments) if segments else None
    if kind in _NAMED or grounding.objection(text, note.segments):
        return None
    return Entity(kind, text, grounding.citations(note.segments))
