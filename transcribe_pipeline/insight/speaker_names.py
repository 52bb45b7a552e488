"""Who the speakers may be: suggestions, each with a confidence and the places to listen to. People decide.

What belongs here: evidence of all kinds brought together, and a language model's view of it. What does not: the words
by which people name each other (`spoken_names`), comparing voices (`speech.voices`), naming anybody.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field

from transcribe_pipeline.artifacts import MediaMetadata, SpeakerIdentities, Transcript
from transcribe_pipeline.errors import PipelineError
from transcribe_pipeline.export.script import clean
from transcribe_pipeline.insight import plain_text
from transcribe_pipeline.insight.grounding import Grounding
from transcribe_pipeline.insight.making import best
from transcribe_pipeline.insight.person_names import MOST_CHARACTERS, core, is_name, name_in
from transcribe_pipeline.insight.prompts import RULES, line, transcript_data
from transcribe_pipeline.insight.spoken_names import Evidence, evidence
from transcribe_pipeline.insights import NameSource, NameSuggestion, Provenance, SpeakerNames
from transcribe_pipeline.language_models.port import LanguageModel, Prompt
from transcribe_pipeline.search.tokens import fold
from transcribe_pipeline.text.sections import sections
from transcribe_pipeline.text.words import is_unspaced

LEAST_CONFIDENCE: Final = 0.25
"""Less is noise: one 'thanks, Bob' among four people."""
_MOST_PER_SPEAKER: Final = 3
_MOST_CITED: Final = 8
_MOST_CERTAIN: Final = 0.97
_ADDRESSES_OTHERS: Final = 0.2
"""Factor for a name by which the speaker calls somebody else."""

_ONE_WITNESS: Final = frozenset({"metadata", "known voice", "language model"})

_FULLER, _ALONE, _INTERVIEWED = 0.3, 0.4, 0.35
"""How much metadata say: a fuller form of a name that is heard; of the only speaker; of who talks more of two."""
_TURNS: Final = 3
"""Segments to either side within which somebody speaks whom a model takes for introduced or addressed."""
_MODEL_SELF, _MODEL = 0.7, 0.5
"""How much a model's word says, where the name is said there: offline evidence of the same kind comes on top."""


def speaker_names(
    transcript: Transcript,
    transcript_id: str,
    *,
    models: Sequence[LanguageModel],
    metadata: MediaMetadata | None,
    identities: SpeakerIdentities | None,
) -> tuple[SpeakerNames, PipelineError | None]:
    """Suggestions for the transcript's speakers, and why they are the offline ones although there are models.

    Speakers whom people have named already get none. A model adds to what is found without it, never takes away.
    """
    spoken = list(evidence(transcript))
    known = [*_of_file(transcript, metadata, spoken), *_of_voices(identities)]
    settled = {each.label for each in identities.speakers if each.band == "confirmed"} if identities else set[str]()

    def made(by: Provenance, more: Iterable[Evidence] = ()) -> SpeakerNames:
        suggestions = suggested(transcript, [*spoken, *more, *known], settled)
        return SpeakerNames(
            transcript_id=transcript_id, language=transcript.language, made_by=by, suggestions=suggestions
        )

    def offline() -> SpeakerNames:
        return made(Provenance(method="offline"))

    if not any(segment.speaker for segment in transcript.segments):
        return offline(), None
    return best(models, lambda model: made(*_by_model(transcript, model)), offline)


# --- bringing evidence together -------------------------------------------------------------------------------------


def suggested(transcript: Transcript, found: Sequence[Evidence], settled: Iterable[str]) -> tuple[NameSuggestion, ...]:
    """By label, the most confident first.

    Independent pieces of evidence for the same name of the same speaker add up as chances do, 1 - Π(1 - weight). A name
    is halved, at most, by another name of that speaker, and by another speaker of that name: times 1 - rival / 2.
    That orders suggestions; it does not calibrate them. In the openings of twelve published conversations (33 speakers,
    half of them not named there; the cues were tuned on seven) all 12 best suggestions of 0.5 and more were right, and
    3 of 5 below.
    """
    full = _fullest(found)
    by_name: dict[tuple[str, str], list[Evidence]] = defaultdict(list)
    calls = {(each.said_by, full[each.name]) for each in found if each.said_by not in (None, each.label)}
    for each in found:
        by_name[each.label, full[each.name]].append(each)
    chances = {key: _chance(pieces) * (_ADDRESSES_OTHERS if key in calls else 1) for key, pieces in by_name.items()}
    of_label, of_name = _Rivals(), _Rivals()
    for (label, name), chance in chances.items():
        of_label.enter(label, name, chance)
        of_name.enter(name, label, chance)
    labels = {speaker.label for speaker in transcript.speakers} - set(settled)
    suggestions: dict[str, list[NameSuggestion]] = defaultdict(list)
    for (label, name), pieces in by_name.items():
        contested = (1 - of_label.strongest(label, name) / 2) * (1 - of_name.strongest(name, label) / 2)
        confidence = round(chances[label, name] * contested, 2)
        if label in labels and confidence >= LEAST_CONFIDENCE:
            suggestions[label].append(_suggestion(label, name, confidence, pieces))
    return tuple(
        each
        for label in sorted(suggestions)
        for each in sorted(suggestions[label], key=lambda each: (-each.confidence, each.name))[:_MOST_PER_SPEAKER]
    )


