"""What is promised about insights: whole, consistent, and borne out by the transcript."""

import dagster as dg
from sqlalchemy import Engine

from transcribe_pipeline.insights import (
    Analytics,
    Chapters,
    Insight,
    KnowledgeGraph,
    Questions,
    SemanticChunks,
    SpeakerNames,
    Summary,
)
from transcribe_pipeline.ledger import transcripts
from transcribe_pipeline.partitions import media_files

_TOLERANCE = 0.01
"""Seconds, and shares: sums of rounded figures."""


@dg.asset_check(asset="semantic_chunks", partitions_def=media_files)
def chunks_hold_every_word(semantic_chunks: SemanticChunks, ledger: dg.ResourceParam[Engine]) -> dg.AssetCheckResult:
    """Every word of the transcript is in a chunk, under its own number, and overlaps are what they say."""
    from transcribe_pipeline.insight.semantic_chunks import uncovered_words

    uncovered = uncovered_words(semantic_chunks, transcripts.load(ledger, semantic_chunks.transcript_id))
    return dg.AssetCheckResult(
        passed=uncovered == 0, metadata={"chunks": len(semantic_chunks.chunks), "uncovered_words": uncovered}
    )


@dg.asset_check(asset="chapters", partitions_def=media_files)
def chapters_cover_the_recording(chapters: Chapters, ledger: dg.ResourceParam[Engine]) -> dg.AssetCheckResult:
    """Chapters follow each other without a gap, from the beginning to the end, and each has a title."""
    seconds = transcripts.load(ledger, chapters.transcript_id).audio_seconds
    starts = [each.start for each in chapters.chapters]
    ends = [each.end for each in chapters.chapters]
    gaps = (
        sum(abs(left - right) > _TOLERANCE for left, right in zip([0.0, *ends], [*starts, seconds], strict=True))
        if starts
        else 0
    )
    untitled = sum(not each.title.strip() for each in chapters.chapters)
    return dg.AssetCheckResult(
        passed=gaps == 0 and untitled == 0,
        metadata={"chapters": len(starts), "gaps": gaps, "untitled": untitled},
    )


@dg.asset_check(asset="analytics", partitions_def=media_files)
def figures_add_up(analytics: Analytics) -> dg.AssetCheckResult:
    """Shares of talk time make a whole; speech and silence make the length; nobody talks longer than that."""
    problems = []
    shares = sum(each.talk_share for each in analytics.speakers)
    if analytics.speakers and shares and abs(shares - 1) > _TOLERANCE:
        problems.append(f"shares of talk time make {shares:.3f}")
    if abs(analytics.speech_seconds + analytics.silence_seconds - analytics.seconds) > _TOLERANCE:
        problems.append("speech and silence do not make the length")
    if any(each.talk_seconds > analytics.seconds + _TOLERANCE for each in analytics.speakers):
        problems.append("somebody talks longer than the recording is")
    return dg.AssetCheckResult(passed=not problems, metadata={"problems": "; ".join(problems) or "none"})


@dg.asset_check(asset="knowledge_graph", partitions_def=media_files)
def graph_is_sound(knowledge_graph: KnowledgeGraph, ledger: dg.ResourceParam[Engine]) -> dg.AssetCheckResult:
    """Edges join nodes that exist, and all evidence is in the transcript."""
    segments = len(transcripts.load(ledger, knowledge_graph.transcript_id).segments)
    nodes = {node.id for node in knowledge_graph.nodes}
    loose = sum(not {edge.source, edge.target} <= nodes for edge in knowledge_graph.edges)
    evidence = [part.segments for part in knowledge_graph.nodes]
    evidence += [part.segments for part in knowledge_graph.edges]
    astray = sum(not all(0 <= each < segments for each in cited) for cited in evidence)
    return dg.AssetCheckResult(
        passed=loose == 0 and astray == 0 and len(nodes) == len(knowledge_graph.nodes),
        metadata={"nodes": len(nodes), "loose_edges": loose, "without_evidence": astray},
    )


def _grounded(insight: Insight, ledger: Engine) -> dg.AssetCheckResult:
    from transcribe_pipeline.insight.grounding import unsupported

    found = unsupported(insight, transcripts.load(ledger, insight.transcript_id))
    return dg.AssetCheckResult(
        passed=not found,
        metadata={"unsupported": len(found), "withheld": insight.made_by.withheld},
    )


@dg.asset_check(asset="summary", partitions_def=media_files)
def summary_is_grounded(summary: Summary, ledger: dg.ResourceParam[Engine]) -> dg.AssetCheckResult:
    """Every statement cites segments that bear it out; every name occurs in the transcript."""
    return _grounded(summary, ledger)


@dg.asset_check(asset="questions", partitions_def=media_files)
def questions_are_grounded(questions: Questions, ledger: dg.ResourceParam[Engine]) -> dg.AssetCheckResult:
    """Every question and answer cites segments that exist and bear it out."""
    return _grounded(questions, ledger)


@dg.asset_check(asset="speaker_names", partitions_def=media_files)
def names_have_evidence(speaker_names: SpeakerNames, ledger: dg.ResourceParam[Engine]) -> dg.AssetCheckResult:
    """Every suggestion is for a speaker that exists, with evidence."""
    return _grounded(speaker_names, ledger)


all_checks: list[dg.AssetChecksDefinition] = [
    chunks_hold_every_word,
    chapters_cover_the_recording,
    figures_add_up,
    graph_is_sound,
    summary_is_grounded,
    questions_are_grounded,
    names_have_evidence,
]
