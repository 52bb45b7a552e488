"""`transcribe index`: what the search index holds, and mending or replacing it. The ledger is the truth."""

from dataclasses import asdict

from transcribe_pipeline.cli import output
from transcribe_pipeline.cli.files import open_ledger
from transcribe_pipeline.cli.output import plain
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.resources.search_index import Search
from transcribe_pipeline.search import reindex
from transcribe_pipeline.search.index import SearchIndex
from transcribe_pipeline.search.opensearch import OpenSearchIndex
from transcribe_pipeline.settings import load_settings


def status(*, as_json: bool) -> None:
    configured = load_settings()
    search = Search(configured)
    found = search.index.status()
    is_equal = search.is_equal(open_ledger(configured))
    if as_json:
        output.print_json(asdict(found) | {"is_complete": is_equal})
        return
    facts = output.table("", "")
    facts.show_header = False
    facts.add_row("index", plain(f"{found.backend}, {found.location}"))
    facts.add_row("holds", f"{found.media:,} files, {found.passages:,} segments, {found.vectors:,} vectors")
    facts.add_row("size", output.size(found.size_bytes))
    facts.add_row("by meaning", plain(found.semantic) or "yes")
    facts.add_row("complete", "yes" if is_equal else "no; 'transcribe index reconcile' mends it")
    for name, value in found.details.items():
        facts.add_row(name, plain(value))
    output.stdout().print(facts)


def reconcile() -> None:
    configured = load_settings()
    gaps = Search(configured).reconcile(open_ledger(configured))
    told = ", ".join(f"{count:,} {gap.value}" for gap, count in gaps.items())
    output.note(f"Mended: {told}." if told else "The index was complete.")


def rebuild() -> None:
    configured = load_settings()
    search = Search(configured)
    reindex.reindex(_opensearch(search.index), search.source(open_ledger(configured)))
    output.note("The new index is searched. 'transcribe index confirm' deletes the previous one, 'rollback' goes back.")


def confirm() -> None:
    reindex.confirm(_opensearch(Search(load_settings()).index))


def rollback() -> None:
    configured = load_settings()
    search = Search(configured)
    reindex.roll_back(_opensearch(search.index), search.source(open_ledger(configured)))


def _opensearch(index: SearchIndex) -> OpenSearchIndex:
    if not isinstance(index, OpenSearchIndex):
        raise PipelineError(
            ErrorCode.REINDEX_REFUSED, "the embedded index is rebuilt by deleting search.db and reconciling"
        )
    return index
