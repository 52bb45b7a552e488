"""Summaries without a language model: the speakers' own sentences, well chosen."""

import pytest
from hypothesis import given, settings

from tests.export.strategies import transcripts
from tests.insight.recordings import MEETING, meeting, read_aloud, spoken, stm
from transcribe_pipeline.artifacts import Doubt, TranscriptSpeaker
from transcribe_pipeline.insight.grounding import unsupported
from transcribe_pipeline.insight.summary import summary
from transcribe_pipeline.insight.summary.content_type import content_type, talk_shares
from transcribe_pipeline.insight.summary.cues import cued
from transcribe_pipeline.insight.summary.ranking import Ranking
from transcribe_pipeline.insight.summary.templates import load


def offline(transcript, template="other"):
    made, failure = summary(transcript, "t1", models=[], template=load(template))
    assert failure is None
    assert made.made_by.method == "offline"
    assert made.made_by.fallback_reason is None
    return made


class TestMeeting:
    @pytest.fixture(scope="class")
    def told(self):
        return offline(meeting(), "meeting")

    def test_the_bottom_line_is_what_was_decided(self, told):
        assert told.bottom_line.text == "So that's decided, we ship on the seventeenth."
        assert told.bottom_line.segments == (18,)

    def test_every_statement_is_a_quotation(self, told):
        assert unsupported(told, meeting()) == []

    def test_nothing_is_said_twice(self, told):
        said = [told.bottom_line, *told.brief_summary, *told.key_points]
        assert len({each.segments for each in said}) == len(said)

    def test_in_order_of_time(self, told):
        for part in (told.brief_summary, told.key_points, told.decisions, told.action_items, told.follow_ups):
            assert [each.segments for each in part] == sorted(each.segments for each in part)

    def test_action_items(self, told):
        assert [(each.segments[0], each.owner, each.due) for each in told.action_items] == [
            (19, "SPEAKER_00", "today"),
            (30, "SPEAKER_03", None),
            (31, "Helen", "next week"),
            (45, "Priya", "this week"),
            (46, "SPEAKER_01", "tomorrow"),
            (54, "SPEAKER_03", "this afternoon"),
        ]

    def test_follow_ups(self, told):
        assert [each.segments for each in told.follow_ups] == [(35,), (59,)]

    def test_topics_cover_what_they_say(self, told):
        segments = meeting().segments
        for topic in told.major_topics:
            assert topic.title
            for statement in (topic.summary, *topic.key_points):
                assert topic.start <= segments[statement.segments[0]].start < topic.end

    def test_no_sentiment_without_a_lexicon(self, told):
        assert told.sentiment is None

    def test_the_same_each_time(self, told):
        assert offline(meeting(), "meeting") == told


class TestRealTexts:
    def test_a_reading(self, testdata):
        text = (testdata / "syn_en_lj_long" / "syn_en_lj_long.txt").read_text()
        told = offline(read_aloud(text))
        assert "type" in told.bottom_line.text or "letter" in told.bottom_line.text
        assert unsupported(told, read_aloud(text)) == []
        assert (told.content_type, told.decisions, told.action_items) == ("monologue", (), ())

    def test_seven_speakers(self, testdata):
        transcript = stm(testdata / "syn_multi_7spk_text" / "syn_multi_7spk_text.stm")
        told = offline(transcript)
        assert len(told.speakers) == 7
        assert sum(each.talk_share for each in told.speakers) == pytest.approx(1)
        assert unsupported(told, transcript) == []

    def test_small_talk_has_no_decisions(self, testdata):
        told = offline(stm(testdata / "multi_pyannote_sample" / "sample.stm"))
        assert (told.decisions, told.action_items, told.follow_ups) == ((), (), ())

    def test_other_languages(self, testdata):
        for language in ("de", "es"):
            text = (testdata / "lang_librivox_sonnet" / f"{language}.ref.txt").read_text()
            transcript = read_aloud(text, language)
            told = offline(transcript)
            assert told.bottom_line is not None
            assert unsupported(told, transcript) == []


class TestWhatIsNotQuoted:
    def test_doubtful_segments(self):
        transcript = spoken(
            "0 The budget for the bridge is too small, they say.\n0 The bridge needs a budget that is larger."
        )
        doubted = transcript.segments[0].model_copy(update={"doubts": (Doubt.HALLUCINATION,)})
        told = offline(transcript.model_copy(update={"segments": (doubted, transcript.segments[1])}))
        cited = {told.bottom_line.segments, *(each.segments for each in (*told.brief_summary, *told.key_points))}
        assert cited == {(1,)}

    @pytest.mark.parametrize(
        "bad", ["<script>alert(1)</script>", "![x](https://evil.example/x)", "https://evil.example"]
    )
    def test_markup_and_addresses(self, bad):
        told = offline(spoken(f"0 We decided to see {bad} about the budget.\n0 The budget is what we decided to keep."))
        assert "evil" not in told.model_dump_json()
        assert "<script" not in told.model_dump_json()
        assert told.bottom_line.segments == (1,)

    def test_silence(self):
        empty = meeting().model_copy(update={"segments": (), "paragraphs": (), "speakers": ()})
        told = offline(empty)
        assert (told.bottom_line, told.brief_summary, told.major_topics, told.speakers) == (None, (), (), ())

    def test_parts_that_the_template_does_not_want(self):
        told = offline(meeting(), "lecture")
        assert (told.decisions, told.action_items, told.speakers) == ((), (), ())
        assert told.key_points


