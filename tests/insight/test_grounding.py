"""Nothing a model says is published unless the segments that it cites bear it out."""

import random
import re

import pytest

from tests.insight import statements
from tests.insight.recordings import meeting, read_aloud, spoken, stm
from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.insight import numerals
from transcribe_pipeline.insight.grounding import MOST_CITED, Grounding, unsupported
from transcribe_pipeline.insight.summary import summary
from transcribe_pipeline.insight.summary.templates import load


@pytest.fixture(scope="module")
def grounding():
    return Grounding(meeting())


class TestObjection:
    @pytest.mark.parametrize(
        ("text", "segments", "wrong"),
        [
            ("The crash affects two percent of the users.", [], "cites nothing"),
            ("The crash affects two percent of the users.", [7, 61], "do not exist"),
            ("The crash affects two percent of the users.", [-1], "do not exist"),
            ("The crash affects two percent of the users.", list(range(MOST_CITED + 1)), "more than"),
            ("The crash affects three percent of the users.", [7], "number"),
            ("The crash affects 20 percent of the users.", [7], "number"),
            ("The crash affects two percent of the users.", [40], "number"),
            ("The crash happens to most users, Fernando says.", [7], "name"),
            ("Fernando says that it happens to the users.", [7], "name"),
            ("The crash happens to users of Windows.", [5, 7], "name"),
            ("The landlord wants to sell the house.", [53, 54], "words"),
            ("The electricians are late.", [7], "words"),
            ("Helen was fired.", [21], "words"),
            ("Helen agrees.", [21], "words"),
            ("That is it.", [7], "says nothing"),
            ("The meeting was about several topics.", [7], "words|says nothing"),
            ("SPEAKER_07 saw the crash in the logs.", [8], "no speaker"),
            ("SPEAKER_03 saw the crash in the logs.", [8], "do not speak there"),
            ("", [8], "empty"),
            ("crash " * 200, [8], "longer"),
            ("The crash\nis in the logs.", [8], "do not see"),
            ("The crash is in the logs.\u202e", [8], "do not see"),
            ("The crash is in the \x00logs.", [8], "do not see"),
        ],
    )
    def test_untrue_or_unfit(self, grounding, text, segments, wrong):
        assert re.search(wrong, grounding.objection(text, segments) or "")

    @pytest.mark.parametrize(
        "text",
        [
            "The crash is in the <b>logs</b>.",
            "The crash is in the logs ![x](//evil).",
            "The crash is in the [logs](x).",
            "The crash is in the **logs**.",
            "# The crash is in the logs",
            "- The crash is in the logs",
            "The crash is in the `logs`.",
            "The crash is in the logs at https://crash.example/logs.",
            "The crash is in the logs at www.logs.",
            "The crash is in the logs at logs.com.",
            "The crash is in the logs, javascript:crash",
            "The crash is in the logs, crash@logs.example",
            "The crash is in the logs at 192.168.0.1",
            "The crash &lt; logs",
            "The crash is in the \u200blogs.",
        ],
    )
    def test_markup_and_addresses_even_where_they_were_spoken(self, text):
        heard = Grounding(spoken(f"0 {text.encode('ascii', 'ignore').decode()}"))
        assert heard.objection(text, [0]) is not None

    @pytest.mark.parametrize(
        "text",
        [
            "The crash affects 2 percent of the users.",
            "SPEAKER_01 says that the crash affects two percent of users.",
            "Reporting on the users, SPEAKER_01 estimates 2 percent.",
        ],
    )
    def test_said_in_other_words(self, grounding, text):
        assert grounding.objection(text, [7]) is None

    def test_what_is_quoted_needs_no_more(self, grounding):
        assert grounding.objection("What, again?", [50]) is None
        assert grounding.objection("What, again?", [12]) is not None

    def test_order_and_repetition_of_citations_do_not_matter(self, grounding):
        assert grounding.objection("Helen calls the landlord this afternoon.", [54, 53, 54]) is None


class TestStatementsOfALargeModel:
    """The figures beside `LEAST_SHARE`."""

    def test_of_a_meeting(self):
        assert _passing(meeting(), statements.MEETING) >= 25 / 28

    def test_of_a_reading(self, testdata):
        text = (testdata / "syn_en_lj_long" / "syn_en_lj_long.txt").read_text()
        assert _passing(read_aloud(text), statements.PRINTING) == 1

    def test_of_a_telephone_call(self, testdata):
        assert _passing(stm(testdata / "multi_pyannote_sample" / "sample.stm"), statements.TELEPHONE) >= 4 / 6

    def test_with_citations_elsewhere(self):
        transcript = meeting()
        moved = [
            (text, [(each + step) % len(transcript.segments) for each in segments])
            for text, segments in statements.MEETING
            for step in range(8, 48, 8)
        ]
        assert _passing(transcript, moved) <= 0.04

    def test_invented(self):
        transcript, random_ = meeting(), random.Random(5)
        placed = [
            (text, random_.sample(range(len(transcript.segments)), 2)) for text in statements.INVENTED for _ in range(5)
        ]
        assert _passing(transcript, placed) <= 0.01