def _chance(pieces: Sequence[Evidence]) -> float:
    doubt = 1.0
    for source in sorted({piece.source for piece in pieces}):
        weights = [piece.weight for piece in pieces if piece.source == source]
        # What the same file or the same model says twice is no more likely for it.
        for weight in [max(weights)] if source in _ONE_WITNESS else weights:
            doubt *= 1 - weight
    return min(1 - doubt, _MOST_CERTAIN)


class _Rivals:
    """Of everybody in each contest, who has the best chance besides oneself."""

    def __init__(self) -> None:
        self._best: dict[str, list[tuple[float, str]]] = defaultdict(list)

    def enter(self, contest: str, who: str, chance: float) -> None:
        self._best[contest] = sorted([*self._best[contest], (chance, who)], reverse=True)[:2]

    def strongest(self, contest: str, who: str) -> float:
        return next((chance for chance, other in self._best[contest] if other != who), 0.0)


def _fullest(found: Iterable[Evidence]) -> dict[str, str]:
    """Each form of a name -> the fullest of which there is no doubt: 'Ann' and 'Dr Lee' -> 'Ann Lee'."""
    forms = {name: core(name) for name in sorted({each.name for each in found}, key=lambda name: (len(name), name))}
    longest = {words: name for name, words in forms.items()}
    fuller: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for words in longest:
        if len(words) > 1:
            fuller[words[0]].add(words)
            fuller[words[-1]].add(words)
    full: dict[str, str] = {}
    for name, words in forms.items():
        candidates = fuller[words[0]] if len(words) == 1 else set()
        full[name] = longest[next(iter(candidates))] if len(candidates) == 1 else longest[words]
    return full


