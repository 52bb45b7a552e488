"""From clean audio to speaker-labelled words."""

from collections.abc import Callable

import dagster as dg
from sqlalchemy import Engine

from transcribe_pipeline.artifacts import (
    Alignment,
    Audio,
    Diarization,
    GivenTranscript,
    Options,
    Transcript,
    Transcription,
)
from transcribe_pipeline.assets.common import code_version, media_asset
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import leases
from transcribe_pipeline.resources.artifact_store import ArtifactStore, content_id
from transcribe_pipeline.resources.checkpoints import WindowCheckpoints
from transcribe_pipeline.resources.object_store import ObjectStore
from transcribe_pipeline.resources.recordings import Recordings
from transcribe_pipeline.resources.speech_models import SpeechModels
from transcribe_pipeline.settings import settings
from transcribe_pipeline.stage import Stage, translate

# One speech model at a time on a machine: two would share the same cores or the same GPU, and double the memory.
SPEECH_POOL = "speech"

_ENGINE_FAILURES = frozenset(
    {ErrorCode.ENGINE_MISSING, ErrorCode.MODEL_UNAVAILABLE, ErrorCode.OUT_OF_MEMORY, ErrorCode.INTERNAL}
)
"""What costs the speakers but not the transcript. A store or database that does not answer would cost both."""
_LAST_ATTEMPT = 3
"""The first run and two more, of Dagster's retries (dagster.yaml) or of recovery."""


@dg.asset(
    **media_asset("transcription", "speech", "whisper"),
    pool=SPEECH_POOL,
    code_version=code_version(2),
)
def transcription(
    context: dg.AssetExecutionContext,
    audio: Audio,
    options: Options,
    ledger: dg.ResourceParam[Engine],
    store: dg.ResourceParam[ObjectStore],
    recordings: dg.ResourceParam[Recordings],
    speech: dg.ResourceParam[SpeechModels],
) -> Transcription:
    """Recognised words with times and probabilities, and the language. Without speech there are no words.

    Finished windows of a long recording are kept: a run that follows a crash or a cancel goes on after them.
    """
    from transcribe_pipeline.speech import recognise

    with Stage(context, ledger) as stage:
        checkpoints = WindowCheckpoints(
            ArtifactStore(store, settings().artifacts_prefix),
            context.partition_key,
            content_id(stage.claim.sha256 or ""),
            audio,
            options,
            lambda: leases.check(ledger, stage.claim),
        )
        recogniser = speech.recogniser(options, audio.seconds, rung=checkpoints.rung, on_step=checkpoints.remember_rung)
        asked = recognise.Asked(options.language or None, options.vocabulary, options.prompt, options.translate)
        if options.translate and not recogniser.translates:
            raise PipelineError(ErrorCode.BAD_OPTIONS, f"translate: {options.recogniser} {options.model} cannot")
        stage.loaded()
        if audio.channels:
            channels = [(channel.label, recordings.flac(channel)) for channel in audio.channels]
            heard = recognise.recognise_channels(
                channels,
                audio.seconds,
                recogniser,
                asked,
                stage.progress,
                window_seconds=settings().window_seconds,
                checkpoints=checkpoints.of_channel,
                speech=speech.speech_by_channel(dict(channels), audio.seconds),
            )
        else:
            flac = recordings.flac(audio)
            heard = recognise.recognise(
                flac,
                audio.seconds,
                recogniser,
                asked,
                stage.progress,
                window_seconds=settings().window_seconds,
                checkpoints=checkpoints,
            )
        stage.report(
            audio_seconds=audio.seconds,
            rtf=stage.rtf(audio.seconds),
            words=sum(len(segment.words) for segment in heard.segments),
            language=heard.language,
            language_probability=heard.language_probability,
            speech_seconds=round(sum(end - start for start, end in heard.speech), 3),
            reconsidered_seconds=heard.reconsidered_seconds,
            resumed_windows=checkpoints.resumed_windows,
            model=f"{heard.engine}/{heard.model}",
        )
        return heard


@dg.asset(**media_asset("given_transcript", "speech", "python"), code_version=code_version(1))
def given_transcript(
    context: dg.AssetExecutionContext,
    options: Options,
    transcription: Transcription,
    ledger: dg.ResourceParam[Engine],
    store: dg.ResourceParam[ObjectStore],
) -> GivenTranscript:
    """The .srt or .vtt that lies beside the recording, proven to belong to it, its times fitted to the audio.

    Where there is one its text is kept, and what the recogniser heard serves to find it in the audio.
    """
    from transcribe_pipeline.speech import given

    with Stage(context, ledger) as stage:
        sidecar = options.given_transcript
        if sidecar is None:
            stage.report(cues=0)
            return GivenTranscript()
        cues = given.parse(store.read_sidecar(sidecar, max_bytes=given.MAX_BYTES), sidecar.object_key)
        fitted = given.fit(cues, transcription, transcription.audio_seconds, object_key=sidecar.object_key)
        stage.report(
            cues=len(fitted.cues),
            match=fitted.match or 0.0,
            offset_seconds=fitted.offset_seconds,
            drift=fitted.drift,
            doubtful_cues=len(fitted.doubtful_cues),
            doubtful=dg.MetadataValue.md(_cue_table(fitted)),
        )
        return fitted


