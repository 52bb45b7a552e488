"""From clean audio to speaker-labelled words."""

import dagster as dg
from sqlalchemy import Engine

from transcribe_pipeline.artifacts import Audio, Diarization, Transcript, Transcription
from transcribe_pipeline.assets.common import code_version, media_asset
from transcribe_pipeline.resources.recordings import Recordings
from transcribe_pipeline.resources.speech_models import SpeechModels
from transcribe_pipeline.speech.assign import build_transcript
from transcribe_pipeline.stage import Stage

# One speech model at a time on a machine: two would share the same cores or the same GPU, and double the memory.
SPEECH_POOL = "speech"


@dg.asset(
    **media_asset("transcription", "speech", "whisper"),
    pool=SPEECH_POOL,
    code_version=code_version(1, "whisper_model", "whisper_compute_type", "whisper_beam_size", "language"),
)
def transcription(
    context: dg.AssetExecutionContext,
    audio: Audio,
    ledger: dg.ResourceParam[Engine],
    recordings: dg.ResourceParam[Recordings],
    speech: dg.ResourceParam[SpeechModels],
) -> Transcription:
    """Recognised words with times and probabilities, and the language. Without speech there are no words."""
    with Stage(context, ledger) as stage:
        recogniser = speech.recogniser()
        stage.loaded()
        heard = recogniser.transcribe(recordings.flac(audio), audio.seconds, stage.progress)
        stage.report(
            audio_seconds=audio.seconds,
            rtf=stage.rtf(audio.seconds),
            words=sum(len(segment.words) for segment in heard.segments),
            language=heard.language,
            language_probability=heard.language_probability,
            speech_seconds=sum(end - start for start, end in heard.speech),
            model=f"{heard.engine}/{heard.model}",
        )
        return heard


@dg.asset(
    **media_asset("diarization", "speech", "pytorch"),
    pool=SPEECH_POOL,
    code_version=code_version(1, "diarizer", "pyannote_pipeline"),
)
def diarization(
    context: dg.AssetExecutionContext,
    audio: Audio,
    ledger: dg.ResourceParam[Engine],
    recordings: dg.ResourceParam[Recordings],
    speech: dg.ResourceParam[SpeechModels],
) -> Diarization:
    """Who spoke when: turns, exclusive turns for giving words to speakers, one voice embedding per speaker."""
    with Stage(context, ledger) as stage:
        diarizer = speech.diarizer()
        stage.loaded()
        found = diarizer.diarize(recordings.flac(audio), audio.seconds)
        recordings.discard_flac(audio)
        stage.report(
            audio_seconds=audio.seconds,
            rtf=stage.rtf(audio.seconds),
            speakers=len({turn.speaker for turn in found.turns}),
            turns=len(found.turns),
            model=f"{found.engine}/{found.model}",
        )
        return found


@dg.asset(**media_asset("transcript", "speech", "python"), code_version=code_version(1))
def transcript(
    context: dg.AssetExecutionContext,
    transcription: Transcription,
    diarization: Diarization,
    ledger: dg.ResourceParam[Engine],
) -> Transcript:
    """Speaker-labelled words, sentences and paragraphs, with honest quality figures."""
    from transcribe_pipeline.export.picture import as_markdown_image, markdown_preview, speaker_timeline

    with Stage(context, ledger) as stage:
        result = build_transcript(transcription, diarization)
        stage.report(
            audio_seconds=result.audio_seconds,
            words=len(result.words),
            segments=len(result.segments),
            speakers=len(result.speakers),
            mean_confidence=result.quality.mean_confidence or 0.0,
            low_confidence_words=result.quality.low_confidence_words,
            no_speech=result.no_speech,
            preview=dg.MetadataValue.md(markdown_preview(result)),
            who_spoke_when=dg.MetadataValue.md(as_markdown_image(speaker_timeline(result), "who spoke when")),
        )
        return result