@given(transcripts())
@settings(max_examples=60, deadline=None)
def test_any_transcript_has_a_summary_that_holds(transcript):
    assert unsupported(offline(transcript), transcript) == []


class TestCues:
    @pytest.mark.parametrize(
        ("said", "owner", "due", "priority"),
        [
            ("I'll send the minutes by Friday.", "SPEAKER_00", "by Friday", None),
            ("I will definitely check that tomorrow, it's urgent.", "SPEAKER_00", "tomorrow", "high"),
            ("Could you please review the contract before Monday?", None, "before Monday", None),
            ("Anna, can you book the room?", "Anna", None, None),
            ("Bob will prepare the slides.", "Bob", None, None),
            ("Please update the page, no rush.", None, None, "low"),
            ("You need to call the bank.", None, None, None),
        ],
    )
    def test_to_be_done(self, said, owner, due, priority):
        (item,) = cued(spoken(f"0 {said}")).action_items
        assert (item.owner, item.due, item.priority) == (owner, due, priority)

    @pytest.mark.parametrize(
        "said",
        [
            "I'll tell you what, that was a great evening.",
            "I'll never call him again.",
            "If I call the bank they just laugh.",
            "I called the bank yesterday.",
            "She said the letter will be sent.",
            "You can book a room there.",
            "Should I call the bank?",
            "I can see the house from here.",
            "May I ask you something?",
        ],
    )
    def test_not_to_be_done(self, said):
        assert cued(spoken(f"0 {said}")).action_items == ()

    @pytest.mark.parametrize(
        "said",
        [
            "We decided to close the shop.",
            "We've agreed that the price stays.",
            "Okay, that's settled then.",
            "The budget has been approved.",
            "We're going with the second offer.",
        ],
    )
    def test_decided(self, said):
        assert len(cued(spoken(f"0 {said}")).decisions) == 1

    @pytest.mark.parametrize(
        "said",
        [
            "We haven't decided on a date.",
            "Have we decided on a date?",
            "If we decided to close it, what then?",
            "They decided to leave.",
            "We might have agreed to that, but didn't.",
        ],
    )
    def test_not_decided(self, said):
        assert cued(spoken(f"0 {said}")).decisions == ()

    def test_in_other_languages_rather_nothing(self):
        assert cued(spoken("0 I will send the minutes by Friday.", "de")) == ((), (), ())


class TestContentType:
    @pytest.mark.parametrize(
        ("lines", "kind"),
        [
            (MEETING, "meeting"),
            ("0 Just me talking to myself about my day and nothing else.", "monologue"),
            ("- Nobody knows who speaks here.", "other"),
            ("0 Hello and welcome to another episode.\n1 Thanks for having me.", "podcast"),
            ("0 Thank you for calling Miller and Sons.\n1 Hi, my phone is broken.", "call"),
            ("0 Hello there, this is a long line.\n1 Hello, yes, I hear you very well.", "call"),
            (
                "\n".join("0 Why is that?\n1 Because it has always been so, as my mother said." for _ in range(5)),
                "interview",
            ),
        ],
    )
    def test_by_simple_evidence(self, lines, kind):
        assert content_type(_with_talk(spoken(lines))) == kind

    def test_shares_are_of_diarized_talk(self):
        assert talk_shares(_with_talk(spoken("0 one two three\n1 one"))) == {"SPEAKER_00": 0.75, "SPEAKER_01": 0.25}


def _with_talk(transcript):
    """Seconds as words, as the builders give everybody one second."""
    speakers = [
        TranscriptSpeaker(label=each.label, words=words, seconds=words)
        for each in transcript.speakers
        for words in [sum(word is not None for s in transcript.segments if s.speaker == each.label for word in s.words)]
    ]
    return transcript.model_copy(update={"speakers": tuple(speakers)})


class TestRanking:
    def test_what_much_is_said_about_comes_first(self):
        lines = ["The bridge over the river needs new steel cables.", "My cousin has a small grey cat at home."]
        lines += [f"The bridge and its steel cables cost {i} thousand more over the river." for i in ("two", "four")]
        assert Ranking(spoken("\n".join(f"0 {line}" for line in lines))).order[-1] == 1

    def test_every_part_of_a_long_recording_can_be_chosen(self):
        other = "\n".join(
            f"1 The {a} harvest of the {b} vineyard was poor because of late frost." for a in "abcdef" for b in "ghijkl"
        )
        transcript = spoken(MEETING * 8 + other)
        chosen = Ranking(transcript).order
        assert min(chosen) < 61
        assert max(chosen) >= 8 * 61
