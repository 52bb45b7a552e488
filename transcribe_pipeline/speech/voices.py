"""Which known voice a speaker is: centroids of confirmed samples, and cosine similarity to them. Pure computation.

What belongs here: embeddings, and what may be concluded from them. What does not: who confirmed what, which is the
ledger's (`ledger/voices.py`). Nothing here learns: a match never changes a centroid.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from transcribe_pipeline.artifacts import IdentifiedSpeaker, TranscriptSpeaker
from transcribe_pipeline.settings import Settings

Vector = NDArray[np.float64]

MIN_TALK_SECONDS = 3.0
"""Below this a voice is at most suggested. Caution, not a measured limit (pairs of 2.7 s were as similar as long ones):
so little talk is one or two pieces for the embedding, and often the edge of somebody else's turn."""
MAX_WEIGHT_SECONDS = 60.0
"""A sample counts by its talk time up to here: an hour on one microphone must not outvote every other room."""


@dataclass(frozen=True)
class Thresholds:
    """When a voice is taken for a known one. Cosine similarities; see the settings of the same names."""

    auto: float
    suggest: float
    margin: float

    @classmethod
    def of(cls, configured: Settings) -> "Thresholds":
        return cls(configured.voice_auto_similarity, configured.voice_suggest_similarity, configured.voice_margin)


@dataclass(frozen=True)
class VoiceSample:
    """One speaker of one transcript."""

    embedding_model: str
    embedding: Sequence[float]
    seconds: float
    """Talk time."""


@dataclass(frozen=True)
class KnownVoice:
    profile_id: str
    name: str
    centroids: Mapping[str, Vector]
    """Embedding model -> unit vector."""


def centroids(samples: Iterable[VoiceSample]) -> dict[str, Vector]:
    """Embedding model -> mean direction of its samples (unit vector), weighted by talk time.

    Samples without a usable embedding are left out; among those of one model, so are all that have not the size that
    most talk time has.
    """
    weighted: dict[tuple[str, int], list[tuple[float, Vector]]] = defaultdict(list)
    for sample in samples:
        direction = unit(sample.embedding)
        if direction is not None:
            weight = max(min(sample.seconds, MAX_WEIGHT_SECONDS), 0.1)
            weighted[sample.embedding_model, len(direction)].append((weight, direction))
    found: dict[str, Vector] = {}
    heaviest: dict[str, float] = {}
    for (model, _size), pairs in weighted.items():
        weight = sum(weight for weight, _ in pairs)
        mean = unit(np.sum([weight * direction for weight, direction in pairs], axis=0))
        if mean is not None and weight > heaviest.get(model, 0.0):
            heaviest[model], found[model] = weight, mean
    return found


def unit(embedding: Sequence[float] | Vector) -> Vector | None:
    """The embedding as a unit vector; None for one that is empty, zero or not finite."""
    vector = np.asarray(embedding, dtype=np.float64)
    norm = float(np.linalg.norm(vector))
    return vector / norm if np.isfinite(norm) and norm > 1e-9 else None


class Gallery:
    """The voices that an owner knows, ready to be compared with many speakers."""

    def __init__(self, voices: Iterable[KnownVoice]) -> None:
        self._voices = {voice.profile_id: voice for voice in voices}
        rows: dict[tuple[str, int], list[tuple[Vector, KnownVoice]]] = defaultdict(list)
        for voice in self._voices.values():
            for model, centroid in voice.centroids.items():
                rows[model, len(centroid)].append((centroid, voice))
        # Embedding model and size -> centroids, a row each, and whose they are.
        self._centroids = {
            key: (np.stack([row for row, _ in found]), [voice for _, voice in found]) for key, found in rows.items()
        }

    def __getitem__(self, profile_id: str) -> KnownVoice:
        return self._voices[profile_id]

    def nearest(
        self, embedding: Sequence[float], embedding_model: str
    ) -> tuple[KnownVoice, float, float | None] | None:
        """The most similar voice, its cosine similarity, and how much less similar the second-best is.

        None if the embedding is of no use, or no voice has a centroid of that model and size.
        """
        direction = unit(embedding)
        if direction is None or (embedding_model, len(direction)) not in self._centroids:
            return None
        rows, voices = self._centroids[embedding_model, len(direction)]
        similarities = np.clip(rows @ direction, -1.0, 1.0)
        first = int(np.argmax(similarities))
        best = float(similarities[first])
        similarities[first] = -np.inf
        margin = best - float(similarities.max()) if len(voices) > 1 else None
        return voices[first], best, margin


def identify(
    speakers: Sequence[TranscriptSpeaker],
    embedding_model: str | None,
    gallery: Gallery,
    thresholds: Thresholds,
    *,
    confirmed: Mapping[str, str],
) -> tuple[IdentifiedSpeaker, ...]:
    """What the gallery says about each speaker of one transcript, in their order.

    `confirmed` maps labels of this very transcript to the profiles that a person gave them: those win. A voice names at
    most one other speaker by itself, the most similar one, and none where a person has already said who it is; further
    speakers like it are suggestions, since diarization may have split a person in two, or two people sound alike.
    """
    found = [_identity(speaker, embedding_model, gallery, thresholds, confirmed) for speaker in speakers]
    taken = {each.profile_id for each in found if each.band == "confirmed"}
    by_similarity = sorted(range(len(found)), key=lambda n: -(found[n].similarity or 0.0))
    for n in by_similarity:
        if found[n].band != "auto":
            continue
        if found[n].profile_id in taken:
            found[n] = found[n].model_copy(update={"band": "suggested"})
        taken.add(found[n].profile_id)
    return tuple(found)


def _identity(
    speaker: TranscriptSpeaker,
    embedding_model: str | None,
    gallery: Gallery,
    thresholds: Thresholds,
    confirmed: Mapping[str, str],
) -> IdentifiedSpeaker:
    """One speaker, as if alone in the recording."""
    if speaker.label in confirmed:
        voice = gallery[confirmed[speaker.label]]
        return IdentifiedSpeaker(label=speaker.label, band="confirmed", profile_id=voice.profile_id, name=voice.name)
    nearest = gallery.nearest(speaker.embedding, embedding_model) if embedding_model else None
    if nearest is None:
        return IdentifiedSpeaker(label=speaker.label, band="none")
    voice, similarity, margin = nearest
    band = _band(speaker.seconds, similarity, margin, thresholds)
    return IdentifiedSpeaker(
        label=speaker.label,
        band=band,
        profile_id=None if band == "none" else voice.profile_id,
        name=None if band == "none" else voice.name,
        similarity=round(similarity, 4),
        margin=None if margin is None else round(margin, 4),
    )


def _band(
    talk_seconds: float, similarity: float, margin: float | None, thresholds: Thresholds
) -> Literal["auto", "suggested", "none"]:
    if similarity < thresholds.suggest:
        return "none"
    clear = margin is None or margin >= thresholds.margin
    if similarity >= thresholds.auto and clear and talk_seconds >= MIN_TALK_SECONDS:
        return "auto"
    return "suggested"
