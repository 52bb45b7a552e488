"""The recording in chapters: each about one thing, and named after it.

What belongs here: where chapters begin. What does not: where the topic shifts (`topics.py`), what chapters are called
(`chapter_titles.py`), and files of chapters (`export/chapters.py`).
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Final

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.errors import PipelineError
from transcribe_pipeline.insight import chapter_titles, making, topics
from transcribe_pipeline.insight.chapter_titles import Titles
from transcribe_pipeline.insights import Chapter, Chapters
from transcribe_pipeline.language_models.port import LanguageModel
from transcribe_pipeline.text.embeddings import Embedder
from transcribe_pipeline.text.sections import Section

_MOST_WINDOW: Final = 300
"""Words on each side of a gap, two minutes of talk. With 250 words Pk is up to 0.02 higher, with 200 up to 0.07."""
_WINDOW_WORDS_PER_SECOND: Final = 5 / 3
"""Two thirds of what is said in the shortest chapter, at 150 words a minute: a window that is longer than a chapter
does not see it."""


def chapters(
    transcript: Transcript,
    transcript_id: str,
    embedder: Embedder | None,
    *,
    least_seconds: float,
    models: Sequence[LanguageModel],
) -> tuple[Chapters, PipelineError | None]:
    """Chapters by change of topic, at least `least_seconds` long; and the last model's error, if titles are offline.

    The first begins at 0, the last ends with the recording, and there is no longest: a boundary where the topic stays
    the same would send readers to a place where nothing begins. A recording shorter than twice `least_seconds` is one
    chapter; one without speech has none. Linear and deterministic, models aside. Raises as `Embedder.embed` does.

    :param embedder: tells where the topic shifts; None: told by the words themselves, which is less exact.
    """
    if transcript.audio_seconds < 2 * least_seconds:
        embedder = None  # one chapter, whatever it says: nobody needs the model loaded
    parts = _parts(transcript, embedder, least_seconds)
    starts = [0.0, *(transcript.segments[part.first_segment].start for part in parts[1:])]
    ends = [*starts[1:], transcript.audio_seconds]
    key_phrases = chapter_titles.key_phrases(transcript, parts)

    def named(titles: Titles) -> Chapters:
        return Chapters(
            transcript_id=transcript_id,
            language=transcript.language,
            made_by=titles.made_by,
            chapters=tuple(
                Chapter(
                    start=start,
                    end=end,
                    title=title,
                    first_segment=part.first_segment,
                    last_segment=part.last_segment,
                    key_phrases=phrases,
                )
                for start, end, title, part, phrases in zip(
                    starts, ends, titles.titles, parts, key_phrases, strict=False
                )
            ),
            embedding_model=embedder.name if embedder else None,
        )

    offline = chapter_titles.offline(transcript, parts, key_phrases)
    return making.best(
        models if parts else (),
        lambda model: named(chapter_titles.by_model(model, transcript, parts, offline.titles)),
        lambda: named(offline),
    )


def _parts(transcript: Transcript, embedder: Embedder | None, least_seconds: float) -> list[Section]:
    if not transcript.segments:
        return []
    last = len(transcript.segments) - 1
    if transcript.audio_seconds < 2 * least_seconds:
        return [Section(0, last)]
    window = min(_MOST_WINDOW, round(least_seconds * _WINDOW_WORDS_PER_SECOND))
    shifts = topics.shifts(topics.depths(transcript, embedder, window=window))
    ends = [-1, *_boundaries(transcript, shifts, least_seconds), last]
    return [Section(before + 1, end) for before, end in pairwise(ends)]


def _boundaries(transcript: Transcript, shifts: Sequence[float], least_seconds: float) -> list[int]:
    """The segments that chapters but the last end with: of all choices that keep the distance, that of most shift.

    Weighted interval scheduling (Kleinberg and Tardos, "Algorithm Design", 6.1).
    """
    starts = list(accumulate((segment.start for segment in transcript.segments), max))
    # Between these, chapters may begin.
    latest = transcript.audio_seconds - least_seconds
    places = [i for i, shift in enumerate(shifts) if shift > 0 and least_seconds <= starts[i + 1] <= latest]
    most = [0.0]
    """Of shift, with the first so many places."""
    before: list[int] = []
    """How many places are far enough before each."""
    near = 0
    for place in places:
        while starts[places[near] + 1] <= starts[place + 1] - least_seconds:
            near += 1
        before.append(near)
        most.append(max(most[-1], most[near] + shifts[place]))
    chosen: list[int] = []
    left = len(places)
    while left:
        if most[left] > most[left - 1]:
            chosen.append(places[left - 1])
            left = before[left - 1]
        else:
            left -= 1
    return chosen[::-1]
