"""What was said, in forms that people act on.

Each stage reads the version that people see and stands alone: any can be left out, fall back to its offline form, or be
made again without the others, and without touching speech. What it makes is kept as a version in the ledger; page,
result files and search index follow with the last insight of the run.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import dagster as dg
from sqlalchemy import Engine

from transcribe_pipeline.artifacts import (
    InsightStage,
    MediaMetadata,
    Options,
    SpeakerIdentities,
    Transcript,
    TranscriptRecord,
)
from transcribe_pipeline.assets.common import code_version, media_asset
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.insight.making import fallback
from transcribe_pipeline.insights import (
    INSIGHTS,
    MEASURED,
    Analytics,
    Chapters,
    Insight,
    KnowledgeGraph,
    Questions,
    SemanticChunks,
    SpeakerNames,
    Summary,
)
from transcribe_pipeline.jobs import process_media
from transcribe_pipeline.language_models.port import Call, LanguageModel, Record
from transcribe_pipeline.ledger import insights, language_model_calls, leases, transcripts, voices
from transcribe_pipeline.resources.language_models import LanguageModels
from transcribe_pipeline.resources.object_store import ObjectStore
from transcribe_pipeline.resources.results import publish_insights, publish_page
from transcribe_pipeline.resources.search_index import Search
from transcribe_pipeline.settings import settings
from transcribe_pipeline.stage import Stage, stages_of
from transcribe_pipeline.text.embeddings import Embedder

Made = TypeVar("Made", bound=Insight)

_MODEL_SETTINGS = ("llm", "llm_tasks", "llm_context_tokens", "allow_remote_llm")
_INDEX_FAILURES = frozenset({ErrorCode.SEARCH_UNAVAILABLE, ErrorCode.CONFIGURATION})
_EMBEDDER_FAILURES = frozenset({ErrorCode.ENGINE_MISSING, ErrorCode.MODEL_UNAVAILABLE})


def _insight_asset(name: InsightStage, *kinds: str) -> dict[str, Any]:
    return media_asset(name, "insight", *kinds) | {
        "output_required": False,  # none where the stage is left out: Dagster shows it as skipped
        "required_resource_keys": {"ledger", "store", "search", "language_models"},
    }


@dataclass(frozen=True)
class Material:
    """What an insight is made from."""

    owner: str
    transcript: Transcript
    transcript_id: str
    identities: SpeakerIdentities
    models: Sequence[LanguageModel]
    """To be asked in this order; none: offline."""
    embedder: Embedder | None


def _make(
    context: dg.AssetExecutionContext,
    options: Options,
    record: TranscriptRecord,
    make: Callable[[Material], tuple[Made, PipelineError | None]],
    shown: Callable[[Made, Material], dict[str, Any]],
) -> Iterator[dg.Output[Made]]:
    """One insight: made, kept, published and shown; or skipped.

    :param make: the insight, and why it is the offline form although there are models.
    :param shown: figures and pictures for the asset's metadata.
    """
    ledger: Engine = context.resources.ledger
    search: Search = context.resources.search
    language_models: LanguageModels = context.resources.language_models
    with Stage(context, ledger) as stage:
        if not _is_wanted(context, stage.name, options):
            context.log.info("The options of this file leave this stage out.")
            stage.leave_out()
            return
        calls: list[Call] = []

        def note(call: Call) -> None:
            calls.append(call)
            language_model_calls.record(ledger, stage.claim, stage.name, call)

        models, misconfigured = _models(language_models, stage.name, note)
        # Versions may have been promoted since: people see the current one.
        current = transcripts.current(ledger, context.partition_key) or record
        material = Material(
            owner=stage.claim.owner,
            transcript=transcripts.load(ledger, current.transcript_id),
            transcript_id=current.transcript_id,
            identities=voices.last_said(ledger, stage.claim.owner, current.transcript_id),
            models=models,
            embedder=search.embedder,
        )
        is_last = _is_last(context, stage.name, options)
        try:
            value, failure = _made(make, material)
            if misconfigured:
                value, failure = fallback(value, misconfigured), misconfigured
            kept = insights.save(ledger, stage.claim, stage.name, value)
        except Exception:
            if is_last:  # those before it are to be seen all the same
                _publish(context, stage)
            raise
        if is_last:
            _publish(context, stage)
        stage.report(version=kept.version, **_made_by(value), **_used(calls), **shown(value, material))
        if failure:
            stage.degrade(failure)
    yield dg.Output(value)


def _made(
    make: Callable[[Material], tuple[Made, PipelineError | None]], material: Material
) -> tuple[Made, PipelineError | None]:
    try:
        return make(material)
    except PipelineError as error:
        if error.code not in _EMBEDDER_FAILURES:
            raise
        value, _ = make(replace(material, embedder=None))
        return value, error


def _models(chosen: LanguageModels, stage: str, record: Record) -> tuple[Sequence[LanguageModel], PipelineError | None]:
    if stage in MEASURED:
        return (), None
    try:
        return chosen.for_task(stage, record), None
    except PipelineError as error:  # settings that name no model cost the better form, and nothing else
        return (), error


def _is_wanted(context: dg.AssetExecutionContext, stage: str, options: Options) -> bool:
    """Options speak for the whole pipeline. Whoever selects a stage by itself wants it."""
    return stage in options.insights or context.run.job_name != process_media.name


def _is_last(context: dg.AssetExecutionContext, stage: str, options: Options) -> bool:
    """The run's last insight publishes them all: once for each would take as long as making them."""
    made = [name for name in stages_of(context.run) if name in INSIGHTS and _is_wanted(context, name, options)]
    return stage == made[-1]


