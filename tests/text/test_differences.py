"""What differs between two transcripts: words by time, and who said them."""

import time

from tests.ledger.samples import transcript
from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.text.differences import SpeakerChange, WordChange, compare


def edited(value: Transcript, words: dict[int, str | None], speakers: dict[str, str] | None = None) -> Transcript:
    """Words replaced by position (None: left out), speakers renamed."""
    position = 0
    segments = []
    for segment in value.segments:
        kept = []
        for word in segment.words:
            text = words.get(position, word.text)
            position += 1
            if text is not None:
                kept += [
                    word.model_copy(
                        update={"text": part, "speaker": (speakers or {}).get(word.speaker or "", word.speaker)}
                    )
                    for part in text.split()
                ]
        segments.append(segment.model_copy(update={"words": tuple(kept)}))
    return value.model_copy(update={"segments": tuple(segments)})


def test_a_transcript_does_not_differ_from_itself():
    found = compare(transcript(), transcript())
    assert (found.words, found.speakers, found.same_words) == ((), (), 30)
    assert found.same_speaker == {"SPEAKER_00": "SPEAKER_00", "SPEAKER_01": "SPEAKER_01"}


def test_case_and_punctuation_are_no_difference():
    assert compare(transcript(), edited(transcript(), {0: "hello,", 1: "WORD1.", 2: "«word2»"})).words == ()


def test_words_that_came_went_or_changed_have_their_time():
    old = transcript()
    found = compare(old, edited(old, {3: "ward3", 12: None, 20: "Hello there my", 29: None}))
    assert found.words == (
        WordChange(1.5, 1.9, ("word3",), ("ward3",)),
        WordChange(6.0, 6.4, ("word2",), ()),
        WordChange(10.0, 10.4, (), ("there", "my")),
        WordChange(14.5, 14.9, ("word9",), ()),
    )
    assert found.same_words == 27


def test_renamed_speakers_are_the_same_people():
    old = transcript()
    found = compare(old, edited(old, {}, {"SPEAKER_00": "SPEAKER_01", "SPEAKER_01": "SPEAKER_00"}))
    assert found.speakers == ()
    assert found.same_speaker == {"SPEAKER_00": "SPEAKER_01", "SPEAKER_01": "SPEAKER_00"}


def test_words_given_to_somebody_else_are_told_as_one_run():
    old = transcript(4)
    new = old.model_copy(
        update={
            "segments": (
                *old.segments[:3],
                old.segments[3].model_copy(
                    update={
                        "words": tuple(
                            word.model_copy(update={"speaker": "SPEAKER_00"}) if n < 4 else word
                            for n, word in enumerate(old.segments[3].words)
                        )
                    }
                ),
            )
        }
    )
    assert compare(old, new).speakers == (SpeakerChange(15.0, 16.9, 4, "SPEAKER_01", "SPEAKER_00"),)


def test_without_speakers_everything_is_said_by_nobody():
    old = transcript(2)
    silent = old.model_copy(
        update={
            "segments": tuple(
                segment.model_copy(
                    update={"words": tuple(word.model_copy(update={"speaker": None}) for word in segment.words)}
                )
                for segment in old.segments
            )
        }
    )
    assert [(each.before, each.after, each.words) for each in compare(old, silent).speakers] == [
        ("SPEAKER_00", None, 10),
        ("SPEAKER_01", None, 10),
    ]


def test_nothing_against_something():
    found = compare(transcript(0), transcript(1))
    assert [len(change.after) for change in found.words] == [10]
    assert compare(transcript(0), transcript(0)).words == ()


def test_ten_hours(capsys):
    """100,000 words of which every fiftieth differs; a soft figure, printed."""
    old = transcript(1_000, words_each=100)
    new = edited(old, {n: f"other{n}" for n in range(0, 100_000, 50)})
    started = time.perf_counter()
    found = compare(old, new)
    with capsys.disabled():
        print(f"\n100,000 words compared in {time.perf_counter() - started:.1f} s")
    assert len(found.words) == 2_000
    assert found.same_words == 98_000
