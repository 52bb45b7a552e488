"""Asset checks: each is a promise made to people, tested for every file.

Errors block: a transcript that breaks a promise never becomes the current one. Doubts about quality are warnings.
Checks per partition are in preview in Dagster 1.13; without them a check would have one state for all files.
"""

import warnings

import dagster as dg

from transcribe_pipeline.artifacts import Audio, Subtitles, Transcript
from transcribe_pipeline.export.formats import difference
from transcribe_pipeline.partitions import media_files
from transcribe_pipeline.resources.object_store import ObjectStore

_DURATION_TOLERANCE = 0.02
"""Share of the declared length; containers round, codecs pad."""
_DURATION_SLACK_SECONDS = 1.0
_COVERAGE_FLOOR = 0.6
"""Share of detected speech inside segments. Pauses within detected speech make 0.8 to 0.95 the normal range."""

warnings.filterwarnings("ignore", category=dg.PreviewWarning, message=".*partitions_def.*")


@dg.asset_check(asset="audio", partitions_def=media_files)
def audio_is_whole(audio: Audio) -> dg.AssetCheckResult:
    """There is audio, and as much of it as the container declares."""
    declared = audio.declared_seconds
    slack = max(_DURATION_SLACK_SECONDS, _DURATION_TOLERANCE * (declared or 0.0))
    missing = max((declared or 0.0) - audio.seconds, 0.0)
    return dg.AssetCheckResult(
        passed=audio.seconds > 0 and missing <= slack,
        severity=dg.AssetCheckSeverity.WARN,  # what can be read of a damaged recording is worth having
        metadata={"seconds": audio.seconds, "declared_seconds": declared or 0.0, "missing_seconds": missing},
    )


@dg.asset_check(asset="transcript", partitions_def=media_files, blocking=True)
def words_in_order(transcript: Transcript) -> dg.AssetCheckResult:
    """Words follow each other in time, inside the audio and inside their segment; segments hold all words."""
    problems = 0
    earliest = 0.0
    for segment in transcript.segments:
        for word in segment.words:
            inside = segment.start <= word.start <= word.end <= min(segment.end, transcript.audio_seconds + 0.001)
            problems += not inside or word.start < earliest
            earliest = word.start
    return dg.AssetCheckResult(passed=problems == 0, metadata={"misplaced_words": problems})


@dg.asset_check(asset="transcript", partitions_def=media_files)
def speech_is_covered(transcript: Transcript) -> dg.AssetCheckResult:
    """Most of the detected speech became words."""
    quality = transcript.quality
    share = quality.covered_speech_seconds / quality.speech_seconds if quality.speech_seconds else 1.0
    return dg.AssetCheckResult(
        passed=share >= _COVERAGE_FLOOR or transcript.no_speech,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"covered_share": round(share, 4), "speech_seconds": quality.speech_seconds},
    )


@dg.asset_check(asset="subtitles", partitions_def=media_files, additional_ins={"transcript": dg.AssetIn("transcript")})
def exports_are_lossless(
    subtitles: Subtitles, transcript: Transcript, store: dg.ResourceParam[ObjectStore]
) -> dg.AssetCheckResult:
    """Every export, read back from the store, has exactly the transcript's words in order."""
    found = {
        file.format: difference(transcript, file.format, store.get_bytes(file.object_key)) for file in subtitles.files
    }
    losses = {name: loss for name, loss in found.items() if loss}
    return dg.AssetCheckResult(passed=not losses, metadata={"formats": len(found), **losses})


all_checks = [audio_is_whole, words_in_order, speech_is_covered, exports_are_lossless]
