# ruff: noqa: RUF001  # characters that look like others are what is tested
"""What every backend must do, written once: each backend's test module has a subclass of `SearchContract` and fixtures.

    index        holds samples.CORPUS; shared and never changed. No embedder.
    empty_index  holds nothing, for one test alone. No embedder.
    meaning      the same with samples.Signs as its embedder.

What `put` has returned from must be found at once.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.export.insights import insights_of
from tests.search.samples import (
    CORPUS,
    OWNERS,
    A,
    B,
    document,
    real_documents,
    transcript,
    with_chunks,
    with_insights,
    words_of,
)
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.search.documents import insight_passages
from transcribe_pipeline.search.index import FileHits, Hit, Query, Results, Scope, SearchIndex
from transcribe_pipeline.text.words import is_unspaced

TEXTS = {
    (document.partition_key, passage.position): passage.text for document in CORPUS for passage in document.passages
}
ALL = Scope.everything()
ANN = Scope.of("ann")

# Query -> where it is found, over all owners.
EXPECTED = [
    # words: all of them, in one passage, in any order, whatever their case
    ("bank", {"budget": [1, 3], "merger": [2]}),
    ("BANK believes", {"budget": [1]}),
    ("believes quetzalcorp", {}),
    ("interest rate", {"budget": [0, 3, 5], "merger": [1]}),
    ("owner bob", {}),
    # phrases
    ('"interest rate"', {"budget": [3], "merger": [1]}),
    ('"rate interest"', {}),
    ('"interest rates"', {"budget": [0]}),
    ('"the bank" twice', {"budget": [3]}),
    ("well-known", {"budget": [2]}),
    ("known-well", {}),
    # beginnings
    ("transcri*", {"budget": [4]}),
    ("quetz* conf*", {"merger": [0]}),
    ("well-kno*", {"budget": [2]}),
    ("zz*", {}),
    # roughly
    ("xylofone~", {"merger": [0]}),
    ("autum~", {"budget": [0]}),
    ("xylofone", {}),
    ("ab~", {}),
    # without
    ("bank -believes", {"budget": [3], "merger": [2]}),
    ('house -"interest rate"', {"budget": [1, 5]}),
    ("bank -bel* -raised", {"merger": [2]}),
    # forms of a word
    ("house", {"budget": [1, 3, 5], "merger": [1]}),
    ("transcribes", {"budget": [4]}),
    ("Häuser", {"oma": [0, 1]}),
    ("Haus", {"oma": [0, 1]}),
    ("cheval", {"ferme": [0, 1]}),
    ("canción", {"abuela": [0, 1]}),
    ("ragazzo", {"giardino": [0, 1]}),
    ("livros", {"reuniao": [0, 1]}),
    ("книга", {"knigi": [0, 1]}),
    ("كتاب", {"kitab": [0, 1]}),
    # with or without marks on letters
    ("cafe", {"budget": [2], "ferme": [2]}),
    ("zurich", {"budget": [2]}),
    ("uber spater", {"oma": [2]}),
    ("grossmutter", {"oma": [1]}),
    ("reuniao", {"reuniao": [2]}),
    ("елка", {"knigi": [2]}),
    ("ÜBER", {"oma": [2]}),
    # scripts without spaces: any part
    ("京都", {"tokyo": [0, 2]}),
    ("東京都", {"tokyo": [0]}),
    ("機械学習", {"tokyo": [1]}),
    ("お茶", {"tokyo": [2]}),
    ("人工智能", {"beijing": [0]}),
    ("大学 北京", {"beijing": [0]}),
    ('"利率"', {"beijing": [1]}),
    ("서울", {"seoul": [0]}),
    ("학습", {"seoul": [1]}),
    # a language that nobody knows
    ("wuggly", {"demo": [0, 1]}),
    ("wugg* zonk", {"demo": [0]}),
]  # fmt: skip

# The same over the real recordings of the test data; keys are abbreviated to what tells them apart.
REAL = [
    ("crocodile", {"diarization_test": [1]}),
    ('"new jersey"', {"sample-wav": [6, 9, 12]}),
    ("chicago originally", {"sample-wav": [7, 8]}),
    ("chicago -also", {"sample-wav": [7]}),
    ("yankee texas", {}),
    ("beeping", {"sample-wav": [5]}),
    ("woodcutter", {"lj_long": [2], "7spk": [3]}),
    ("gutenb*", {"lj_long": [6, 20], "7spk": [9]}),
    ("gutenburg~", {"lj_long": [6, 20], "7spk": [9]}),
    ('"ask not what your country"', {"jfk-flac": [0], "jfk-mp3": [0], "7spk": [2]}),
    ("turbulences", {"diarization_test": [2]}),
    ("portal leichenhalle", {"test_de": [0]}),
    ("foret", {"test_fr": [0]}),
    ("canzone", {"test_it": [0]}),
    ("raposa velha", {"test_pt": [0]}),
    ("academia espanola", {"es-mp3": [1]}),
    ("valdemoro", {"es-mp3": [2, 7]}),
    ("判断的知識", {"test_ja": [0]}),
    ("걸어갔다", {"test_ko": [0]}),
]  # fmt: skip

FILTERED = [
    (Query("interest", owners=frozenset({"bob"})), {"merger": [1]}),
    (Query("interest", speakers=frozenset({"ann lee"})), {"budget": [0], "merger": [1]}),
    (Query("zinsen", speakers=frozenset({"ANN LEE"})), {"oma": [2]}),
    (Query("interest", speakers=frozenset({"Bob Ray", "Nobody"})), {"budget": [3]}),
    (Query("cafe", languages=frozenset({"fr", "xx"})), {"ferme": [2]}),
    (Query("bank", files=frozenset({"merger"})), {"merger": [2]}),
    (Query("bank", since=datetime(2026, 1, 10, tzinfo=UTC), until=datetime(2026, 1, 20, tzinfo=UTC)),
     {"budget": [1, 3]}),
    (Query("bank", since=datetime(2026, 1, 11, tzinfo=UTC)), {"merger": [2]}),
    (Query("bank", min_seconds=1800.0, max_seconds=7199.0), {"budget": [1, 3]}),
    (Query("bank", min_seconds=1801.0), {"merger": [2]}),
    (Query("bank", kinds=frozenset({"segment"}), owners=frozenset({"ann", "bob"})), {"budget": [1, 3], "merger": [2]}),
    (Query("", files=frozenset({"oma"})), {"oma": [0, 1, 2]}),
    (Query(" ", speakers=frozenset({"Bob Ray"})), {"budget": [1, 3]}),
    (Query("xylofone quetzalcorb", fuzzy=True), {"merger": [0]}),
    (Query("intrest hous", fuzzy=True, owners=frozenset({"ann"})), {"budget": [3, 5]}),
]  # fmt: skip

# What has been tried against search boxes: FTS5 and Lucene syntax, JSON, wildcards, regular expressions, odd Unicode.
HOSTILE = [
    "owner:bob",
    "owner:*",
    "*",
    "bank OR owner:bob",
    '" OR ""',
    '" OR owner MATCH "bob',
    'bank" OR 1=1 --',
    "' OR '1'='1",
    "'; DROP TABLE media; --",
    "bank) OR (owner:bob",
    "NEAR(bank bob, 10)",
    "^bank {words stems} : bank",
    "- bank + - {owner} : bob",
    "bank NOT ann",
    "_exists_:owner",
    "owner:/b.*/ AND text:/(a+)+$/",
    "[* TO *] bank~99999999^1e9",
    '{"query":{"match_all":{}}}',
    '{"terms":{"owner":["bob"]}}',
    "\\u0022 \\ bank\\",
    "bank\x00 OR owner:bob",
    "bank \ud800",
    "ｂａｎｋ　ＯＲ　ｂｏｂ",
    "\u202ebank\u2066 \u200bbob\ufeff",
    "İ ß ﬁ ǅ K Å \u0345 \u1fb7",
    "a\u0300" * 200,
    "((((((((((((((((" * 10 + "bank",
    "bank " * 90,
    "x" * 10_000,
    "xylophone* -zzz",
    "../../merger",
    "%' ESCAPE '\\",
    "${owner} {{owner}} <script>alert(1)</script>",
    "a* " * 32,
    "bank~ " * 32,
]  # fmt: skip

HOSTILE_VALUES = [
    "bob",
    "*",
    "' OR 1=1 --",
    "../../merger",
    "en) OR (x",
    "",
    "\x00",
    "a\x00b",
    "\ud800",
    '"]',
    "%",
    "_",
]


def where(results: Results) -> dict[str, list[int]]:
    """Key -> positions of all hits, in order."""
    return {file.partition_key: sorted(hit.position for hit in file.hits) for file in results.files}


def every_hit(index: SearchIndex, query: Query, scope: Scope = ALL) -> dict[str, list[int]]:
    results = index.search(_with(query, limit=100, hits_per_file=100), scope)
    found = where(results)
    assert results.total_files == len(found)
    assert results.total_hits == sum(file.total for file in results.files) == sum(map(len, found.values()))
    return found


def _with(query: Query, **changes: object) -> Query:
    return Query(**{**query.__dict__, **changes})


def text_of(hit: Hit) -> str:
    return "".join(piece.text for piece in hit.pieces)


def matched(hit: Hit) -> list[str]:
    return [word for piece in hit.pieces if piece.is_match for word in re.findall(r"\w+", piece.text)]


def shown(results: Results) -> Iterator[str]:
    """Every text that people get to see, but for the suggestion: that repeats what they typed."""
    for file in results.files:
        yield from (file.partition_key, file.owner, file.file_name)
        for hit in file.hits:
            yield from (hit.speaker_name, text_of(hit))
    for facet in results.facets.values():
        yield from facet
    yield from results.notes


def only(results: Results, key: str) -> FileHits:
    (file,) = (file for file in results.files if file.partition_key == key)
    return file


class SearchContract:
    # --- what is found ---

    @pytest.mark.parametrize(("text", "expected"), EXPECTED, ids=[text for text, _ in EXPECTED])
    def test_words_are_found_where_they_are(self, index, text, expected):
        assert every_hit(index, Query(text)) == expected
        for file in index.search(Query(text), ALL).files:
            for hit in file.hits:
                assert text_of(hit) == TEXTS[file.partition_key, hit.position]
                assert any(piece.is_match for piece in hit.pieces)

    @pytest.mark.parametrize(("query", "expected"), FILTERED)
    def test_filters_all_hold(self, index, query, expected):
        assert every_hit(index, query) == expected

    def test_an_empty_query_finds_all_that_is_said(self, index):
        assert every_hit(index, Query()) == {
            document.partition_key: [passage.position for passage in document.passages]
            for document in CORPUS
            if document.passages
        }

    def test_what_is_exactly_so_comes_before_other_forms(self, index):
        for text, first in [("houses", 1), ("rates", 0)]:
            assert only(index.search(Query(text), ANN), "budget").hits[0].position == first

    def test_a_hit_says_what_is_needed_to_show_it(self, index):
        file = only(index.search(Query("twice"), ANN), "budget")
        (hit,) = file.hits
        assert (file.owner, file.file_name, file.transcript_id) == ("ann", "Budget meeting.mp4", "budget:1")
        assert (file.language, file.seconds, file.total) == ("en", 1800.0, 1)
        assert file.added_at == datetime(2026, 1, 10, tzinfo=UTC)
        assert (hit.kind, hit.position, hit.start, hit.end) == ("segment", 3, 30.0, 39.0)
        assert (hit.speaker, hit.speaker_name, hit.by_meaning) == (B, "Bob Ray", False)
        nameless = only(index.search(Query("every"), ANN), "budget").hits[0]
        assert (nameless.speaker, nameless.speaker_name) == (None, "")
        labelled = only(index.search(Query("книги"), ALL), "knigi").hits[0]
        assert (labelled.speaker, labelled.speaker_name) == (A, A)

    @pytest.mark.parametrize(
        ("text", "key", "position", "words"),
        [
            ("bank raised", "budget", 3, ["bank", "raised"]),
            ('"interest rate"', "budget", 3, ["interest", "rate"]),
            ("house", "budget", 1, ["houses"]),
            ("transcri*", "budget", 4, ["Transcription", "transcribing"]),
            ("intrest~ house", "budget", 5, ["interest", "house"]),
            ("cafe", "budget", 2, ["café"]),
            ("well-known", "budget", 2, ["well", "known"]),
            ("hauser", "oma", 0, ["Häuser"]),
            ("機械学習", "tokyo", 1, ["機械学習"]),
            ("학습", "seoul", 1, ["학습"]),
        ],
    )
    def test_matches_are_marked(self, index, text, key, position, words):
        results = index.search(Query(text, hits_per_file=100), ALL)
        (hit,) = (hit for hit in only(results, key).hits if hit.position == position)
        together = is_unspaced(only(results, key).language) or key == "seoul"
        assert ("".join(matched(hit)) == "".join(words)) if together else (matched(hit) == words)

    def test_markup_in_what_is_said_stays_text(self, empty_index):
        said = 'He said <em>bank</em> & "bank" \\ \ue000bank\ue001 <script>alert("bank")</script>'
        empty_index.put(document("x", "ann", "en", [(A, said)], names={A: "<b>Eve</b>"}, file_name="<i>.wav"))
        file = only(empty_index.search(Query("bank"), ALL), "x")
        assert text_of(file.hits[0]) == said
        assert matched(file.hits[0]) == ["bank"] * 4
        assert (file.hits[0].speaker_name, file.file_name) == ("<b>Eve</b>", "<i>.wav")

    # --- chapters and summaries ---

    def test_chapters_and_statements_are_found_beside_segments_by_their_kind(self, empty_index):
        call = with_insights("call", "ann", [(A, "We sell the house."), (B, "The bank agrees.")], names={A: "Ann Lee"})
        empty_index.put(call)
        found = {
            ("segment", 0, 0.0, A, "Ann Lee", "We sell the house."),
            ("chapter", 0, 0.0, None, "", "The house (1)"),
            ("chapter", 1, 10.5, None, "", "The house (2)"),
            ("summary", 1, 0.0, None, "", "Bottom line: Ann Lee sells the house"),
        }
        results = empty_index.search(Query("house", limit=100, hits_per_file=100), ALL)
        hits = only(results, "call").hits
        assert {(h.kind, h.position, h.start, h.speaker, h.speaker_name, text_of(h)) for h in hits} >= found
        assert only(results, "call").total == results.total_hits == len(hits)
        assert results.facets["speaker"] == {"Ann Lee": 1}
        by_kind = {
            kind: every_hit(empty_index, Query("house", kinds=frozenset({kind}))).get("call")
            for kind in ("segment", "chapter", "summary")
        }
        assert by_kind["segment"] == [0]
        assert by_kind["chapter"] == [0, 1]
        assert len(by_kind["summary"] or []) == len(hits) - 3
        (task,) = only(empty_index.search(Query('"by friday"'), ALL), "call").hits
        assert text_of(task) == "To do: Ann Lee sells the house (SPEAKER_01, by Friday)"

    def test_everything_of_a_file_can_be_counted_by_its_kind(self, empty_index):
        call = with_insights("call", "ann", [(A, "We sell the house."), (B, "The bank agrees.")])
        empty_index.put(call)
        kinds = [passage.kind for passage in call.passages]
        for kind in ("segment", "chapter", "summary"):
            query = Query(files=frozenset({"call"}), kinds=frozenset({kind}), limit=1, hits_per_file=1)
            assert empty_index.search(query, ALL).total_hits == kinds.count(kind) > 0
        assert empty_index.search(Query(), ALL).total_hits == len(kinds)
        (held,) = empty_index.held()
        assert (held.expected, held.passages, held.digest) == (len(kinds), len(kinds), call.digest)
        shown = only(empty_index.search(Query(hits_per_file=100), ALL), "call").hits
        assert [hit.position for hit in shown] == sorted(hit.position for hit in shown)
        assert {hit.start for hit in shown if hit.kind == "segment"} == {0.0, 10.0}

    def test_insights_leave_with_their_file_and_what_replaces_them_is_found_alone(self, empty_index):
        empty_index.put(with_insights("call", "ann", [(A, "Old words.")], text="xylophones"))
        assert empty_index.suggest("xyl", ALL) == ["xylophones"]
        assert not empty_index.search(Query("xylophones"), Scope.of("bob")).files
        empty_index.put(with_insights("call", "ann", [(A, "Old words.")], text="quetzals"))
        assert every_hit(empty_index, Query("xylophones")) == {}
        assert empty_index.suggest("xyl", ALL) == []
        assert every_hit(empty_index, Query("quetzals", kinds=frozenset({"chapter"}))) == {"call": [0, 1]}
        empty_index.put(document("call", "ann", "en", [(A, "Old words.")]))
        assert every_hit(empty_index, Query()) == {"call": [0]}

    def test_meaning_is_that_of_what_was_said(self, meaning):
        """Vectors are of segments: a chapter at the same position is never taken for one."""
        told = insights_of(transcript("en", [(A, "The puppy barks.")]), "A dog")
        pets = with_chunks("pets", "ann", [["The puppy barks."], ["Rain again."]])
        passages = pets.passages + insight_passages(told, transcript("en", [(A, "The puppy barks.")]), {})
        meaning.put(type(pets)(**{**pets.__dict__, "passages": passages}))
        results = meaning.search(Query("kennel", semantic=True, hits_per_file=100), ANN)
        assert [(hit.kind, hit.position) for hit in only(results, "pets").hits if hit.by_meaning][:1] == [
            ("segment", 0)
        ]
        assert {hit.kind for hit in only(results, "pets").hits} == {"segment"}

    # --- pages, facets ---

    def test_hits_are_grouped_and_counted_per_file(self, index):
        results = index.search(Query("bank", hits_per_file=1), ALL)
        assert {file.partition_key: (file.total, len(file.hits)) for file in results.files} == {
            "budget": (2, 1),
            "merger": (1, 1),
        }
        assert (results.total_files, results.total_hits) == (2, 3)

    def test_pages_neither_repeat_nor_leave_out(self, empty_index):
        documents = [document(f"file{i:02}", "ann", "en", [(A, "bank")] * (1 + i % 3)) for i in range(23)]
        empty_index.put_all(documents)
        for text in ("bank", ""):
            everything = empty_index.search(Query(text, limit=100), ALL)
            pages = [empty_index.search(Query(text, offset=offset, limit=5), ALL) for offset in range(0, 30, 5)]
            assert [file for page in pages for file in page.files] == list(everything.files)
            assert len({file.partition_key for file in everything.files}) == 23
            assert {(page.total_files, page.total_hits) for page in pages} == {(23, everything.total_hits)}

    def test_the_best_hit_comes_first(self, index):
        for query in [Query("interest rate house"), Query("bank"), Query("the -zzz")]:
            results = index.search(query, ALL)
            best = [file.hits[0].score for file in results.files]
            assert best == sorted(best, reverse=True)
            for file in results.files:
                scores = [hit.score for hit in file.hits]
                assert scores == sorted(scores, reverse=True)

    def test_facets_count_all_hits_and_not_only_the_page(self, index):
        results = index.search(Query("interest", limit=1, hits_per_file=1), ALL)
        assert results.facets["owner"] == {"ann": 3, "bob": 1}
        assert results.facets["language"] == {"en": 4}
        assert results.facets["speaker"] == {"Ann Lee": 2, "Bob Ray": 1}  # and one by nobody known
        assert list(results.facets["owner"]) == ["ann", "bob"]

    def test_facets_have_the_20_most_frequent(self, empty_index):
        lines = [(f"S{i}", "bank") for i in range(25) for _ in range(25 - i)]
        empty_index.put(document("x", "ann", "en", lines))
        assert empty_index.search(Query("bank"), ALL).facets["speaker"] == {f"S{i}": 25 - i for i in range(20)}

    def test_limits_are_held(self, index):
        for query in [Query("x" * 501), Query(limit=101), Query(limit=0), Query(offset=-1), Query("-a")]:
            with pytest.raises(PipelineError) as refused:
                index.search(query, ALL)
            assert refused.value.code is ErrorCode.BAD_QUERY

    # --- suggestions ---

    @pytest.mark.parametrize(
        ("text", "better"),
        [
            ("intrest", "interest"),
            ("intrest -rate", "interest -rate"),
            ('"the bank" twise', '"the bank" twice'),
            ("grosmutter", "großmutter"),
        ],
    )
    def test_misspelt_words_are_put_right(self, index, text, better):
        assert (index.search(Query(text), ANN).suggestion or "").casefold() == better.casefold()

    @pytest.mark.parametrize("text", ["interest", "house", "", "qqqqqqqq", '"intrest"', "intres*", "東京"])
    def test_there_is_no_suggestion_without_a_better_word(self, index, text):
        assert index.search(Query(text), ANN).suggestion is None

    def test_beginnings_are_completed(self, index):
        assert [word.casefold() for word in index.suggest("inte", ALL)] == ["interest"]
        assert index.suggest("budget m", ALL) == ["Budget meeting.mp4"]
        assert "Bob Ray" in index.suggest("bob", ALL)
        assert "Ünal Şen" in index.suggest("unal", ALL)
        assert [word.casefold() for word in index.suggest("hous", ANN)] == [
            "house",
            "houses",
        ]  # the more frequent first
        assert len(index.suggest("b", ALL, limit=2)) == 2
        assert index.suggest("", ALL) == []

    # --- isolation ---

    @pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
    def test_hostile_queries_give_only_what_the_owner_may_see(self, index, text):
        for query in [Query(text), Query(text, fuzzy=True), Query(text, owners=frozenset({"bob"})), Query(f'"{text}"')]:
            try:
                results = index.search(query, ANN)
            except PipelineError as error:
                assert error.code is ErrorCode.BAD_QUERY  # noqa: PT017
                continue
            _assert_anns(results, text)
            assert query.owners != {"bob"} or not results.files
        _assert_no_word_of_others(index.suggest(text, ANN))

    @pytest.mark.parametrize("value", HOSTILE_VALUES, ids=range(len(HOSTILE_VALUES)))
    def test_hostile_filters_give_only_what_the_owner_may_see(self, index, value):
        for name in ("owners", "speakers", "languages", "files"):
            results = index.search(Query("bank", **{name: frozenset({value})}), ANN)
            _assert_anns(results, "bank")
            assert not results.files
        assert not index.search(Query(), Scope.of(value if value != "bob" else "BOB")).files
        assert index.suggest("b", Scope.of(value if value != "bob" else "BOB")) == []

    def test_a_filter_for_another_owner_finds_nothing(self, index):
        results = index.search(Query("", owners=frozenset({"bob"})), ANN)
        assert (results.files, results.total_hits, dict(results.facets.get("owner", {}))) == ((), 0, {})

    def test_only_the_owners_of_the_scope_are_seen(self, index):
        for owners in [{"ann"}, {"bob"}, {"ann", "cleo"}]:
            found = every_hit(index, Query(), Scope.of(*owners))
            assert {OWNERS[key] for key in found} == owners
        assert index.search(Query(), Scope.of()) == Results((), 0, 0, {})
        assert index.suggest("b", Scope.of()) == []

    def test_owners_are_exact(self, empty_index):
        for owner in ("ann", "Ann", "ann lee", "änn", "an"):
            empty_index.put(document(f"of {owner}".replace(" ", "-"), owner, "en", [(A, "bank")]))
        assert every_hit(empty_index, Query("bank"), ANN) == {"of-ann": [0]}
        assert every_hit(empty_index, Query("bank", owners=frozenset({"Ann"})), ALL) == {"of-Ann": [0]}

    def test_words_of_others_are_never_revealed(self, index):
        for word in [*sorted(words_of("bob"))[::5], "xylophone", "quetzalcorp", "zebedee", "unannounced"]:
            misspelt = word[:-1] + ("x" if word[-1] != "x" else "y")
            for text in (word, f"{misspelt}~", f"{word[:3]}*"):
                try:
                    results = index.search(Query(text, fuzzy=True), ANN)
                except PipelineError:
                    continue
                _assert_anns(results, text)
            for length in (1, 3):
                _assert_no_word_of_others(index.suggest(word[:length], ANN))

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(text=st.text(st.characters(), max_size=40), fuzzy=st.booleans())
    def test_no_text_breaks_out(self, index, text, fuzzy):
        try:
            _assert_anns(index.search(Query(text, fuzzy=fuzzy), ANN), text)
        except PipelineError as error:
            assert error.code is ErrorCode.BAD_QUERY  # noqa: PT017
        _assert_no_word_of_others(index.suggest(text, ANN))

    # --- what is held ---

    def test_an_empty_index_answers(self, empty_index):
        assert empty_index.search(Query("bank"), ALL).total_files == 0
        assert empty_index.suggest("ba", ALL) == []
        assert list(empty_index.held()) == []
        empty_index.remove(["unknown"])
        status = empty_index.status()
        assert (status.media, status.passages, status.vectors) == (0, 0, 0)

    def test_what_is_put_replaces_what_was_there(self, empty_index):
        empty_index.put(document("x", "ann", "en", [(A, "First words."), (B, "Second words."), (A, "Third.")]))
        again = document("x", "bob", "de", [(A, "Ganz andere Worte.")], generation=2, names={A: "Eve"})
        empty_index.put(again)
        assert every_hit(empty_index, Query()) == {"x": [0]}
        assert every_hit(empty_index, Query("words")) == {}
        assert every_hit(empty_index, Query("worte"), ANN) == {}
        file = only(empty_index.search(Query("worte"), ALL), "x")
        assert (file.owner, file.transcript_id, file.language) == ("bob", "x:2", "de")
        assert empty_index.suggest("wor", ALL, limit=5) in (["worte"], ["Worte"])
        assert [(held.partition_key, held.digest, held.expected, held.passages) for held in empty_index.held()] == [
            ("x", again.digest, 1, 1)
        ]

    def test_putting_the_same_twice_changes_nothing(self, empty_index):
        empty_index.put(CORPUS[0])
        before = (empty_index.search(Query("interest"), ALL), list(empty_index.held()), empty_index.suggest("in", ALL))
        empty_index.put(CORPUS[0])
        after = (empty_index.search(Query("interest"), ALL), list(empty_index.held()), empty_index.suggest("in", ALL))
        assert _without_scores(before) == _without_scores(after)

    def test_an_older_generation_can_come_back(self, empty_index):
        """A version is rolled back: what is put last is what counts, not the higher number."""
        empty_index.put(document("x", "ann", "en", [(A, "new words")], generation=5))
        empty_index.put(document("x", "ann", "en", [(A, "old words")], generation=2))
        assert text_of(only(empty_index.search(Query("words"), ALL), "x").hits[0]) == "old words"

    def test_what_is_removed_is_gone_and_nothing_else(self, empty_index):
        empty_index.put_all(CORPUS[:3])
        empty_index.remove(["budget", "never-there"])
        assert [held.partition_key for held in empty_index.held()] == ["ferme", "oma"]
        assert every_hit(empty_index, Query("bank")) == {}
        assert every_hit(empty_index, Query("cafe")) == {"ferme": [2]}
        assert empty_index.suggest("inte", ALL) == []
        assert empty_index.search(Query("intrest"), ALL).suggestion is None

    def test_everything_held_is_told_in_order(self, index):
        held = list(index.held())
        assert [(media.partition_key, media.digest, media.expected, media.passages) for media in held] == sorted(
            (document.partition_key, document.digest, len(document.passages), len(document.passages))
            for document in CORPUS
        )

    def test_status_tells_what_there_is(self, index):
        status = index.status()
        assert status.backend
        assert status.location
        assert (status.media, status.vectors) == (len(CORPUS), 0)
        assert status.passages == sum(len(document.passages) for document in CORPUS)
        assert status.size_bytes > 0
        assert status.semantic  # says why not

    def test_awkward_documents_are_held(self, empty_index):
        text = "bank " + "\U0001f642 a\u0300\u0301 الْكِتَابُ \u202ebank\u202c नमस्ते ไทย ｶﾅ " * 200
        awkward = document(
            "awkward", "a'b\"c", "", [(A, text)], names={A: "'; --\u2028"}, file_name="名前' \"*.wav", seconds=0.0
        )
        empty_index.put(awkward)
        file = only(empty_index.search(Query("bank नमस्ते ไทย"), Scope.of("a'b\"c")), "awkward")
        assert text_of(file.hits[0]) == awkward.passages[0].text

    # --- search by meaning ---

    def test_without_vectors_words_are_found_and_it_is_said(self, index):
        results = index.search(Query("bank", semantic=True), ALL)
        assert where(results).keys() == {"budget", "merger"}
        assert results.notes
        assert not index.search(Query("bank"), ALL).notes

    def test_meaning_finds_what_words_do_not(self, meaning):
        meaning.put(with_chunks("pets", "ann", [["The puppy barks.", "Its kennel is small."], ["Rain again."]]))
        meaning.put(with_chunks("cash", "ann", [["Coins and cash."], ["A storm comes.", "Look at the clouds."]]))
        meaning.put(with_chunks("others", "bob", [["A puppy in a kennel."]]))
        assert not meaning.search(Query("dog"), ANN).files
        results = meaning.search(Query("dog", semantic=True), ANN)
        assert not results.notes
        assert results.files[0].partition_key == "pets"
        first = results.files[0].hits[0]
        assert (first.position, first.by_meaning) == (0, True)
        assert text_of(first) == "The puppy barks."
        _assert_no_others(results, "ann")
        weather = meaning.search(Query("clouds", semantic=True), ANN)
        assert (weather.files[0].partition_key, weather.files[0].hits[0].position) == ("cash", 2)
        assert not weather.files[0].hits[0].by_meaning  # its word is there
        assert meaning.status().vectors == 5
        assert not meaning.status().semantic

    def test_meaning_obeys_the_same_filters(self, meaning):
        meaning.put(with_chunks("pets", "ann", [["The puppy barks."]]))
        meaning.put(with_chunks("more", "bob", [["Another puppy."]]))
        for query, expected in [
            (Query("dog", semantic=True, owners=frozenset({"bob"})), {"more"}),
            (Query("dog", semantic=True, files=frozenset({"pets"})), {"pets"}),
            (Query("dog", semantic=True, languages=frozenset({"de"})), set()),
            (Query("dog", semantic=True, speakers=frozenset({"nobody"})), set()),
            (Query("dog", semantic=True, min_seconds=9999.0), set()),
            (Query("dog -another", semantic=True), {"pets"}),
        ]:
            assert where(meaning.search(query, ALL)).keys() == expected, query

    def test_pages_of_both_neither_repeat_nor_leave_out(self, meaning):
        for i in range(7):
            meaning.put(with_chunks(f"pets{i}", "ann", [["The puppy barks."], ["A dog."] if i % 2 else ["Cash."]]))
        query = Query("dog", semantic=True, limit=100, hits_per_file=100)
        everything = meaning.search(query, ALL)
        pages = [meaning.search(_with(query, offset=offset, limit=2), ALL) for offset in range(0, 8, 2)]
        assert [file for page in pages for file in page.files] == list(everything.files)
        assert everything.total_files == 7
        assert everything.total_hits == sum(file.total for file in everything.files)
        assert everything.facets["owner"] == {"ann": everything.total_hits}

    def test_vectors_of_another_model_are_never_compared(self, meaning):
        other = with_chunks("pets", "ann", [["The puppy barks."]])
        meaning.put(type(other)(**{**other.__dict__, "embedding_model": "another"}))
        results = meaning.search(Query("dog", semantic=True), ALL)
        assert not results.files
        assert results.notes

    # --- real recordings ---

    def test_real_recordings_are_found(self, empty_index, testdata):
        documents = real_documents(testdata)
        assert len(documents) > 15
        assert len({document.language for document in documents}) > 6
        empty_index.put_all(documents)
        for text, expected in REAL:
            found = every_hit(empty_index, Query(text))
            assert {_abbreviated(key, expected): hits for key, hits in found.items()} == expected, text
        for document in documents:  # noqa: F402
            for passage in document.passages[:: max(1, len(document.passages) // 5)]:
                phrase = " ".join(passage.text.replace('"', "").split()[:12])
                query = Query(f'"{phrase}"', limit=100, hits_per_file=100)
                found = every_hit(empty_index, query, Scope.of(document.owner))
                assert passage.position in found[document.partition_key]
                assert not empty_index.search(query, Scope.of("nobody")).files


def _abbreviated(key: str, known: Iterable[str]) -> str:
    return next((part for part in known if part in key), key)


def _assert_anns(results: Results, typed: str) -> None:
    _assert_no_others(results, "ann")
    _assert_no_word_of_others([*shown(results)])
    suggested = set(re.findall(r"\w+", (results.suggestion or "").casefold()))
    _assert_no_word_of_others([*suggested.difference(re.findall(r"\w+", typed.casefold()))])


def _assert_no_others(results: Results, owner: str) -> None:
    assert {file.owner for file in results.files} <= {owner}
    assert set(results.facets.get("owner", {})) <= {owner}


def _assert_no_word_of_others(texts: list[str]) -> None:
    said = {word for text in texts for word in re.findall(r"\w+", text.casefold())}
    assert not said & (words_of("bob") | words_of("cleo"))


def _without_scores(value: object) -> str:
    return re.sub(r"score=[^,)]*", "", repr(value))
