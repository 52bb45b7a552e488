"""`transcribe search`: what was found, for people and as JSON. Knows the index by its interface alone."""

from collections.abc import Mapping
from dataclasses import asdict

from rich.text import Text

from transcribe_pipeline.cli import output
from transcribe_pipeline.cli.output import plain
from transcribe_pipeline.search.index import FileHits, Hit, Query, Results, Scope, SearchIndex

_MATCH_STYLE = "bold reverse"
_FACETS_SHOWN = 5


def search(index: SearchIndex, query: Query, scope: Scope, *, as_json: bool) -> None:
    """Raises BAD_QUERY, SEARCH_UNAVAILABLE."""
    results = index.search(query, scope)
    if as_json:
        output.print_json(_description(results))
        return
    for file in results.files:
        _print_file(file)
    output.note(_summary(results, query))
    for note in results.notes:
        output.note(plain(note))
    if results.suggestion:
        output.note(f"Did you mean: {plain(results.suggestion)}")


def _print_file(file: FileHits) -> None:
    console = output.stdout()
    heading = Text(plain(file.file_name), style="bold")
    more = f", {len(file.hits)} of {file.total} hits" if file.total > len(file.hits) else ""
    about = f"{plain(file.owner)}, {file.added_at:%Y-%m-%d}, {file.language}{more}"
    heading.append(f"  {about}  {file.partition_key}", style="dim")
    console.print(heading)
    for hit in file.hits:
        console.print(_line(hit))


def _line(hit: Hit) -> Text:
    """'  0:01:02  Ann Lee: what she said' or '  0:01:02  [chapter] Prices', what was looked for marked."""
    line = Text(f"  {output.clock(hit.start)}  ")
    if hit.kind != "segment":
        line.append(f"[{hit.kind}] ", style="magenta")
    if hit.speaker_name:
        line.append(f"{plain(hit.speaker_name)}: ", style="cyan")
    for piece in hit.pieces:
        line.append(_one_line(piece.text), style=_MATCH_STYLE if piece.is_match else "")
    if hit.by_meaning:
        line.append("  (by meaning)", style="dim")
    return line


def _one_line(piece: str) -> str:
    """`plain`, but with the spaces to its neighbours."""
    inside = plain(piece)
    before = " " if piece[:1].isspace() else ""
    after = " " if inside and piece[-1:].isspace() else ""
    return before + inside + after


def _summary(results: Results, query: Query) -> str:
    if not results.total_files:
        return "Nothing was found."
    first, last = query.offset + 1, query.offset + len(results.files)
    page = f"; files {first} to {last}, see --page" if len(results.files) < results.total_files else ""
    counted = f"{_many(results.total_hits, 'hit')} in {_many(results.total_files, 'file')}{page}."
    facets = [_facet(name, values) for name, values in results.facets.items() if len(values) > 1]
    return "\n".join([counted, *facets])


def _many(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _facet(name: str, values: Mapping[str, int]) -> str:
    """'speaker: Ann Lee 12, Bob 3, ...'."""
    shown = [f"{plain(value)} {count:,}" for value, count in list(values.items())[:_FACETS_SHOWN]]
    return f"{name}: {', '.join(shown)}{', ...' if len(values) > _FACETS_SHOWN else ''}"


def _description(results: Results) -> dict[str, object]:
    described = asdict(results)
    for file in described["files"]:
        for hit in file["hits"]:
            hit["text"] = "".join(piece["text"] for piece in hit["pieces"])
    return described