def _is_part(form: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return form == other or (len(form) == 1 < len(other) and form[0] in (other[0], other[-1]))


def _suggestion(label: str, name: str, confidence: float, pieces: Sequence[Evidence]) -> NameSuggestion:
    strongest = max(pieces, key=lambda piece: piece.weight)
    cited = sorted({segment for piece in pieces for segment in piece.segments})
    more = f" And {len(pieces) - 1} more." if len(pieces) > 1 else ""
    return NameSuggestion(
        label=label,
        name=name,
        confidence=confidence,
        source=strongest.source,
        segments=tuple(cited[:_MOST_CITED]),
        reason=strongest.reason + more,
    )


# --- metadata and voices --------------------------------------------------------------------------------------------

_TITLED = re.compile(
    r"\b(?:interview(?:s|ed|ing)?|conversations?|talks?|talking|chats?|calls?|meeting|speech|lecture|keynote|session)"
    r"(?: with| by| of)? |\b(?:feat\.?|featuring|with|by|guest:?|speaker:?|avec|con|mit|com|met) ",
    re.IGNORECASE,
)


def _of_file(transcript: Transcript, metadata: MediaMetadata | None, spoken: Sequence[Evidence]) -> Iterator[Evidence]:
    """Names in the file's own words: weak, since nothing tells whose they are.

    They make names fuller that are heard; else they are taken for the only speaker's, or for that of the one who talks
    more where two do.
    """
    if metadata is None:
        return
    stem = re.sub(r"[_-]+", " ", metadata.file.name.rsplit(".", 1)[0])
    content = metadata.content
    named = list(dict.fromkeys(_named([content.title or "", stem, content.description or ""])))
    author = clean(content.author or "")
    authors = [author] if is_name(author) and len(core(author)) > 1 else []
    speakers = sorted(transcript.speakers, key=lambda speaker: (-speaker.words, speaker.label))
    for name in dict.fromkeys([*named, *authors]):
        reason = f"The file's own title or author is “{name}”."
        bearers = {each.label for each in spoken if _is_part(core(each.name), core(name))}
        for label in sorted(bearers):
            yield Evidence(label, name, _FULLER, "metadata", (), reason)
        if not bearers and len(speakers) == 1:
            yield Evidence(speakers[0].label, name, _ALONE, "metadata", (), reason)
        elif not bearers and len(speakers) == 2 and name in named:
            yield Evidence(speakers[0].label, name, _INTERVIEWED, "metadata", (), reason)


def _named(texts: Iterable[str]) -> Iterator[str]:
    """Full names after 'interview with' and the like; a title in capitals throughout has none."""
    for text in map(clean, texts):
        for found in _TITLED.finditer(text[:500]):
            name = name_in(text, found.end())
            if name and len(core(name[0])) > 1:
                yield name[0]


def _of_voices(identities: SpeakerIdentities | None) -> Iterator[Evidence]:
    for each in identities.speakers if identities else ():
        if each.name and each.band == "confirmed":  # suggested to nobody, and a rival for that name
            yield Evidence(each.label, each.name, _MOST_CERTAIN, "known voice", (), "You said so.")
        elif each.name and each.similarity is not None and each.band in ("suggested", "auto"):
            weight = round(min(max(each.similarity, 0.0), _MOST_CERTAIN), 4)
            reason = f"Sounds like a voice that you know as {clean(each.name)} (similarity {each.similarity:.2f})."
            yield Evidence(each.label, each.name, weight, "known voice", (), reason)


# --- by a language model --------------------------------------------------------------------------------------------

_INSTRUCTIONS = f"""\
{RULES}

Find the names of the speakers where they are said: somebody introduces themselves ("this is Diane"), is introduced
before speaking ("please welcome Maria Lopez") or is addressed ("thanks, Bob"). Leave out people who are only talked
about, and speakers whose name is not said."""


_MOST_AT_ONCE: Final = 12
"""Speakers named in one section; small models fill whatever list they are given."""


class _Named(BaseModel):
    label: Annotated[str, Field(max_length=20)]
    name: Annotated[str, Field(max_length=MOST_CHARACTERS)]
    segments: Annotated[list[int], Field(max_length=3, description="where the name is said")]
    how: Literal["introduces themselves", "is introduced", "is addressed"]


class _Answer(BaseModel):
    speakers: Annotated[list[_Named], Field(max_length=_MOST_AT_ONCE)]


_REASONS: dict[NameSource, str] = {
    "introduces themselves": "They say their name there, as a language model understands it.",
    "is introduced": "They are introduced there, as a language model understands it.",
    "is addressed": "They are addressed there, as a language model understands it.",
}


def _by_model(transcript: Transcript, model: LanguageModel) -> tuple[Provenance, list[Evidence]]:
    asked = Prompt("speaker_names", _INSTRUCTIONS, "")
    answers = list(_answers(transcript, model, asked))
    grounding = Grounding(transcript)
    found = [_checked(each, transcript, grounding) for answer in answers for each in answer.speakers]
    made_by = Provenance(
        method="language model",
        provider=model.provider,
        model=model.model,
        prompt_hash=asked.fingerprint(_Answer),
        sections=len(answers),
        withheld=found.count(None),
    )
    return made_by, [each for each in found if each]


def _answers(transcript: Transcript, model: LanguageModel, asked: Prompt) -> Iterator[_Answer]:
    """One for each section."""
    segments = transcript.segments
    room = model.room(asked, _Answer) - model.count(transcript_data([]))
    for first, last in sections(transcript, tokens=room, cost=lambda i: model.count(f"\n{line(segments[i])}")):
        yield model.ask(Prompt(asked.task, asked.instructions, transcript_data(segments[first : last + 1])), _Answer)


def _checked(answer: _Named, transcript: Transcript, grounding: Grounding) -> Evidence | None:
    """What the model says, if the name is said where it says so, and the speaker talks there."""
    name = _written(grounding.name(clean(answer.name)) or "")
    if name is None:
        return None
    is_own = answer.how == "introduces themselves"
    cited = grounding.citations(answer.segments)
    near = cited if is_own else grounding.citations(i + step for i in cited for step in (-1, 0, 1))
    places = tuple(
        i
        for i in near
        if answer.label in _speakers_near(transcript, i, 0 if is_own else _TURNS)
        and _is_said(name, transcript.segments[i].text, transcript.language)
    )
    if not places:
        return None
    weight = _MODEL_SELF if is_own else _MODEL
    return Evidence(answer.label, name, weight, "language model", places, _REASONS[answer.how])


def _written(name: str) -> str | None:
    """The name as names are written, be the transcript's words in lower case throughout; None if it is no name."""
    if len(name) > MOST_CHARACTERS or plain_text.objection(name):
        return None
    if name.lower() != name.upper():
        name = " ".join(word[:1].upper() + word[1:] for word in name.split()) if name.islower() else name
        return name if is_name(name) else None
    has_letters = all(character.isalpha() or character in " ·・" for character in name)
    return name if has_letters else None


def _is_said(name: str, text: str, language: str) -> bool:
    if is_unspaced(language):
        return fold(name) in fold(text)
    return f" {fold(name)} " in f" {fold(text)} "


def _speakers_near(transcript: Transcript, i: int, reach: int) -> set[str | None]:
    return {segment.speaker for segment in transcript.segments[max(i - reach, 0) : i + reach + 1]}
