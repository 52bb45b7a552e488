"""What chapters are called: by a language model, as far as the chapter bears it out, else by their key phrases."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Annotated, Final, NamedTuple

from pydantic import BaseModel, Field, create_model

from transcribe_pipeline.artifacts import Transcript, TranscriptSegment
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.export.script import clean
from transcribe_pipeline.insight import key_phrases as phrasing
from transcribe_pipeline.insight import prompts
from transcribe_pipeline.insight.grounding import MOST_CITED, Grounding
from transcribe_pipeline.insight.terms import terms
from transcribe_pipeline.insights import Provenance
from transcribe_pipeline.language_models.port import LanguageModel, Prompt
from transcribe_pipeline.text import cuts
from transcribe_pipeline.text.sections import Section, sections

_MOST_PHRASES: Final = 5
_CANDIDATES: Final = 12
_PHRASES_IN_TITLE: Final = 2
_WORDS_READ: Final = 300
"""Of each part, for its key phrases: YAKE takes 1 s of CPU for 10,000 words, and a longer part has no other ones."""
_LONGEST_TITLE: Final = 80
"""Characters: what players show of a chapter in one line."""
_LONGEST_QUOTE: Final = 50


class Titles(NamedTuple):
    titles: list[str]
    made_by: Provenance


# --- offline --------------------------------------------------------------------------------------------------------


def key_phrases(transcript: Transcript, parts: Sequence[Section]) -> list[tuple[str, ...]]:
    """Of each part, those that tell it from the others first. Looked for in the segments that do most so."""
    counts = [
        [Counter(terms(segment.text, transcript.language)) for segment in _clear(transcript, part)] for part in parts
    ]
    in_parts = [Counter(term for counted in part for term in counted) for part in counts]
    parts_with = Counter(term for counted in in_parts for term in counted)

    def weight(own: Counter[str], said: Iterable[str]) -> float:
        return sum(own[term] * math.log(1 + len(parts) / parts_with[term]) for term in said if own[term])

    found: list[tuple[str, ...]] = []
    for part, counted, own in zip(parts, counts, in_parts, strict=True):
        telling = _telling(_clear(transcript, part), [weight(own, said) for said in counted])
        phrases = phrasing.key_phrases(telling, transcript.language, most=_CANDIDATES)
        by_weight = sorted(phrases, key=lambda each: -each[1] * weight(own, set(terms(each[0], transcript.language))))
        found.append(tuple(told for phrase, _ in by_weight[:_MOST_PHRASES] if (told := clean(phrase))))
    return found


def _telling(segments: Sequence[TranscriptSegment], weights: Sequence[float]) -> list[str]:
    """The texts of greatest weight for their length, of so many words together, in the order of the recording."""
    words, chosen = 0, []
    for i in sorted(range(len(segments)), key=lambda i: -weights[i] / (10 + len(segments[i].words))):
        if words >= _WORDS_READ:
            break
        words += len(segments[i].words)
        chosen.append(i)
    return [segments[i].text for i in sorted(chosen)]


def offline(transcript: Transcript, parts: Sequence[Section], key_phrases: Sequence[Sequence[str]]) -> Titles:
    """The two best key phrases of each part; its first words, in languages whose key phrases cannot be told."""
    titles = [
        ", ".join(_unlike(phrases, transcript.language)) or _first_words(transcript, part)
        for part, phrases in zip(parts, key_phrases, strict=True)
    ]
    return Titles(titles, Provenance(method="offline"))


def _unlike(phrases: Sequence[str], language: str) -> list[str]:
    """The best, and the next that repeats none of its words."""
    chosen: list[str] = []
    said: set[str] = set()
    for phrase in phrases:
        own = set(terms(phrase, language))
        if not own & said and len(chosen) < _PHRASES_IN_TITLE:
            chosen.append(phrase)
            said |= own
    return chosen


def _clear(transcript: Transcript, part: Section) -> Sequence[TranscriptSegment]:
    """Without what was perhaps not said at all, unless that is everything."""
    segments = transcript.segments[part.first_segment : part.last_segment + 1]
    return [segment for segment in segments if not segment.doubts] or segments


def _first_words(transcript: Transcript, part: Section) -> str:
    segments = transcript.segments[part.first_segment : part.last_segment + 1]
    text = next((text for segment in segments if (text := clean(segment.text))), "…")
    return text if len(text) <= _LONGEST_QUOTE else f"{text[: _LONGEST_QUOTE - 1].rstrip()}…"


# --- by a language model --------------------------------------------------------------------------------------------

_INSTRUCTIONS: Final = f"""\
{prompts.RULES}

