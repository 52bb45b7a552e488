"""What is promised about audio, transcripts and their files.

A transcript that breaks a promise of form is blocked. Doubts about quality are warnings, and an error only where the
transcript is of no use; it is kept all the same, for people to see, but takes no better version's place.
"""

from collections import Counter

import dagster as dg
from sqlalchemy import Engine

from transcribe_pipeline.artifacts import (
    Audio,
    Diarization,
    GivenTranscript,
    Options,
    SearchDocument,
    Subtitles,
    Transcript,
    Transcription,
    TranscriptRecord,
)
from transcribe_pipeline.errors import PipelineError
from transcribe_pipeline.export.formats import difference
from transcribe_pipeline.ledger import transcripts
from transcribe_pipeline.partitions import media_files
from transcribe_pipeline.resources.object_store import ObjectStore
from transcribe_pipeline.resources.search_index import Search
from transcribe_pipeline.search.documents import passages
from transcribe_pipeline.search.index import Query, Scope

_DURATION_TOLERANCE = 0.02
"""Share of the declared length; containers round, codecs pad."""
_DURATION_SLACK_SECONDS = 1.0
_COVERAGE_FLOOR = 0.6
"""Share of detected speech inside segments. Pauses within detected speech make 0.8 to 0.95 the normal range."""

_UNUSABLE_DOUBT = 0.8
"""Share of the transcript's time that is doubtful."""
_UNUSABLE_REPETITION = 0.5
"""Share of the words that are loops."""
_UNUSABLE_COVERAGE = 0.1
_UNUSABLE_SECONDS = 10.0
"""Less speech than this proves nothing."""
_DOUBTFUL_SHARE = 0.2
_LANGUAGE_FLOOR = 0.5
_GUESSED_WORDS = 0.1
"""Share of words whose speaker is a guess."""
_PASSING_SPEAKER_SECONDS = 1.0
_DOUBTFUL_CUES = 0.1


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


@dg.asset_check(asset="transcript", partitions_def=media_files)
def transcript_is_usable(transcript: Transcript) -> dg.AssetCheckResult:
    """Not mostly loops, doubts or gaps. The one check of quality that is an error."""
    figures, words = transcript.quality, len(transcript.words)
    spoken = sum(segment.end - segment.start for segment in transcript.segments)
    doubt = figures.doubtful_seconds / spoken if spoken else 0.0
    repetition = figures.repeated_words / words if words else 0.0
    coverage = figures.covered_speech_seconds / figures.speech_seconds if figures.speech_seconds else 1.0
    is_long = figures.speech_seconds >= _UNUSABLE_SECONDS
    return dg.AssetCheckResult(
        passed=not is_long
        or (doubt < _UNUSABLE_DOUBT and repetition < _UNUSABLE_REPETITION and coverage > _UNUSABLE_COVERAGE),
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={
            "doubtful_share": round(doubt, 4),
            "repeated_share": round(repetition, 4),
            "covered_share": round(coverage, 4),
        },
    )


@dg.asset_check(asset="transcript", partitions_def=media_files)
def few_doubts(transcript: Transcript) -> dg.AssetCheckResult:
    """Most of the transcript needs nobody to listen to it again; the reasons for doubt are counted."""
    spoken = sum(segment.end - segment.start for segment in transcript.segments)
    share = transcript.quality.doubtful_seconds / spoken if spoken else 0.0
    reasons = Counter(doubt.value for segment in transcript.segments for doubt in segment.doubts)
    return dg.AssetCheckResult(
        passed=share <= _DOUBTFUL_SHARE,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"doubtful_share": round(share, 4), **{f"segments_{name}": n for name, n in reasons.items()}},
    )


@dg.asset_check(asset="transcription", partitions_def=media_files, additional_ins={"options": dg.AssetIn("options")})
def language_is_certain(transcription: Transcription, options: Options) -> dg.AssetCheckResult:
    """The language was given, or told with confidence."""
    probability = transcription.language_probability
    return dg.AssetCheckResult(
        passed=bool(options.language) or not transcription.segments or probability >= _LANGUAGE_FLOOR,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"language": transcription.language, "probability": probability},
    )


