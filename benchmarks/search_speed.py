"""How fast transcripts are indexed and found, embedded and in OpenSearch.

    python -m benchmarks.search_speed TESTDATA [--segments 200000] [--opensearch-url http://127.0.0.1:9200]
        [--rounds 40] [--no-embedded]

Makes files of 1,000 segments (an hour each) by drawing words of the real transcripts under TESTDATA as often as they
are spoken there; one word in 30 is two of them in one, so that the vocabulary grows as that of real speech does. The
same segments and queries each time. Ten owners; queries run over everything unless it says otherwise, each for one page
of ten files with facets, totals and suggestion. Prints segments indexed per second, p50, p95 and worst by kind of query
and, with both backends, their ratios.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from statistics import median, quantiles

from transcribe_pipeline.evaluation.references import find_references
from transcribe_pipeline.search.documents import MediaDocument, Passage
from transcribe_pipeline.search.embedded import EmbeddedIndex
from transcribe_pipeline.search.index import Query, Scope, SearchIndex

MANIFEST = Path(__file__).parent / "testdata.yaml"
OWNERS = 10
SEGMENTS_PER_FILE = 1000
SECONDS_PER_SEGMENT = 3.6
FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Speech:
    """What the real transcripts say in languages with spaces."""

    words: Sequence[str]
    """As often as they are spoken."""
    lengths: Sequence[int]
    """Words in a sentence."""

    @classmethod
    def of(cls, testdata: Path) -> "Speech":
        sentences = []
        for reference in find_references(testdata, MANIFEST):
            if reference.language in ("en", "de", "fr", "es", "it", "pt"):
                texts = [utterance.text for utterance in reference.utterances] or [reference.text or ""]
                sentences += [sentence.split() for text in texts for sentence in text.split(". ")]
        return cls(
            [word for words in sentences for word in words], [min(len(words), 30) for words in sentences if words]
        )

    def segments(self, number: int, chance: random.Random) -> Iterator[str]:
        for length in chance.choices(self.lengths, k=number):
            words = chance.choices(self.words, k=length)
            for i in range(length):
                if chance.random() < 1 / 30:
                    words[i] = words[i].strip(",.;:") + chance.choice(self.words).lower()
            yield " ".join(words)


def documents(speech: Speech, segments: int) -> Iterator[MediaDocument]:
    for number in range(segments // SEGMENTS_PER_FILE):
        chance = random.Random(number)
        yield MediaDocument(
            partition_key=f"file-{number:05}",
            owner=f"owner{number % OWNERS}",
            file_name=f"recording {number}.wav",
            generation=1,
            transcript_id=f"transcript-{number}",
            language="en",
            added_at=FIRST_DAY + timedelta(hours=number),
            seconds=SEGMENTS_PER_FILE * SECONDS_PER_SEGMENT,
            names={},
            passages=tuple(
                Passage(
                    kind="segment",
                    position=i,
                    start=i * SECONDS_PER_SEGMENT,
                    end=(i + 1) * SECONDS_PER_SEGMENT,
                    speaker=f"SPEAKER_{i % 3:02}",
                    speaker_name=f"Person {(number + i % 3) % 50}",
                    text=text,
                )
                for i, text in enumerate(speech.segments(SEGMENTS_PER_FILE, chance))
            ),
        )


def questions(speech: Speech, rounds: int) -> Mapping[str, Sequence[tuple[Query, Scope]]]:
    """Kind -> what is asked."""
    chance = random.Random(0)
    everything, one = Scope.everything(), Scope.of("owner3")
    distinct = sorted({word.strip(",.;:?!\"'").lower() for word in speech.words if len(word) > 3})
    said = [text.split() for text in speech.segments(rounds, random.Random(0))]

    def misspelt(word: str) -> str:
        at = chance.randrange(len(word))
        return word[:at] + chance.choice("aeinrst") + word[at + 1 :]

    def several(make: Callable[[int], Query], scope: Scope = everything) -> list[tuple[Query, Scope]]:
        return [(make(i), scope) for i in range(rounds)]

    return {
        "a word": several(lambda _: Query(chance.choice(distinct))),
        "a word as spoken": several(lambda _: Query(chance.choice(speech.words))),
        "two words": several(lambda _: Query(f"{chance.choice(distinct)} {chance.choice(speech.words)}")),
        "a phrase": several(lambda i: Query(f'"{" ".join(said[i][:3])}"')),
        "a beginning": several(lambda _: Query(f"{chance.choice(distinct)[:4]}*")),
        "a misspelt word": several(lambda _: Query(misspelt(chance.choice(distinct)), fuzzy=True)),
        "a word and filters": several(
            lambda i: Query(
                chance.choice(distinct), speakers=frozenset({f"person {i % 50}"}), since=FIRST_DAY + timedelta(hours=i)
            )
        ),
        "a word of one owner": several(lambda _: Query(chance.choice(distinct)), one),
        "facets of everything": several(lambda _: Query("")),
    }


def indexing_rate(index: SearchIndex, speech: Speech, segments: int) -> float:
    """Segments a second; making them is not counted."""
    made = documents(speech, segments)
    seconds = 0.0
    while batch := list(islice(made, 20)):
        seconds += _seconds(index.put_all, batch)
    return segments / seconds


def query_times(index: SearchIndex, asked: Mapping[str, Sequence[tuple[Query, Scope]]]) -> dict[str, list[float]]:
    """Kind -> milliseconds of each, kinds in turns."""
    times: dict[str, list[float]] = {kind: [] for kind in asked}
    for turn in zip(*asked.values(), strict=True):
        for kind, (query, scope) in zip(asked, turn, strict=True):
            times[kind].append(1000 * _seconds(index.search, query, scope))
    return times


def _seconds(work: Callable[..., object], *arguments: object) -> float:
    started = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - started


def measure(name: str, index: SearchIndex, speech: Speech, arguments: argparse.Namespace) -> dict[str, float]:
    """Kind -> p50 in milliseconds; prints all figures."""
    rate = indexing_rate(index, speech, arguments.segments)
    size = index.status().size_bytes / 1e6
    print(f"\n{name}: {rate:,.0f} segments/s indexed, {size:,.0f} MB\n", flush=True)
    times = query_times(index, questions(speech, arguments.rounds))
    times["all together"] = [value for values in times.values() for value in values]
    print(f"{'query':24} {'p50':>8} {'p95':>8} {'worst':>8}  ms")
    for kind, values in times.items():
        print(f"{kind:24} {median(values):8.1f} {quantiles(values, n=20)[-1]:8.1f} {max(values):8.1f}", flush=True)
    return {kind: median(values) for kind, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("testdata", type=Path)
    parser.add_argument("--segments", type=int, default=200_000)
    parser.add_argument("--opensearch-url", default="")
    parser.add_argument("--rounds", type=int, default=40, help="queries of each kind")
    parser.add_argument("--no-embedded", action="store_true")
    arguments = parser.parse_args()
    speech = Speech.of(arguments.testdata)
    print(f"{arguments.segments:,} segments, {len(set(speech.words)):,} real words")
    medians = {}
    if not arguments.no_embedded:
        with tempfile.TemporaryDirectory() as folder:
            medians["FTS5"] = measure("SQLite FTS5", EmbeddedIndex(Path(folder) / "search.db"), speech, arguments)
    if arguments.opensearch_url:
        from transcribe_pipeline.search.opensearch import OpenSearchIndex

        index = OpenSearchIndex(arguments.opensearch_url, "search-speed")
        try:
            medians["OpenSearch"] = measure("OpenSearch", index, speech, arguments)
        finally:
            index.discard(*index.aliases())
    if len(medians) == 2:
        print(f"\n{'p50, OpenSearch / FTS5':24}")
        for kind, value in medians["OpenSearch"].items():
            print(f"{kind:24} {value / medians['FTS5'][kind]:8.2f}")


if __name__ == "__main__":
    main()
