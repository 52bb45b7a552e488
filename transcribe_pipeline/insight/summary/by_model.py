"""A summary by a language model, of which only what the transcript bears out is kept.

A transcript that fits the model's context is read at once. A longer one is read in sections, each with all the parts of
the template; then decisions, action items, follow-ups and what is said of speakers are joined as they are, and for the
rest the model reads the notes on the sections, which carry their citations, as it read the transcript. A section that
fails is a failure of the whole.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, NamedTuple

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.export.script import clean
from transcribe_pipeline.insight import prompts, sectioned
from transcribe_pipeline.insight.grounding import Grounding
from transcribe_pipeline.insight.summary.answers import KINDS, Answer, answer_form, explained, most_notes
from transcribe_pipeline.insight.summary.composing import Finding, compose, findings
from transcribe_pipeline.insight.summary.templates import Part, Template
from transcribe_pipeline.insights import Provenance, Summary
from transcribe_pipeline.language_models.port import LanguageModel, Prompt
from transcribe_pipeline.text.languages import LANGUAGES

_STITCHED: Final[tuple[Part, ...]] = ("brief_summary", "major_topics", "key_points")
"""Parts that sections have of their own, and that are made anew for the whole."""
_READ_AGAIN: Final = frozenset({"bottom line", "summary", "topic", "detail", "key point", "decision"})
_MADE_ANEW: Final = _READ_AGAIN - {"decision"}
_LEAN: Final = ("bottom line", "summary", "topic", "key point", "decision", "action item", "follow-up")
_LEAST_ROOM: Final = 1500
"""Tokens for the transcript below which less is asked, and that more briefly: a context of 4,000 has 1,800."""

_ASK: Final = """\
Summarise the transcript in notes, each of a kind: {kinds}.
Have no notes of a kind that nothing was said for. Begin statements with who says it, or with the transcript's words.
Write numbers as the transcript does. {language}
{wishes}"""
_ASK_BRIEFLY: Final = """\
Summarise the transcript in notes, the bottom line first. about: title of a topic, who does an action item; else empty.
{language}"""
_STITCH: Final = """\
The lines are not segments here, but notes on parts of one long transcript: ids of segments|kind|note. Put them together
for the whole, by the same rules; cite the ids that the notes have."""
_RULES_FOR_NOTES: Final = f"{prompts.RULES}\n{_STITCH}"


def by_model(
    transcript: Transcript, transcript_id: str, model: LanguageModel, template: Template, output_language: str
) -> Summary:
    """Raises as `model.ask`; LANGUAGE_MODEL_BAD_ANSWER too if a section has nothing that the transcript bears out."""
    language = output_language or transcript.language
    reader = _Reader(transcript, model, template, Grounding(transcript, output_language=language), language)
    read = reader.read()
    told = compose(transcript, template.parts, read.findings)
    return Summary.model_validate(
        {
            "transcript_id": transcript_id,
            "language": language,
            "made_by": Provenance(
                method="language model",
                provider=model.provider,
                model=model.model,
                prompt_hash=reader.prompt_hash,
                sections=read.sections,
                withheld=read.withheld,
            ),
            "template": template.label,
            **told,
        }
    )


class _Read(NamedTuple):
    findings: list[Finding]
    sections: int
    withheld: int


class _Asked(NamedTuple):
    prompt: Prompt
    form: type[Answer]


@dataclass
class _Reader:
    transcript: Transcript
    model: LanguageModel
    template: Template
    grounding: Grounding
    language: str
    withheld: int = 0

    def read(self) -> _Read:
        answers = sectioned.answers(self.model, self.transcript, *self._reading)
        found = [self._kept(answer, f"part {number} of {len(answers)}") for number, answer in enumerate(answers, 1)]
        return _Read(found[0] if len(found) == 1 else self._stitched(found), len(found), self.withheld)

    @property
    def prompt_hash(self) -> str:
        """Of all that may be asked, so that it does not depend on the transcript's length."""
        told = (prompt.fingerprint(form) for prompt, form in (self._reading, self._stitching, self._condensing))
        return hashlib.sha256("\x1f".join(told).encode()).hexdigest()

    # --- what is asked ----------------------------------------------------------------------------------------------

    @cached_property
    def _reading(self) -> _Asked:
        return self._asked(self.template.parts, prompts.RULES)

    @cached_property
    def _stitching(self) -> _Asked:
        return self._asked(tuple(part for part in self.template.parts if part in _STITCHED), _RULES_FOR_NOTES)

    @cached_property
    def _condensing(self) -> _Asked:
        """A few notes that say what many say, where all of them together do not fit."""
        form = answer_form(("key point",), max(2, most_notes(self.model.answer_tokens) // 4))
        return _Asked(self._prompt(_RULES_FOR_NOTES, _ASK_BRIEFLY), form)

    def _asked(self, parts: tuple[Part, ...], rules: str) -> _Asked:
        most = most_notes(self.model.answer_tokens)
        kinds = ("bottom line", "content type", *(kind for part in parts for kind in KINDS[part]))
        full = _Asked(self._prompt(rules, _ASK, parts), answer_form(kinds, most))
        if self.model.room(*full) >= _LEAST_ROOM:
            return full
        lean = tuple(kind for kind in kinds if kind in _LEAN)
        return _Asked(self._prompt(rules, _ASK_BRIEFLY), answer_form(lean, most))

    def _prompt(self, rules: str, ask: str, parts: tuple[Part, ...] = ()) -> Prompt:
        name = LANGUAGES.get(self.language)
        language = f"Write in {name}." if name else ""
        told = ask.format(kinds=explained(parts), language=language, wishes=self.template.instructions)
        return Prompt("summary", f"{rules}\n{told}".strip(), "")

    # --- what is kept -----------------------------------------------------------------------------------------------

    def _kept(self, answer: Answer, place: str) -> list[Finding]:
        """What the transcript bears out."""
        kept = list(findings(answer.notes, self.grounding))
        self.withheld += len(answer.notes) - len(kept)
        if not any(finding.is_statement for finding in kept):
            raise PipelineError(
                ErrorCode.LANGUAGE_MODEL_BAD_ANSWER,
                f"{self.model.provider}/{self.model.model}: {place} has nothing that the transcript bears out",
            )
        return kept

    # --- putting sections together ----------------------------------------------------------------------------------

    def _stitched(self, found: Sequence[Sequence[Finding]]) -> list[Finding]:
        """The findings of all sections as those of one: `_STITCHED` parts made anew, all others joined."""
        every = [finding for section in found for finding in section]
        notes = [finding for finding in every if finding.kind in _READ_AGAIN]
        if not notes:
            return every
        while len(list(self._groups(notes, self._stitching))) > 1:
            notes = self._condensed(notes)
        whole = self._kept(self._ask(self._stitching, notes), "the whole")
        return [*whole, *(finding for finding in every if finding.kind not in _MADE_ANEW)]

    def _condensed(self, notes: Sequence[Finding]) -> list[Finding]:
        """Fewer notes, that say what these say."""
        groups = self._groups(notes, self._condensing)
        made = [
            finding for group in groups for finding in self._kept(self._ask(self._condensing, group), "a part of it")
        ]
        if len(made) >= len(notes):
            raise self._no_room()
        return made

    def _ask(self, asked: _Asked, notes: Iterable[Finding]) -> Answer:
        data = prompts.between_delimiters(map(_line, notes))
        return self.model.ask(replace(asked.prompt, data=data), asked.form)

    def _groups(self, notes: Sequence[Finding], asked: _Asked) -> Iterator[list[Finding]]:
        """Consecutive notes, as many in each group as fit the prompt."""
        room = self.model.room(*asked) - self.model.count(prompts.between_delimiters([]))
        group: list[Finding] = []
        left = room
        for note in notes:
            cost = self.model.count(f"\n{_line(note)}")
            if cost > room:
                raise self._no_room()
            if cost > left:
                yield group
                group, left = [], room
            group.append(note)
            left -= cost
        yield group

    def _no_room(self) -> PipelineError:
        return PipelineError(
            ErrorCode.LANGUAGE_MODEL_REFUSED,
            f"{self.model.provider}/{self.model.model}: its context is too small for the notes on so long a recording",
        )


def _line(finding: Finding) -> str:
    ids = ",".join(map(str, finding.segments))
    return f"{ids}|{finding.kind}|{clean(f'{finding.about}: {finding.text}' if finding.about else finding.text)}"
