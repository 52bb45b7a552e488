"""Which sidecar belongs to which recording: the rule, and that a listing in pieces comes to the same end."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcribe_pipeline.resources import sidecars
from transcribe_pipeline.resources.listing import Entry
from transcribe_pipeline.resources.sidecars import Placed, before_range, is_sidecar, place
from transcribe_pipeline.text.languages import LANGUAGES

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def placed(keys: Iterable[str], after: str | None = None) -> list[Placed]:
    listed = sorted(key for key in keys if after is None or key > after)
    return list(place((Entry(key, "e", 1, NOW, readable=True) for key in listed), after))


def beside(keys: Iterable[str], after: str | None = None) -> dict[str, tuple[str, ...] | None]:
    """Recording -> its sidecars."""
    return {
        each.entry.key: each.sidecars and tuple(entry.key for entry in each.sidecars)
        for each in placed(keys, after)
        if each.role == "recording"
    }


def orphans(keys: Iterable[str]) -> list[str]:
    return [each.entry.key for each in placed(keys) if each.role == "orphan"]


# --- the rule -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["a.mp4.options.yaml", "a.options.yml", "a.SRT", "a.mp4.vtt", "a.Options.YAML", "options.srt"]
)
def test_sidecars_are_told_by_their_names(name: str):
    assert is_sidecar(f"uploads/ann/{name}")


@pytest.mark.parametrize("name", ["a.mp4", "a.yaml", "options.yaml", "srt", "a.srt.mp4", "a.options.yaml.mp3"])
def test_everything_else_may_be_a_recording(name: str):
    assert not is_sidecar(f"uploads/ann/{name}")


@pytest.mark.parametrize(
    ("names", "transcript"),
    [
        (["a.srt"], "a.srt"),
        (["a.vtt"], "a.vtt"),
        (["a.mp4.srt", "a.srt"], "a.mp4.srt"),
        (["a.mp4.vtt", "a.srt"], "a.mp4.vtt"),
        (["a.srt", "a.vtt"], "a.srt"),
        (["a.en.srt", "a.de.srt"], "a.de.srt"),
        (["a.en.srt", "a.srt"], "a.srt"),
        (["a.mp4.en.srt", "a.de.srt"], "a.mp4.en.srt"),
        (["a.pt-BR.srt"], "a.pt-BR.srt"),
        (["A.srt"], None),
        (["a.part.srt"], None),
        (["a.wav.srt"], None),
        (["b.srt", "aa.srt", "a (1).srt"], None),
    ],
)
def test_the_transcript_of_a_recording(names: list[str], transcript: str | None):
    assert beside(["a.mp4", *names])["a.mp4"] == (() if transcript is None else (transcript,))


def test_options_name_their_recording_in_full():
    keys = ["a.mp4", "a.mp4.options.yaml", "a.mp4.options.yml", "a.options.yaml", "a.srt"]
    assert beside(keys) == {"a.mp4": ("a.mp4.options.yaml", "a.srt")}
    assert orphans(keys) == ["a.options.yaml"]


def test_a_sidecar_belongs_to_whom_it_names_best():
    keys = ["talk.mp4", "talk.en.mp4", "talk.en.srt", "talk.wav", "talk.wav.srt", "talk.de.srt"]
    assert beside(keys) == {
        "talk.en.mp4": ("talk.en.srt",),
        "talk.mp4": ("talk.de.srt",),
        "talk.wav": ("talk.wav.srt",),
    }


def test_one_transcript_may_serve_two_recordings():
    assert beside(["talk.mp4", "talk.wav", "talk.srt"]) == {"talk.mp4": ("talk.srt",), "talk.wav": ("talk.srt",)}


def test_a_recording_without_an_extension():
    keys = ["talk", "talk (1)", "talk (1).srt", "talk-2.mp4", "talk.mp4", "talk.srt", "talk.options.yaml"]
    assert beside(keys) == {
        "talk": ("talk.options.yaml", "talk.srt"),
        "talk (1)": ("talk (1).srt",),
        "talk-2.mp4": (),
        "talk.mp4": (),
    }


def test_folders_keep_to_themselves():
    keys = ["ann/a.mp4", "ann/a.d/b.srt", "ann/a.d/a.srt", "bob/a.srt", "a.srt", "ann.srt"]
    assert beside(keys) == {"ann/a.mp4": ()}
    assert sorted(orphans(keys)) == sorted(keys[1:])


# --- in pieces ------------------------------------------------------------------------------------------------------

parts = st.lists(st.sampled_from(["a", "b", "en", "de", "mp4", "wav", "1"]), min_size=1, max_size=3).map(".".join)
suffixes = st.sampled_from(["", "", "", ".srt", ".vtt", ".options.yaml", " (1)", "-b", "/a.mp4", "/a.srt"])
keys_strategy = st.sets(st.builds(lambda name, suffix: f"u/{name}{suffix}", parts, suffixes), max_size=20)


def naive(keys: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The rule, word by word, with all keys at hand."""
    recordings = [key for key in keys if not is_sidecar(key)]

    def stem(key: str) -> str:
        folder, _, name = key.rpartition("/")
        return f"{folder}/{name.rpartition('.')[0] or name}"

    def rank(key: str, recording: str) -> int | None:
        if key.endswith(".options.yaml"):
            return 0 if key.removesuffix(".options.yaml") == recording else None
        base, bare = key[:-4], key[:-4].rpartition(".")
        names = [base, base, bare[0], bare[0]] if bare[2] in LANGUAGES and not bare[0].endswith("/") else [base, base]
        for number, (name, own) in enumerate(zip(names, [recording, stem(recording)] * 2, strict=False)):
            if name == own and not (number % 2 and own == recording):
                return number
        return None

    found = {}
    for recording in recordings:
        own = []
        for key in filter(is_sidecar, keys):
            ranks = [each for other in recordings if (each := rank(key, other)) is not None]
            if (mine := rank(key, recording)) is not None and mine == min(ranks):
                own.append((mine, key))
        ordered = [key for _, key in sorted(own)]
        options = [key for key in ordered if key.endswith(".yaml")][:1]
        found[recording] = (*options, *[key for key in ordered if not key.endswith(".yaml")][:1])
    return found