def _publish(context: dg.AssetExecutionContext, stage: Stage) -> None:
    """Page, result files and index, with what is there by now."""
    ledger: Engine = context.resources.ledger
    store: ObjectStore = context.resources.store
    search: Search = context.resources.search

    def may_write() -> None:
        leases.check(ledger, stage.claim)

    publish_insights(ledger, store, settings(), context.partition_key, before_write=may_write)
    publish_page(ledger, store, settings(), context.partition_key, before_write=may_write)
    try:
        search.publish(ledger, context.partition_key)
    except PipelineError as error:
        if error.code not in _INDEX_FAILURES:
            raise
        context.log.warning("The index has this insight after its next reconciliation: %s", error)


def _made_by(value: Insight) -> dict[str, Any]:
    made_by = value.made_by
    if made_by.method == "offline":
        return {"method": made_by.method}
    return {
        "method": made_by.method,
        "model": f"{made_by.provider}/{made_by.model}",
        "sections": made_by.sections,
        "withheld": made_by.withheld,
    }


def _used(calls: Sequence[Call]) -> dict[str, Any]:
    """Of language models, all attempts together."""
    if not calls:
        return {}
    return {
        "calls": len(calls),
        "tokens_in": sum(call.tokens_in or 0 for call in calls),
        "tokens_out": sum(call.tokens_out or 0 for call in calls),
        "cost_usd": round(sum(call.cost_usd or 0.0 for call in calls), 6),
    }


def _table(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"table": dg.MetadataValue.table([dg.TableRecord(row) for row in rows])} if rows else {}


_PLOTTED = ("words", "turns", "silence_share", "overlap_seconds", "interruptions", "words_per_minute")


@dg.asset(**_insight_asset("analytics", "python"), code_version=code_version(1))
def analytics(
    context: dg.AssetExecutionContext, options: Options, transcript_record: TranscriptRecord
) -> Iterator[dg.Output[Analytics]]:
    """Who talked how much, how fast and how: turns, pauses, overlap, interruptions, questions, vocabulary."""
    from transcribe_pipeline.export.insight_plots import talk_over_time
    from transcribe_pipeline.export.picture import as_markdown_image
    from transcribe_pipeline.insight.analytics import analytics as analyse
    from transcribe_pipeline.insight.analytics import markdown

    def make(given: Material) -> tuple[Analytics, None]:
        return analyse(given.transcript, given.transcript_id), None

    def shown(value: Analytics, given: Material) -> dict[str, Any]:
        names = given.identities.names
        plot = talk_over_time(value, names)
        return {
            **{name: figure for name in _PLOTTED if (figure := getattr(value, name)) is not None},
            "figures": dg.MetadataValue.md(markdown(value, names)),
            "talk_over_time": dg.MetadataValue.md(as_markdown_image(plot.png(), "talk over time")),
        }

    yield from _make(context, options, transcript_record, make, shown)


@dg.asset(**_insight_asset("semantic_chunks", "python"), code_version=code_version(1, "search_model"))
def semantic_chunks(
    context: dg.AssetExecutionContext, options: Options, transcript_record: TranscriptRecord
) -> Iterator[dg.Output[SemanticChunks]]:
    """Overlapping stretches of some 150 words, cut where speaker, topic or sentence changes; together, every word."""
    from transcribe_pipeline.insight.semantic_chunks import semantic_chunks as cut

    def make(given: Material) -> tuple[SemanticChunks, None]:
        return cut(given.transcript, given.transcript_id, given.embedder), None

    def shown(value: SemanticChunks, given: Material) -> dict[str, Any]:
        return {"chunks": len(value.chunks), "embedding_model": value.embedding_model or "none"}

    yield from _make(context, options, transcript_record, make, shown)


@dg.asset(
    **_insight_asset("chapters", "python"),
    code_version=code_version(1, "search_model", "chapter_minutes", *_MODEL_SETTINGS),
)
def chapters(
    context: dg.AssetExecutionContext, options: Options, transcript_record: TranscriptRecord
) -> Iterator[dg.Output[Chapters]]:
    """The whole recording in parts, each about one thing and named after it."""
    from transcribe_pipeline.insight.chapters import chapters as find_chapters

    def make(given: Material) -> tuple[Chapters, PipelineError | None]:
        return find_chapters(
            given.transcript,
            given.transcript_id,
            given.embedder,
            least_seconds=settings().chapter_minutes * 60,
            models=given.models,
        )

    def shown(value: Chapters, given: Material) -> dict[str, Any]:
        rows = [{"start": round(c.start, 1), "end": round(c.end, 1), "title": c.title} for c in value.chapters]
        return {"chapters": len(rows), **_table(rows)}

    yield from _make(context, options, transcript_record, make, shown)


