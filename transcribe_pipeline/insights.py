"""The typed values of the insight group: what was said, in forms that people act on. Same rules as `artifacts.py`.

Every statement carries the ids of the segments that bear it out. Speakers are the transcript's labels (SPEAKER_00),
in running text too: whoever shows an insight puts the names in (`insight.names.named`), so that naming a speaker later
names them everywhere, and no language model learns a name that was not spoken.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from transcribe_pipeline.artifacts import Artifact, InsightStage, Probability, Seconds

Segments = Annotated[tuple[int, ...], Field(min_length=1)]
"""Ids of transcript segments, rising, each once."""


class Provenance(Artifact):
    """What made an insight."""

    method: Literal["offline", "language model"]
    provider: str | None = None
    """None offline, as the next two."""
    model: str | None = None
    prompt_hash: str | None = None
    """SHA-256 of everything that was asked but the transcript itself: instructions, schema, template."""
    fallback_reason: str | None = None
    """Why this is the offline form although a model is configured: sentence of the error."""
    sections: int = 0
    """Parts that the transcript was read in, because it was longer than the model's context; 0 offline."""
    withheld: int = 0
    """Statements of the model that the transcript did not bear out, and that were left out."""


class Insight(Artifact):
    """What all insights of a transcript version share."""

    transcript_id: str
    """Of the version it was made from."""
    language: str
    """Of its words: ISO 639-1."""
    made_by: Provenance


# --- semantic_chunks ------------------------------------------------------------------------------------------------


class TemporalInfo(Artifact):
    """When things are said to happen: 'last Tuesday' cannot be understood without knowing the day it was said."""

    temporal_marker: str | None = None
    """The words, as spoken."""
    temporal_confidence: Probability = 0.0
    """That they are about time."""
    requires_user_clarification: bool = False
    """Relative ('next week'), with no absolute date in reach to tell it by."""


class SemanticChunk(Artifact):
    chunk_index: int
    text_content: str
    word_count: int
    character_count: int
    start_word_index: int
    """0-based, over all words of the transcript."""
    end_word_index: int
    """Exclusive."""
    overlap_words: int
    """How many of its first words are also the last of the chunk before."""
    start: Seconds
    end: Seconds
    first_segment: int
    last_segment: int
    """Inclusive."""
    speakers: tuple[str, ...]
    """In order of appearance."""
    temporal_info: TemporalInfo = TemporalInfo()


class SemanticChunks(Insight):
    chunks: tuple[SemanticChunk, ...]
    embedding_model: str | None = None
    """Whose vectors told where the topic shifts; None: cut by speakers, pauses and sentences alone."""


# --- chapters -------------------------------------------------------------------------------------------------------


class Chapter(Artifact):
    start: Seconds
    end: Seconds
    """Where the next begins; the last ends with the recording."""
    title: str
    first_segment: int
    last_segment: int
    """Inclusive."""
    key_phrases: tuple[str, ...] = ()


class Chapters(Insight):
    """The whole recording, each moment in exactly one; none without speech."""

    chapters: tuple[Chapter, ...]
    embedding_model: str | None = None


# --- summary --------------------------------------------------------------------------------------------------------


class Statement(Artifact):
    text: str
    segments: Segments
    """Where it was said."""


class Topic(Artifact):
    title: str
    start: Seconds
    end: Seconds
    summary: Statement
    key_points: tuple[Statement, ...] = ()


class Decision(Statement):
    context: str | None = None
    stakeholders: tuple[str, ...] = ()
    """Speaker labels, or names that occur in the transcript."""


class ActionItem(Statement):
    owner: str | None = None
    """Speaker label, or a name that occurs in the transcript."""
    due: str | None = None
    """In the words of the transcript: 'by Friday'."""
    priority: Literal["high", "medium", "low"] | None = None


class SpeakerRole(Artifact):
    speaker: str
    role: str | None = None
    """'interviewer', 'host'; None where nothing tells."""
    talk_share: Probability
    """Of all talk time: measured, never a model's."""
    contributions: tuple[Statement, ...] = ()


class Sentiment(Artifact):
    label: Literal["positive", "neutral", "negative", "mixed"]
    segments: tuple[int, ...] = ()


ContentType = Literal["meeting", "interview", "call", "lecture", "podcast", "monologue", "other"]


class Summary(Insight):
    """Bottom line up front."""

    template: str
    """Name and version of the template: 'meeting/1'."""
    content_type: ContentType
    bottom_line: Statement | None
    """None without speech, or where none of it can be quoted: all doubtful, or like a link."""
    brief_summary: tuple[Statement, ...]
    major_topics: tuple[Topic, ...] = ()
    key_points: tuple[Statement, ...] = ()
    decisions: tuple[Decision, ...] = ()
    action_items: tuple[ActionItem, ...] = ()
    follow_ups: tuple[Statement, ...] = ()
    speakers: tuple[SpeakerRole, ...] = ()
    sentiment: Sentiment | None = None
    """None where nothing can be said of it, as offline in languages without a lexicon."""


# --- speaker_names --------------------------------------------------------------------------------------------------


NameSource = Literal[
    "introduces themselves", "is addressed", "is introduced", "metadata", "known voice", "language model"
]


class NameSuggestion(Artifact):
    """Who a speaker may be. Nothing is named by a suggestion: a person accepts it."""

    label: str
    name: str
    confidence: Probability
    source: NameSource
    segments: tuple[int, ...]
    """Where it is heard; empty for metadata and known voices."""
    reason: str
    """One sentence for people."""


class SpeakerNames(Insight):
    suggestions: tuple[NameSuggestion, ...]
    """By label, the most confident first."""