def _cue_table(given: GivenTranscript) -> str:
    """Numbers and times of the doubtful cues; not their text, which stays out of the event log."""
    doubtful = set(given.doubtful_cues)
    rows = [f"| {c.number} | {c.start:.2f} | {c.end:.2f} |" for c in given.cues if c.number in doubtful]
    return "\n".join(["| cue | start (s) | end (s) |", "|---|---|---|", *rows[:200]])


@dg.asset(
    **media_asset("alignment", "speech", "pocketsphinx"),
    pool=SPEECH_POOL,
    code_version=code_version(1, "alignment_model"),
)
def alignment(
    context: dg.AssetExecutionContext,
    audio: Audio,
    options: Options,
    transcription: Transcription,
    given_transcript: GivenTranscript,
    ledger: dg.ResourceParam[Engine],
    recordings: dg.ResourceParam[Recordings],
    speech: dg.ResourceParam[SpeechModels],
) -> Alignment:
    """Words with the best times at hand: forced alignment where an aligner knows the language, and says so if not."""
    from transcribe_pipeline.speech import align

    with Stage(context, ledger) as stage:
        segments = given_transcript.segments or transcription.segments
        aligner, reason = speech.aligner(options, transcription.language)
        stage.loaded()
        channels = {channel.label: channel for channel in audio.channels}
        placed = align.align(
            segments,
            aligner,
            reason,
            audio_of=lambda label: recordings.flac(channels.get(label or "", audio)),
            audio_seconds=audio.seconds,
            on_progress=stage.progress,
        )
        stage.report(
            audio_seconds=audio.seconds,
            rtf=stage.rtf(audio.seconds),
            words=sum(len(segment.words) for segment in placed.segments),
            aligned_words=placed.aligned_words,
            aligner=placed.aligner,
            reason=placed.reason,
        )
        return placed


@dg.asset(
    **media_asset("diarization", "speech", "pytorch"),
    pool=SPEECH_POOL,
    code_version=code_version(2, "pyannote_pipeline"),
)
def diarization(
    context: dg.AssetExecutionContext,
    audio: Audio,
    options: Options,
    ledger: dg.ResourceParam[Engine],
    recordings: dg.ResourceParam[Recordings],
    speech: dg.ResourceParam[SpeechModels],
) -> Diarization:
    """Who spoke when: turns with overlap, exclusive turns for giving words to speakers, a voice embedding per speaker.

    An engine that fails costs the speakers, never the transcript: the file goes on without, and says so.
    """
    with Stage(context, ledger) as stage:
        found = _without_speakers_rather_than_not_at_all(
            context, stage, options, lambda: speech.diarize(options, audio, recordings, stage.progress)
        )
        recordings.discard_flac(audio)
        for channel in audio.channels:
            recordings.discard_flac(channel)
        stage.report(
            audio_seconds=audio.seconds,
            rtf=stage.rtf(audio.seconds),
            speakers=len({turn.speaker for turn in found.turns}),
            turns=len(found.turns),
            model=f"{found.engine}/{found.model}",
        )
        return found


def _without_speakers_rather_than_not_at_all(
    context: dg.AssetExecutionContext, stage: Stage, options: Options, diarize: Callable[[], Diarization]
) -> Diarization:
    try:
        # Retries by Dagster are attempts at one generation; recovery makes another generation for each try.
        attempts = max(stage.claim.attempts, stage.claim.tries)
        if attempts >= _LAST_ATTEMPT and stage.claim.stage == stage.name:
            # Killed twice in this very stage, most likely for its memory: the last run brings the transcript home.
            raise PipelineError(ErrorCode.OUT_OF_MEMORY, "two runs were killed while they told speakers apart")
        return diarize()
    except Exception as error:
        failure = translate(error)
        if failure.code not in _ENGINE_FAILURES:
            raise
        if failure.code is ErrorCode.INTERNAL:
            context.log.exception("Unexpected error in diarization")
        stage.degrade(failure)
        return Diarization(
            engine=options.diarizer, model="failed", turns=(), exclusive_turns=(), failure=failure.sentence
        )


@dg.asset(**media_asset("transcript", "speech", "python"), code_version=code_version(2))
def transcript(
    context: dg.AssetExecutionContext,
    transcription: Transcription,
    given_transcript: GivenTranscript,
    alignment: Alignment,
    diarization: Diarization,
    ledger: dg.ResourceParam[Engine],
) -> Transcript:
    """Speaker-labelled words, sentences and paragraphs, with honest quality figures and doubts marked."""
    from transcribe_pipeline.export.picture import as_markdown_image, markdown_preview
    from transcribe_pipeline.export.plots import all_plots
    from transcribe_pipeline.speech.assign import build_transcript

    with Stage(context, ledger) as stage:
        result = build_transcript(transcription, alignment, diarization, given_transcript)
        figures = result.quality
        stage.report(
            audio_seconds=result.audio_seconds,
            words=len(result.words),
            segments=len(result.segments),
            speakers=len(result.speakers),
            mean_confidence=figures.mean_confidence or 0.0,
            low_confidence_words=figures.low_confidence_words,
            doubtful_segments=figures.doubtful_segments,
            doubtful_seconds=figures.doubtful_seconds,
            repeated_words=figures.repeated_words,
            words_per_second=figures.words_per_second or 0.0,
            overlap_seconds=figures.overlap_seconds,
            no_speech=result.no_speech,
            preview=dg.MetadataValue.md(markdown_preview(result)),
            **{
                name.replace("-", "_"): dg.MetadataValue.md(as_markdown_image(plot.png(), name.replace("-", " ")))
                for name, plot in all_plots(result).items()
            },
        )
        return result
