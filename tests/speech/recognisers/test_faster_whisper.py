"""The default engine on real speech: hints, second looks, and several calls at a time."""

from dataclasses import replace

import pytest

from tests.speech.recognisers.conftest import JFK, PRINTERS
from tests.speech.recognisers.heard import spoken, words_of
from transcribe_pipeline.media.samples import SAMPLE_RATE
from transcribe_pipeline.speech import bundled, models
from transcribe_pipeline.speech.recogniser import Request, Samples
from transcribe_pipeline.speech.recognisers.faster_whisper import FasterWhisper, workers_for

ENGLISH = Request("en")


def test_vocabulary_and_prompt_reach_whisper(whisper: FasterWhisper, printing: Samples):
    whole = [(0.0, printing.size / SAMPLE_RATE)]

    def misheard(request: Request) -> set[str]:
        said = " ".join(spoken(words_of(whisper.recognise(printing, whole, request))))
        return {name for name in PRINTERS if name.lower() not in said}

    assert misheard(ENGLISH) >= {"Sweynheim", "Pannartz"}
    assert misheard(Request("en", vocabulary=PRINTERS[:1], prompt=f"It is by {PRINTERS[1]}.")) <= {"Subiaco"}


def test_several_calls_at_a_time_hear_the_same_in_the_same_order(whisper: FasterWhisper, jfk: Samples, tmp_path):
    """Five groups for two workers, one of them without speech."""
    groups = [(0.0, 2.5), (3.0, 5.6), (5.7, 7.8), (7.9, 11.0), (2.45, 3.05)]
    groups.sort()
    assert bundled.whisper_base(tmp_path)
    loaded = models.load_whisper("base", "cpu", "int8", 2, tmp_path, workers=2)
    several = FasterWhisper(loaded, "base", beam_size=1, batch_size=2, workers=2)
    alone = list(replace(whisper, batch_size=2).recognise(jfk, groups, ENGLISH))
    together = list(several.recognise(jfk, groups, ENGLISH))
    assert [group for group, _ in together] == groups
    assert [(group, [s.text for s in found]) for group, found in together] == [
        (group, [s.text for s in found]) for group, found in alone
    ]
    assert spoken(words_of(iter(together)))[-7:] == JFK[-7:]
    languages = several.detect_language([jfk[: 4 * SAMPLE_RATE], jfk[5 * SAMPLE_RATE :]])
    assert [max(found, key=lambda code: found[code]) for found in languages] == ["en", "en"]


def test_giving_up_early_stops_the_rest(whisper: FasterWhisper, jfk: Samples):
    running = replace(whisper, batch_size=1).recognise(jfk, [(0.0, 2.5), (3.0, 5.6), (5.7, 11.0)], ENGLISH)
    group, _ = next(running)
    running.close()
    assert group == (0.0, 2.5)
    with pytest.raises(StopIteration):
        next(running)


@pytest.mark.parametrize(
    ("device", "threads", "seconds", "workers"),
    [("cpu", 2, 300.0, 2), ("cpu", 16, 300.0, 4), ("cpu", 1, 300.0, 1), ("cpu", 8, 29.0, 1), ("cuda", 8, 300.0, 1)],
)
def test_workers_where_they_pay(device, threads, seconds, workers):
    assert workers_for(device, threads, seconds) == workers
