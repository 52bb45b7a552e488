"""How long the offline forms of all insights take, by length of the recording, with and without sentence embeddings.

    python -m benchmarks.insight_speed TESTDATA [--hours 1 10] [--no-embeddings] [--profile STAGE]

Makes transcripts of four speakers from the real English sentences under TESTDATA, in another order each time round; one
word in 30 is two in one, so that the vocabulary grows as that of real speech does. Prints seconds by stage, and the
ratio to the shortest recording: linear time gives the ratio of the lengths. "load" is the sentence model's.
"""

import argparse
import cProfile
import pstats
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

from benchmarks.search_speed import MANIFEST
from transcribe_pipeline.artifacts import (
    Paragraph,
    SpeakerTurn,
    Transcript,
    TranscriptQuality,
    TranscriptSegment,
    TranscriptSpeaker,
    TranscriptWord,
)
from transcribe_pipeline.evaluation.references import find_references
from transcribe_pipeline.text.embeddings import Embedder, Remembering, load_embedder

SPEAKERS = 4
WORD_SECONDS = 0.36
"""167 words a minute."""
SENTENCES_PER_TURN = 5


def sentences(testdata: Path) -> list[list[str]]:
    found = []
    for reference in find_references(testdata, MANIFEST):
        if reference.language == "en":
            texts = [utterance.text for utterance in reference.utterances] or [reference.text or ""]
            found += [sentence.split() for text in texts for sentence in text.split(". ")]
    return [words[:30] for words in found if words]


def transcript(spoken: Sequence[list[str]], hours: float) -> Transcript:
    """As if recognised: words evenly in time, a new speaker every few sentences."""
    segments = []
    now = 0.0
    for number, words in enumerate(_endless(spoken)):
        if now >= hours * 3600:
            break
        speaker = f"SPEAKER_{number // SENTENCES_PER_TURN % SPEAKERS:02}"
        timed = []
        for word in words:
            timed.append(
                TranscriptWord(text=word, start=now, end=now + WORD_SECONDS - 0.02, probability=0.9, speaker=speaker)
            )
            now += WORD_SECONDS
        segments.append(
            TranscriptSegment(
                id=number,
                start=timed[0].start,
                end=timed[-1].end,
                speaker=speaker,
                text=" ".join(words),
                confidence=0.9,
                words=tuple(timed),
            )
        )
        now += 0.3
    starts = range(0, len(segments), SENTENCES_PER_TURN)
    groups = [segments[start : start + SENTENCES_PER_TURN] for start in starts]
    labels = sorted({segment.speaker for segment in segments if segment.speaker})
    return Transcript(
        language="en",
        language_probability=1.0,
        audio_seconds=now,
        no_speech=False,
        segments=tuple(segments),
        paragraphs=tuple(
            Paragraph(
                start=group[0].start,
                end=group[-1].end,
                speaker=group[0].speaker,
                first_segment=group[0].id,
                last_segment=group[-1].id,
            )
            for group in groups
        ),
        speakers=tuple(TranscriptSpeaker(label=label, seconds=1.0, words=1) for label in labels),
        turns=tuple(
            SpeakerTurn(start=group[0].start, end=group[-1].end + 0.5, speaker=str(group[0].speaker))
            for group in groups
        ),
        quality=TranscriptQuality(
            mean_confidence=0.9, low_confidence_words=0, speech_seconds=now, covered_speech_seconds=now
        ),
        recogniser="made",
        diarizer="made",
        word_times="made",
    )


def _endless(spoken: Sequence[list[str]]) -> Iterator[list[str]]:
    chance = random.Random(1)
    while True:
        for words in chance.sample(spoken, len(spoken)):
            yield [
                word.strip(",.;:") + chance.choice(words).lower() if chance.random() < 1 / 30 else word
                for word in words
            ]


def stages(made: Transcript, embedder: Embedder | None) -> dict[str, Callable[[], object]]:
    """Stage -> what makes it offline."""
    from transcribe_pipeline.insight.analytics import analytics
    from transcribe_pipeline.insight.chapters import chapters
    from transcribe_pipeline.insight.knowledge_graph import knowledge_graph
    from transcribe_pipeline.insight.questions import questions
    from transcribe_pipeline.insight.semantic_chunks import semantic_chunks
    from transcribe_pipeline.insight.speaker_names import speaker_names
    from transcribe_pipeline.insight.summary import summary, template_for

    return {
        "analytics": lambda: analytics(made, "t"),
        "semantic_chunks": lambda: semantic_chunks(made, "t", embedder),
        "chapters": lambda: chapters(made, "t", embedder, least_seconds=180, models=()),
        "knowledge_graph": lambda: knowledge_graph(made, "t", models=()),
        "questions": lambda: questions(made, "t", models=()),
        "speaker_names": lambda: speaker_names(made, "t", models=(), metadata=None, identities=None),
        "summary": lambda: summary(made, "t", models=(), template=template_for(made)),
    }


def measure(made: Transcript, embedder: Embedder | None, profiled: str | None) -> dict[str, float]:
    taken = {}
    if embedder:
        started = time.perf_counter()
        embedder.embed(["load"])
        taken["load"] = time.perf_counter() - started
    for name, make in stages(made, embedder).items():
        profile = cProfile.Profile() if name == profiled else None
        started = time.perf_counter()
        with profile or nullcontext():
            make()
        taken[name] = time.perf_counter() - started
        if profile:
            pstats.Stats(profile).sort_stats("cumulative").print_stats(25)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("testdata", type=Path)
    parser.add_argument("--hours", type=float, nargs="+", default=[1, 10])
    parser.add_argument("--no-embeddings", action="store_true")
    parser.add_argument("--profile", metavar="STAGE")
    arguments = parser.parse_args()
    spoken = sentences(arguments.testdata)
    found = None if arguments.no_embeddings else load_embedder("auto")
    for model in [None, found] if found else [None]:
        print(f"\n{'with' if model else 'without'} embeddings")
        first: dict[str, float] = {}
        for hours in arguments.hours:
            embedder = model and Remembering(model)  # of one run, as in the pipeline
            made = transcript(spoken, hours)
            taken = measure(made, embedder, arguments.profile)
            taken["all"] = sum(taken.values())
            first = first or taken
            print(f"{hours:g} h: {len(made.words):,} words, {len(made.segments):,} segments")
            for name, seconds in taken.items():
                ratio = f"{seconds / first[name]:6.1f} x" if taken is not first and first[name] else ""
                print(f"  {name:<16}{seconds:8.3f} s {ratio}")


if __name__ == "__main__":
    main()