# --- analytics ------------------------------------------------------------------------------------------------------


class Distribution(Artifact):
    count: int
    mean: float
    median: float
    p95: float
    longest: float


class Vocabulary(Artifact):
    types: int
    """Different words."""
    mtld: float | None = None
    """Measure of textual lexical diversity; None below 50 tokens, and where characters are counted."""
    fillers: int | None
    """None in languages whose fillers are not known, as the next."""
    fillers_per_100: float | None


class PaceWindow(Artifact):
    """Talk in a stretch of the recording."""

    start: Seconds
    end: Seconds
    words: int
    """Whose middle lies in it."""
    talk_seconds: Seconds
    words_per_minute: float | None
    """Of talk; None where there is too little to tell by."""


class SpeakerFigures(Artifact):
    """All times in seconds. Definitions and minimum durations are in `insight/analytics`."""

    speaker: str
    words: int
    talk_seconds: Seconds
    """Union of this speaker's diarization turns."""
    talk_share: Probability
    """Of the sum of everybody's talk time."""
    turns: int
    """Stretches of talk that another's talk or a long pause ends: not segments."""
    turn_seconds: Distribution | None
    longest_monologue_seconds: Seconds
    """Turns that nobody else's turn divides, together, without the pauses between them."""
    words_per_minute: float | None
    pace: tuple[PaceWindow, ...]
    """The file's windows, but those in which this speaker is silent."""
    overlap_seconds: Seconds
    """Of this speaker's talk, with somebody else talking too."""
    interruptions_made: int
    interruptions_suffered: int
    backchannels: int
    response_latency_seconds: Distribution | None
    """From the end of another's turn to the start of the answer; negative where it begins before."""
    questions: int | None
    """None in languages whose questions cannot be told."""
    vocabulary: Vocabulary


class Analytics(Insight):
    word_unit: Literal["words", "characters"]
    """Languages written without spaces are counted in characters, here and in every 'words'."""
    seconds: Seconds
    words: int
    speakers: tuple[SpeakerFigures, ...]
    """In order of appearance. Empty where somebody speaks and nobody knows who: then what compares speakers is None."""
    turns: int | None
    speech_seconds: Seconds
    """Somebody talks: union of all turns."""
    silence_seconds: Seconds
    silence_share: Probability
    overlap_seconds: Seconds | None
    """Two or more talk."""
    interruptions: int | None
    backchannels: int | None
    questions: int | None
    """None in languages whose questions cannot be told."""
    response_latency_seconds: Distribution | None
    words_per_minute: float | None
    """Of talk, everybody's added up: the speakers' paces, weighted by how long they talk."""
    pace: tuple[PaceWindow, ...]
    """The whole recording in windows of equal length, at least one."""
    vocabulary: Vocabulary
    readability: dict[str, float] = Field(default_factory=dict)
    """Measure -> value; empty where the language allows none."""
    dominance: Probability | None
    """0: all talk alike, 1: one talks alone (1 - normalised entropy of talk shares); None for one speaker."""
    segment_seconds: Distribution | None
    segment_words: Distribution | None
    turn_seconds: Distribution | None


# --- knowledge_graph ------------------------------------------------------------------------------------------------

NodeKind = Literal["speaker", "person", "organisation", "place", "topic", "decision", "action item"]
EdgeKind = Literal["mentions", "speaks about", "co-occurs", "follows"]


class GraphNode(Artifact):
    id: str
    """Stable within the graph: 'topic:interest rates'."""
    kind: NodeKind
    label: str
    aliases: tuple[str, ...] = ()
    """Other forms that were merged into it."""
    weight: float
    segments: Segments


class GraphEdge(Artifact):
    source: str
    target: str
    kind: EdgeKind
    weight: float
    segments: Segments


class KnowledgeGraph(Insight):
    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]


# --- questions ------------------------------------------------------------------------------------------------------


class Answer(Artifact):
    text: str
    start: Seconds
    segments: Segments


class AskedQuestion(Artifact):
    text: str
    speaker: str | None
    start: Seconds
    segments: Segments
    answer: Answer | None
    """None: left open."""


class Clarification(Artifact):
    """A time that only people who were there can place."""

    marker: str
    start: Seconds
    segments: Segments
    confidence: Probability
    question: str
    """To ask: 'Which day is "next Tuesday"?'"""


class Questions(Insight):
    asked: tuple[AskedQuestion, ...]
    """In order of time."""
    next: tuple[Statement, ...]
    """What a reader would ask next, about what the cited segments leave open."""
    clarifications: tuple[Clarification, ...] = ()


class Insights(Artifact):
    """What there is for one transcript version. A stage that was left out, or has not run yet, is None."""

    analytics: Analytics | None = None
    semantic_chunks: SemanticChunks | None = None
    chapters: Chapters | None = None
    knowledge_graph: KnowledgeGraph | None = None
    questions: Questions | None = None
    speaker_names: SpeakerNames | None = None
    summary: Summary | None = None


INSIGHTS: dict[InsightStage, type[Insight]] = {
    "analytics": Analytics,
    "semantic_chunks": SemanticChunks,
    "chapters": Chapters,
    "knowledge_graph": KnowledgeGraph,
    "questions": Questions,
    "speaker_names": SpeakerNames,
    "summary": Summary,
}
"""Stage -> what it makes, in flow order."""

MEASURED: frozenset[InsightStage] = frozenset({"analytics", "semantic_chunks"})
"""No language model has a part in these."""


def insight_of(stage: InsightStage, body: dict[str, Any]) -> Insight:
    """An insight from its JSON."""
    return INSIGHTS[stage].model_validate(body)