@dg.asset_check(
    asset="transcript", partitions_def=media_files, additional_ins={"diarization": dg.AssetIn("diarization")}
)
def speakers_are_plausible(transcript: Transcript, diarization: Diarization) -> dg.AssetCheckResult:
    """Speakers could be told apart, each says more than a word in passing, and few words have one by guess only."""
    words = len(transcript.words)
    passing = [s.label for s in transcript.speakers if s.seconds < _PASSING_SPEAKER_SECONDS or s.words == 0]
    guessed = transcript.quality.unattributed_words / words if words else 0.0
    return dg.AssetCheckResult(
        passed=diarization.failure is None and not passing and guessed <= _GUESSED_WORDS,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "speakers": len(transcript.speakers),
            "speakers_in_passing": len(passing),
            "guessed_share": round(guessed, 4),
            **({"failure": diarization.failure} if diarization.failure else {}),
        },
    )


@dg.asset_check(asset="given_transcript", partitions_def=media_files)
def given_transcript_fits(given_transcript: GivenTranscript) -> dg.AssetCheckResult:
    """Most cues of a given transcript are heard at their place."""
    cues = len(given_transcript.cues)
    share = len(given_transcript.doubtful_cues) / cues if cues else 0.0
    return dg.AssetCheckResult(
        passed=share <= _DOUBTFUL_CUES,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"cues": cues, "doubtful_share": round(share, 4), "match": given_transcript.match or 0.0},
    )


@dg.asset_check(asset="transcript_record", partitions_def=media_files)
def version_became_current(transcript_record: TranscriptRecord) -> dg.AssetCheckResult:
    """The new version was good enough to take the place of the one before."""
    reason = transcript_record.held_back
    return dg.AssetCheckResult(
        passed=reason is None,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"version": transcript_record.version, **({"held_back": reason} if reason else {})},
    )


@dg.asset_check(asset="subtitles", partitions_def=media_files)
def exports_are_lossless(
    subtitles: Subtitles, ledger: dg.ResourceParam[Engine], store: dg.ResourceParam[ObjectStore]
) -> dg.AssetCheckResult:
    """Every export, read back from the store, has exactly the words of the transcript it was made from, in order."""
    transcript = transcripts.load(ledger, subtitles.transcript_id)
    found = {
        file.format: difference(transcript, file.format, store.get_bytes(file.object_key)) for file in subtitles.files
    }
    losses = {name: loss for name, loss in found.items() if loss}
    return dg.AssetCheckResult(passed=not losses, metadata={"formats": len(found), **losses})


@dg.asset_check(asset="search_document", partitions_def=media_files)
def transcript_can_be_found(
    context: dg.AssetCheckExecutionContext,
    search_document: SearchDocument,
    ledger: dg.ResourceParam[Engine],
    search: dg.ResourceParam[Search],
) -> dg.AssetCheckResult:
    """The index, asked for everything of this file, finds as many segments as the transcript has."""
    transcript = transcripts.load(ledger, search_document.transcript_id)
    expected = len(passages(transcript, {}))
    try:
        found = search.index.search(
            Query(files=frozenset({context.partition_key}), kinds=frozenset({"segment"})), Scope.everything()
        )
    except PipelineError as error:
        return dg.AssetCheckResult(
            passed=False, severity=dg.AssetCheckSeverity.WARN, metadata={"failure": error.sentence}
        )
    return dg.AssetCheckResult(
        passed=found.total_hits == expected,
        severity=dg.AssetCheckSeverity.WARN,  # the transcript is there, and reconciliation mends the index
        metadata={"segments": expected, "found": found.total_hits},
    )


all_checks = [
    audio_is_whole,
    language_is_certain,
    given_transcript_fits,
    words_in_order,
    speech_is_covered,
    transcript_is_usable,
    few_doubts,
    speakers_are_plausible,
    version_became_current,
    exports_are_lossless,
    transcript_can_be_found,
]
