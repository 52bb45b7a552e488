"""`transcribe insight`: what was said in a file, in short, each statement with its moment. Reads the ledger alone."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.text import Text
from sqlalchemy import Engine

from transcribe_pipeline.artifacts import InsightStage, Transcript
from transcribe_pipeline.cli import launching, output
from transcribe_pipeline.cli.files import current_transcript, identities, open_ledger, resolve
from transcribe_pipeline.cli.output import clock, plain
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.export.insight_files import Told, document
from transcribe_pipeline.insight.citations import cited
from transcribe_pipeline.insight.labels import how_made, main_figures
from transcribe_pipeline.insight.names import named
from transcribe_pipeline.insights import (
    INSIGHTS,
    MEASURED,
    ActionItem,
    Analytics,
    Chapters,
    Insight,
    Insights,
    KnowledgeGraph,
    Questions,
    SemanticChunks,
    SpeakerNames,
    Statement,
    Summary,
)
from transcribe_pipeline.ledger import insights
from transcribe_pipeline.ledger.files import FileView
from transcribe_pipeline.ledger.insights import InsightView
from transcribe_pipeline.settings import load_settings

_SHOWN: Final[Sequence[InsightStage]] = (
    *("summary", "chapters", "questions", "speaker_names", "knowledge_graph", "analytics", "semantic_chunks"),
)
"""The bottom line first."""
_MOST_TOPICS: Final = 10


def show(name: str, *, stage: InsightStage | None, owner: str | None, as_json: bool, versions: bool) -> None:
    """What there is of one stage, or of all.

    :param versions: list the versions of the current transcript's insights, and not what they say.
    :raises PipelineError: ARTIFACT_MISSING, if there is nothing.
    """
    ledger = open_ledger(load_settings())
    file = resolve(ledger, name, owner)
    transcript = current_transcript(ledger, file)
    if transcript is None or file.current_transcript_id is None:
        raise PipelineError(ErrorCode.ARTIFACT_MISSING, "this file has no transcript yet")
    if versions:
        _show_versions(insights.history(ledger, file.current_transcript_id, stage), as_json=as_json)
        return
    made = insights.latest(ledger, file.current_transcript_id)
    wanted = {each: made[each] for each in _SHOWN if each in made and stage in (None, each)}
    if not wanted:
        raise PipelineError(ErrorCode.ARTIFACT_MISSING, f"this file has no {stage or 'insights'} yet")
    if as_json:
        output.print_json(_description(ledger, file, transcript, wanted))
        return
    view = _View(transcript, identities(ledger, file).names)
    for each in wanted.values():
        view.print(each)


def make_again(name: str, stage: InsightStage | None, *, owner: str | None) -> None:
    """Have Dagster make one insight, or all, of the current transcript again, by what is configured now."""
    configured = load_settings()
    launching.require_dagster(configured)
    file = resolve(open_ledger(configured), name, owner)
    if file.current_transcript_id is None:
        raise PipelineError(ErrorCode.ARTIFACT_MISSING, "this file has no transcript yet")
    stages = [stage] if stage else [*INSIGHTS]
    title = f"Insight: {stage or 'all'}"
    backfill = launching.launch(file.owner, stages, [file.partition_key], title=title, trigger="insight")
    output.note(f"To be made again: {', '.join(stages)}; backfill {backfill}.")


def _description(
    ledger: Engine, file: FileView, transcript: Transcript, made: Mapping[InsightStage, InsightView]
) -> dict[str, Any]:
    values = Insights.model_validate({stage: view.value for stage, view in made.items()})
    return {
        "partition_key": file.partition_key,
        "transcript_id": file.current_transcript_id,
        "versions": {stage: {"version": view.version, "created_at": view.created_at} for stage, view in made.items()},
    } | document(Told.of(values, transcript, identities(ledger, file).names))


def _show_versions(history: Sequence[InsightView], *, as_json: bool) -> None:
    shown = ("stage", "version", "created_at", "method", "provider", "model", "generation", "run_id")
    if as_json:
        output.print_json([{name: getattr(view, name) for name in shown} for view in history])
        return
    rows = output.table("STAGE", "VERSION", "MADE", "BY")
    for view in history:
        by = "/".join(filter(None, (view.provider, view.model))) or view.method
        rows.add_row(view.stage, str(view.version), f"{view.created_at:%Y-%m-%d %H:%M}Z", plain(by))
    output.stdout().print(rows)


# --- on the screen --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _View:
    """Insights as lines, with the names that people gave."""

    transcript: Transcript
    names: Mapping[str, str]

    def print(self, made: InsightView) -> None:
        console = output.stdout()
        heading = Text(made.stage.replace("_", " ").capitalize(), style="bold")
        if made.stage not in MEASURED:
            heading.append(f"  {how_made(made.value.made_by)}", style="not bold dim")
        console.print(heading)
        for line in self._lines(made.value):
            console.print(line)

    def _lines(self, value: Insight) -> Iterator[Text]:
        match value:
            case Summary():
                return self._summary(value)
            case Chapters():
                return (self._at(each.start, each.title) for each in value.chapters)
            case Questions():
                return self._questions(value)
            case SpeakerNames():
                return self._suggestions(value)
            case Analytics():
                return (_fact(name, figure) for name, figure in main_figures(value))
            case KnowledgeGraph():
                return self._topics(value)
            case SemanticChunks():
                return iter([_fact("Chunks", f"{len(value.chunks):,}")])
            case _:
                raise TypeError(type(value).__name__)

    def _summary(self, summary: Summary) -> Iterator[Text]:
        yield _fact("Content", summary.content_type)
        if summary.bottom_line:
            yield from self._statements("Bottom line", [summary.bottom_line])
        yield from self._statements("In brief", summary.brief_summary)
        if summary.major_topics:
            yield _part("Topics")
        for topic in summary.major_topics:
            yield self._at(topic.start, topic.title)
        yield from self._statements("Key points", summary.key_points)
        yield from self._statements("Decisions", summary.decisions)
        yield from self._statements("Action items", summary.action_items)
        yield from self._statements("To follow up", summary.follow_ups)

    def _questions(self, questions: Questions) -> Iterator[Text]:
        asked = {
            "Answered": [each for each in questions.asked if each.answer],
            "Left open": [each for each in questions.asked if not each.answer],
        }
        for part, those in asked.items():
            if those:
                yield _part(part)
            for each in those:
                yield self._at(each.start, each.text)
                if each.answer:
                    yield self._at(each.answer.start, f"→ {each.answer.text}")
        yield from self._statements("To ask next", questions.next)
        if questions.clarifications:
            yield _part("Times to make clear")
        for unclear in questions.clarifications:
            yield self._at(unclear.start, unclear.question)

    def _suggestions(self, found: SpeakerNames) -> Iterator[Text]:
        for each in found.suggestions:
            yield _fact(each.label, f"{self._named(each.name)}, {each.confidence:.0%}: {self._named(each.reason)}")

    def _topics(self, graph: KnowledgeGraph) -> Iterator[Text]:
        kinds = dict.fromkeys(node.kind for node in graph.nodes)
        for kind in kinds:
            nodes = sorted((node for node in graph.nodes if node.kind == kind), key=lambda node: -node.weight)
            more = f", and {len(nodes) - _MOST_TOPICS} more" if len(nodes) > _MOST_TOPICS else ""
            yield _fact(kind.capitalize(), ", ".join(self._named(node.label) for node in nodes[:_MOST_TOPICS]) + more)

    def _statements(self, part: str, statements: Iterable[Statement]) -> Iterator[Text]:
        for number, statement in enumerate(statements):
            if not number:
                yield _part(part)
            start = next((segment.start for segment in cited(statement.segments, self.transcript)), 0.0)
            line = self._at(start, statement.text)
            if isinstance(statement, ActionItem):
                details = (statement.owner, statement.due, statement.priority)
                line.append("".join(f"  [{self._named(each)}]" for each in details if each), style="dim")
            yield line

    def _at(self, start: float, text: str) -> Text:
        return Text.assemble((f"  {clock(start)}  ", "dim"), self._named(text))

    def _named(self, text: str) -> str:
        return plain(named(text, self.names))


def _part(title: str) -> Text:
    return Text(f" {title}", style="underline")


def _fact(name: str, value: str) -> Text:
    return Text.assemble((f"  {name}: ", "dim"), plain(value))