@given(keys_strategy)
def test_a_listing_as_it_passes_by_knows_what_hindsight_knows(keys: set[str]):
    assert beside(keys) == naive(sorted(keys))
    assert [each.entry.key for each in placed(keys)] == sorted(keys)


@given(keys_strategy)
def test_going_on_from_a_safe_place_forgets_nothing(keys: set[str]):
    whole = beside(keys)
    for each in placed(keys):
        if each.is_safe:
            rest = beside(keys, after=each.entry.key)
            for key, found in rest.items():
                assert found in (whole[key], None), "wrong is worse than not knowing"


@given(keys_strategy, st.text("abe.mp4/ (1)-u", max_size=6))
def test_going_on_from_any_place_says_nothing_wrong(keys: set[str], after: str):
    whole = beside(keys)
    for key, found in beside(keys, after=f"u/{after}").items():
        assert found in (whole[key], None)


@given(keys_strategy)
def test_one_recording_is_known_from_its_range_alone(keys: set[str]):
    whole = beside(keys)
    for key in whole:
        assert beside(keys, after=before_range(key))[key] == whole[key]


def test_a_usual_folder_is_safe_everywhere():
    keys = [f"u/{number:04}.mp4{suffix}" for number in range(50) for suffix in ("", ".srt", ".options.yaml")]
    found = placed(keys)
    assert [each.entry.key for each in found if each.is_safe] == [key for key in sorted(keys) if key.endswith(".srt")]


def test_a_flood_within_the_range_of_one_recording_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sidecars, "_MAX_WAITING", 10)
    flood = [f"u/a.m{number:03}.mp4" for number in range(100)]
    found = beside(["u/a.aac", *flood, "u/a.srt", "u/b.mp4", "u/b.srt"])
    assert found["u/a.aac"] is None, "its sidecars may lie beyond what can be remembered"
    assert found["u/b.mp4"] == ("u/b.srt",)
    assert set(found) == {"u/a.aac", "u/b.mp4", *flood}