@dg.asset(**_insight_asset("knowledge_graph", "networkx"), code_version=code_version(1, *_MODEL_SETTINGS))
def knowledge_graph(
    context: dg.AssetExecutionContext, options: Options, transcript_record: TranscriptRecord
) -> Iterator[dg.Output[KnowledgeGraph]]:
    """People, organisations, places, topics, decisions and tasks, and how they hang together, with evidence."""
    from transcribe_pipeline.export.graph_files import graph_picture
    from transcribe_pipeline.export.picture import as_markdown_image
    from transcribe_pipeline.insight.knowledge_graph import knowledge_graph as build_graph

    def make(given: Material) -> tuple[KnowledgeGraph, PipelineError | None]:
        return build_graph(given.transcript, given.transcript_id, models=given.models)

    def shown(value: KnowledgeGraph, given: Material) -> dict[str, Any]:
        figures: dict[str, Any] = {"nodes": len(value.nodes), "edges": len(value.edges)}
        if value.nodes:
            picture = as_markdown_image(graph_picture(value, given.identities.names), "knowledge graph")
            figures["picture"] = dg.MetadataValue.md(picture)
        return figures

    yield from _make(context, options, transcript_record, make, shown)


@dg.asset(**_insight_asset("questions", "python"), code_version=code_version(1, *_MODEL_SETTINGS))
def questions(
    context: dg.AssetExecutionContext, options: Options, transcript_record: TranscriptRecord
) -> Iterator[dg.Output[Questions]]:
    """What was asked and answered, what was left open, what to ask next, and which times need a date."""
    from transcribe_pipeline.insight.questions import questions as find_questions

    def make(given: Material) -> tuple[Questions, PipelineError | None]:
        return find_questions(given.transcript, given.transcript_id, models=given.models)

    def shown(value: Questions, given: Material) -> dict[str, Any]:
        return {
            "asked": len(value.asked),
            "open": sum(each.answer is None for each in value.asked),
            "next": len(value.next),
            "clarifications": len(value.clarifications),
        }

    yield from _make(context, options, transcript_record, make, shown)


@dg.asset(
    **_insight_asset("speaker_names", "python"),
    code_version=code_version(1, *_MODEL_SETTINGS),
    deps=["speaker_identities"],
)
def speaker_names(
    context: dg.AssetExecutionContext,
    options: Options,
    media_metadata: MediaMetadata,
    transcript_record: TranscriptRecord,
) -> Iterator[dg.Output[SpeakerNames]]:
    """Who the speakers may be, by what is said, the file's metadata and known voices. Suggestions: people decide."""
    from transcribe_pipeline.insight.speaker_names import speaker_names as suggest_names

    def make(given: Material) -> tuple[SpeakerNames, PipelineError | None]:
        return suggest_names(
            given.transcript,
            given.transcript_id,
            models=given.models,
            metadata=media_metadata,
            identities=given.identities,
        )

    def shown(value: SpeakerNames, given: Material) -> dict[str, Any]:
        rows = [{"speaker": n.label, "confidence": n.confidence, "source": n.source} for n in value.suggestions]
        return {"suggestions": len(rows), **_table(rows)}

    yield from _make(context, options, transcript_record, make, shown)


@dg.asset(**_insight_asset("summary", "python"), code_version=code_version(1, "summary_templates", *_MODEL_SETTINGS))
def summary(
    context: dg.AssetExecutionContext, options: Options, transcript_record: TranscriptRecord
) -> Iterator[dg.Output[Summary]]:
    """The bottom line first; topics, decisions and tasks, each statement with the place where it was said."""
    from transcribe_pipeline.insight.summary import markdown, template_for
    from transcribe_pipeline.insight.summary import summary as summarise

    def make(given: Material) -> tuple[Summary, PipelineError | None]:
        template = template_for(
            given.transcript, wanted=options.summary_template, folder=settings().summary_templates, owner=given.owner
        )
        return summarise(
            given.transcript,
            given.transcript_id,
            models=given.models,
            template=template,
            output_language=options.summary_language,
        )

    def shown(value: Summary, given: Material) -> dict[str, Any]:
        return {
            "template": value.template,
            "content_type": value.content_type,
            "topics": len(value.major_topics),
            "decisions": len(value.decisions),
            "action_items": len(value.action_items),
            "preview": dg.MetadataValue.md(markdown(value, given.identities.names, given.transcript)),
        }

    yield from _make(context, options, transcript_record, make, shown)
