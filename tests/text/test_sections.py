"""Whatever the transcript: every segment in one section, none too large, no section too many."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.export.transcripts import timed, transcript_of
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.text import cuts
from transcribe_pipeline.text.sections import sections


def monologue(segments, speakers="A"):
    return transcript_of([(speakers[i % len(speakers)], timed("word", start=i * 0.3)) for i in range(segments)])


def sizes(made, costs):
    return [sum(costs[section.first_segment : section.last_segment + 1]) for section in made]


@given(st.lists(st.integers(0, 20), max_size=60), st.integers(20, 90), st.sampled_from(["A", "AB", "AAAB", "AAAAAAB"]))
def test_every_segment_is_in_one_section_and_there_are_as_few_as_can_be(costs, tokens, speakers):
    made = sections(monologue(len(costs), speakers), tokens=tokens, cost=costs.__getitem__)
    assert [i for first, last in made for i in range(first, last + 1)] == list(range(len(costs)))
    assert all(size <= tokens for size in sizes(made, costs))
    fewest, room = 0, -1
    for cost in costs:
        if cost > room:
            fewest, room = fewest + 1, tokens
        room -= cost
    assert len(made) == fewest


@given(st.integers(1, 400), st.integers(1, 90))
def test_sections_are_of_like_size(segments, tokens):
    made = sections(monologue(segments), tokens=tokens, cost=lambda _: 1)
    shares = sizes(made, [1] * segments)
    assert max(shares) - min(shares) <= 1


def test_a_cut_is_where_the_speaker_changes():
    # 60 segments in two sections: an even cut is after 30, and B takes over after 27.
    transcript = transcript_of([("A" if i < 27 else "B", timed("word", start=i * 0.3)) for i in range(60)])
    assert [tuple(section) for section in sections(transcript, tokens=40, cost=lambda _: 1)] == [(0, 26), (27, 59)]
    # Too far away, it would make two very unlike sections.
    transcript = transcript_of([("A" if i < 21 else "B", timed("word", start=i * 0.3)) for i in range(60)])
    assert [tuple(section) for section in sections(transcript, tokens=40, cost=lambda _: 1)] == [(0, 29), (30, 59)]


def test_where_to_cut_can_be_told():
    strengths = [cuts.SEGMENT_END] * 60
    strengths[32] = 1.0
    made = sections(monologue(60, "AB"), tokens=40, cost=lambda _: 1, strengths=strengths)
    assert [tuple(section) for section in made] == [(0, 32), (33, 59)]


def test_a_segment_larger_than_the_context_is_refused():
    with pytest.raises(PipelineError) as refused:
        sections(monologue(3), tokens=10, cost=[1, 11, 1].__getitem__)
    assert refused.value.code is ErrorCode.LANGUAGE_MODEL_REFUSED
    assert refused.value.detail == "segment 1 has 11 tokens; the context has room for 10"


def test_ten_hours_are_asked_about_once_each():
    asked = []
    made = sections(monologue(10_000, "AAB"), tokens=900, cost=lambda i: asked.append(i) or 12)
    assert asked == list(range(10_000))
    assert len(made) == 134  # 75 segments each at most
