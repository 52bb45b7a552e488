"""Insights of a small conversation, all stages of them, as people and models make them."""

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.insights import (
    ActionItem,
    Analytics,
    Answer,
    AskedQuestion,
    Chapter,
    Chapters,
    Clarification,
    Decision,
    GraphEdge,
    GraphNode,
    Insights,
    KnowledgeGraph,
    NameSuggestion,
    Provenance,
    Questions,
    SemanticChunk,
    SemanticChunks,
    Sentiment,
    SpeakerNames,
    SpeakerRole,
    Statement,
    Summary,
    Topic,
    Vocabulary,
)

OFFLINE = Provenance(method="offline")
BY_MODEL = Provenance(method="language model", provider="ollama", model="llama", prompt_hash="0" * 64, withheld=2)


def said(text: str, *segments: int) -> Statement:
    return Statement(text=text, segments=segments or (0,))


def insights_of(
    transcript: Transcript, text: str = "SPEAKER_00 sells the house", *, made_by: Provenance = BY_MODEL
) -> Insights:
    """Every stage, with `text` wherever a sentence can stand; two speakers are named as SPEAKER_00 and SPEAKER_01.

    Sentences cite the first segment, questions and topics lead to its beginning.
    """
    about = {"transcript_id": "t", "language": transcript.language, "made_by": made_by}
    end, last = transcript.audio_seconds, len(transcript.segments) - 1
    start = transcript.segments[0].start
    chunk = SemanticChunk(
        chunk_index=0, text_content=text, word_count=1, character_count=1, start_word_index=0, end_word_index=1,
        overlap_words=0, start=0, end=end, first_segment=0, last_segment=last, speakers=("SPEAKER_00",),
    )  # fmt: skip
    return Insights(
        analytics=Analytics(
            **about, word_unit="words", seconds=end, words=120, speakers=(), turns=7, speech_seconds=50,
            silence_seconds=61, silence_share=0.25, overlap_seconds=3, interruptions=2, backchannels=4, questions=5,
            response_latency_seconds=None, words_per_minute=144.4, pace=(),
            vocabulary=Vocabulary(types=80, fillers=0, fillers_per_100=0), dominance=None, segment_seconds=None,
            segment_words=None, turn_seconds=None,
        ),
        semantic_chunks=SemanticChunks(**about, chunks=(chunk,)),
        chapters=Chapters(
            **about,
            chapters=(
                Chapter(start=0, end=end / 2, title=f"{text} (1)", first_segment=0, last_segment=0),
                Chapter(start=end / 2, end=end, title=f"{text} (2)", first_segment=last, last_segment=last),
            ),
        ),
        knowledge_graph=KnowledgeGraph(
            **about,
            nodes=(
                GraphNode(id="speaker:SPEAKER_00", kind="speaker", label="SPEAKER_00", weight=1, segments=(0,)),
                GraphNode(id="topic:house", kind="topic", label=text, weight=2, segments=(0,)),
            ),
            edges=(
                GraphEdge(
                    source="speaker:SPEAKER_00", target="topic:house", kind="speaks about", weight=1, segments=(0,)
                ),
            ),
        ),
        questions=Questions(
            **about,
            asked=(
                AskedQuestion(
                    text=f"{text}?", speaker="SPEAKER_00", start=start, segments=(0,),
                    answer=Answer(text=f"Answer: {text}", start=end / 2, segments=(last,)),
                ),
                AskedQuestion(text=f"Open: {text}?", speaker=None, start=start, segments=(0,), answer=None),
            ),
            next=(said(f"Next: {text}?"),),
            clarifications=(
                Clarification(
                    marker="next Tuesday", start=start, segments=(0,), confidence=0.9,
                    question=f'Which day is "next Tuesday"? {text}',
                ),
            ),
        ),
        speaker_names=SpeakerNames(
            **about,
            suggestions=(
                NameSuggestion(
                    label="SPEAKER_01", name="Sheila", confidence=0.8, source="introduces themselves", segments=(0,),
                    reason=f'Says "{text}".',
                ),
            ),
        ),
        summary=Summary(
            **about,
            template="call/1",
            content_type="call",
            bottom_line=said(f"Bottom line: {text}"),
            brief_summary=(said(f"Brief: {text}"),),
            major_topics=(
                Topic(title=f"Topic: {text}", start=0, end=end, summary=said(f"About: {text}"),
                      key_points=(said(f"Point: {text}"),)),
            ),
            key_points=(said(f"Key: {text}"),),
            decisions=(Decision(text=f"Decided: {text}", segments=(0,), context=text, stakeholders=("SPEAKER_01",)),),
            action_items=(
                ActionItem(text=f"To do: {text}", segments=(0,), owner="SPEAKER_01", due="by Friday", priority="high"),
            ),
            follow_ups=(said(f"Follow up: {text}"),),
            speakers=(
                SpeakerRole(speaker="SPEAKER_00", role="host", talk_share=0.6, contributions=(said(f"Says: {text}"),)),
            ),
            sentiment=Sentiment(label="mixed"),
        ),
    )  # fmt: skip