def _passing(transcript: Transcript, said) -> float:
    grounding = Grounding(transcript)
    return sum(grounding.objection(text, segments) is None for text, segments in said) / len(said)


class TestNames:
    @pytest.mark.parametrize(
        ("asked", "found"),
        [
            ("Priya", "Priya"),
            ("priya", "Priya"),
            ("SPEAKER_02", "SPEAKER_02"),
            ("SPEAKER_09", None),
            ("Helen", "Helen"),
            ("Helen Miller", None),
            ("Lisbon", "Lisbon"),
            ("we", None),
            ("", None),
            ("marketing people", "marketing people"),
            ("people marketing", None),
            ("Priya<br>", None),
            ("Priya " * 30, None),
        ],
    )
    def test_as_the_transcript_has_it(self, grounding, asked, found):
        assert grounding.name(asked) == found

    def test_accents_and_possessives(self):
        grounding = Grounding(spoken("0 That is José's idea, said Núñez.", "es"))
        assert grounding.name("Jose") == "José"
        assert grounding.objection("La idea de Jose.", [0]) is None

    def test_german_nouns_are_no_names(self):
        grounding = Grounding(spoken("0 Wir verschieben den Termin, weil die Prüfung länger dauert.", "de"))
        assert grounding.objection("Verschiebung des Termins wegen der Dauer der Prüfung.", [0]) is None
        assert grounding.objection("Frau Weber verschiebt den Termin der Prüfung.", [0]) == "a name that does not occur"


class TestOtherScripts:
    def test_without_spaces(self):
        grounding = Grounding(
            spoken("0 来週の会議で予算について決定します。\n1 天気がとても良いですね。\n1 はい。", "ja")
        )
        assert grounding.objection("来週の会議で予算を決定する。", [0]) is None
        assert grounding.objection("新しい工場を建設する。", [0]) is not None

    def test_without_capital_letters(self):
        grounding = Grounding(spoken("0 सरकार ने नई योजना की घोषणा की।", "hi"))
        assert grounding.objection("सरकार की नई योजना की घोषणा।", [0]) is None
        assert grounding.objection("क्रिकेट टीम ने मैच जीता।", [0]) is not None


class TestInAnotherLanguage:
    @pytest.fixture(scope="class")
    def german(self):
        return Grounding(
            spoken("0 Herr Weber fährt am 3. Mai nach München.\n1 Und Иван kommt mit.\n1 Gut.", "de"),
            output_language="en",
        )

    def test_words_need_not_be_the_same(self, german):
        assert german.objection("Weber travels on the 3rd.", [0]) is None

    def test_names_may_be_spelled_otherwise(self, german):
        assert german.objection("He travels to Munich with Ivan.", [0, 1]) is None

    def test_invented_names_and_numbers_are_told(self, german):
        assert german.objection("He travels to Barcelona.", [0]) == "a name that does not occur"
        assert german.objection("Weber travels on the 4th.", [0]) == "a number that was not said there"
        assert german.objection("Weber travels.", [5]) == "cites segments that do not exist"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("twenty-five", {25}),
        ("two hundred and five", {205}),
        ("two thousand three hundred", {2300}),
        ("5 million, or 5,000,000", {5_000_000}),
        ("at 10:30 on the 25th", {10, 30, 25}),
        ("one of the first", set()),
        ("in 2019", {2019}),
    ],
)
def test_numbers(text, said):
    assert numerals.said(text, "en") == said


def test_years_are_read_in_two_parts():
    assert {1984, 1455, 2025} <= numerals.meant("nineteen eighty-four, fourteen fifty-five, twenty twenty-five", "en")


class TestUnsupported:
    """Of whole insights, as a check of what was published."""

    @pytest.fixture(scope="class")
    def good(self):
        return summary(meeting(), "t1", models=[], template=load("meeting"))[0]

    def test_nothing_of_what_is_quoted(self, good):
        assert unsupported(good, meeting()) == []

    @pytest.mark.parametrize(
        ("change", "wrong"),
        [
            ({"text": "Sales in Germany fell sharply."}, "name"),
            ({"segments": (900,)}, "do not exist"),
            ({"segments": (19, 18)}, "do not exist"),
            ({"owner": "Fernando"}, "somebody"),
            ({"owner": "SPEAKER_09"}, "somebody"),
            ({"due": "in ten years"}, "time"),
        ],
    )
    def test_each_that_does_not_hold(self, good, change, wrong):
        first, *others = good.action_items
        changed = good.model_copy(update={"action_items": (first.model_copy(update=change), *others)})
        (found,) = unsupported(changed, meeting())
        assert found.startswith("Summary.action_items[0]: ")
        assert wrong in found

    def test_within_topics(self, good):
        (topic,) = good.major_topics
        lie = topic.summary.model_copy(update={"text": "The house burned down."})
        changed = good.model_copy(update={"major_topics": (topic.model_copy(update={"key_points": (lie,)}),)})
        assert [each.split(":")[0] for each in unsupported(changed, meeting())] == [
            "Summary.major_topics[0].key_points[0]"
        ]