The transcript has chapters. A line "# 3" means that chapter 3 begins, or goes on, with the next line.
Give every chapter a title of three to eight words that says what it is about, in the language of the transcript and
in its words. No two titles are the same. A title needs no ids of segments."""


class _Title(BaseModel):
    chapter: int = Field(description="Number of the chapter.")
    title: Annotated[str, Field(max_length=_LONGEST_TITLE)] = Field(description="What it is about, in a few words.")


class _Answer(BaseModel):
    titles: list[_Title] = Field(max_length=9999, description="One for every chapter, in order.")


@cache
def _form(chapters: int) -> type[_Answer]:
    """For so many: a small model does not find an end by itself."""
    listed = Annotated[list[_Title], Field(max_length=chapters, description=_Answer.model_fields["titles"].description)]
    return create_model("_Answer", __base__=_Answer, titles=(listed, ...))


def by_model(
    model: LanguageModel, transcript: Transcript, parts: Sequence[Section], otherwise: Sequence[str]
) -> Titles:
    """Titles by `model` where the part bears them out, else those of `otherwise`.

    As many parts as its context has room for are put before it at a time, and all of the transcript is.

    :raises PipelineError: as `model.ask`; LANGUAGE_MODEL_BAD_ANSWER too if no title can be used.
    """
    read = _sections(model, transcript, parts)
    proposals = [proposal for section in read for proposal in _proposals(model, transcript, parts, section)]
    # Whoever read most of a chapter knows best.
    proposals.sort(key=lambda each: (each.position, -each.segments_seen))
    is_borne_out = _Evidence(transcript)
    found: dict[int, str] = {}
    withheld = 0
    for position, segments_seen, title in proposals:
        if position in found:
            continue
        if segments_seen and title not in found.values() and is_borne_out(title, parts[position]):
            found[position] = title
        else:
            withheld += 1
    if not found:
        raise PipelineError(
            ErrorCode.LANGUAGE_MODEL_BAD_ANSWER,
            f"{model.provider}/{model.model}: no title that its chapter bears out",
        )
    return Titles(
        [found.get(position, title) for position, title in enumerate(otherwise)],
        Provenance(
            method="language model",
            provider=model.provider,
            model=model.model,
            prompt_hash=Prompt("chapters", _INSTRUCTIONS, "").fingerprint(_Answer),
            sections=len(read),
            withheld=withheld,
        ),
    )


class _Proposal(NamedTuple):
    position: int
    """Of the part."""
    segments_seen: int
    """Of the part, when it was given this title; 0: none, or there is no such part."""
    title: str


def _proposals(
    model: LanguageModel, transcript: Transcript, parts: Sequence[Section], section: Section
) -> Iterator[_Proposal]:
    seen = [_common(part, section) for part in parts]
    form = _form(sum(map(bool, seen)))
    for each in model.ask(Prompt("chapters", _INSTRUCTIONS, _data(transcript, parts, section)), form).titles:
        position = each.chapter - 1
        yield _Proposal(position, seen[position] if 0 <= position < len(parts) else 0, clean(each.title))


def _sections(model: LanguageModel, transcript: Transcript, parts: Sequence[Section]) -> list[Section]:
    first_segments = {part.first_segment for part in parts}
    # Every section begins with a heading; this is the longest.
    frame = model.count(f"{prompts.between_delimiters([_heading(len(parts))])}\n")
    room = model.room(Prompt("chapters", _INSTRUCTIONS, ""), _Answer) - frame
    strengths = cuts.strengths(transcript)
    for part in parts:
        strengths[part.last_segment] += cuts.SPEAKER_CHANGE

    def cost(position: int) -> int:
        text = f"\n{prompts.line(transcript.segments[position])}"
        return model.count(f"\n{_heading(len(parts))}{text}" if position in first_segments else text)

    return sections(transcript, tokens=room, cost=cost, strengths=strengths)


def _data(transcript: Transcript, parts: Sequence[Section], section: Section) -> str:
    return prompts.between_delimiters(_lines(transcript, parts, section))


def _lines(transcript: Transcript, parts: Sequence[Section], section: Section) -> Iterator[str]:
    for number, part in enumerate(parts, start=1):
        if _common(part, section):
            yield _heading(number)
            first = max(part.first_segment, section.first_segment)
            last = min(part.last_segment, section.last_segment)
            yield from map(prompts.line, transcript.segments[first : last + 1])


def _heading(number: int) -> str:
    """No segment's line looks like it: those begin with an id."""
    return f"# {number}"


def _common(part: Section, section: Section) -> int:
    """Segments that are in both."""
    first, last = max(part.first_segment, section.first_segment), min(part.last_segment, section.last_segment)
    return max(0, last - first + 1)


class _Evidence:
    """Where in a chapter its title's words are said."""

    def __init__(self, transcript: Transcript) -> None:
        self._language = transcript.language
        self._terms = [frozenset(terms(segment.text, transcript.language)) for segment in transcript.segments]
        self._grounding = Grounding(transcript)

    def __call__(self, title: str, part: Section) -> bool:
        """Does the chapter bear the title out? Asked of the segments that share most words with it."""
        said = frozenset(terms(title, self._language))
        near = [i for i in range(part.first_segment, part.last_segment + 1) if said & self._terms[i]]
        best = sorted(near, key=lambda i: (-len(said & self._terms[i]), i))[:MOST_CITED]
        return self._grounding.objection(title, sorted(best)) is None
