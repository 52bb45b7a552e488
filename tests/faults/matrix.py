"""The fault matrix: what may go wrong, how it is made to, and what must come of it.

What belongs here: the rows, and where a row is proven that needs nothing from this folder. What does not: the proofs.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    fault: str
    injected: str
    expected: str
    also: tuple[str, ...] = ()
    """Tests elsewhere that prove it, or a part of it: files, or functions in them. `make faults` runs them too."""
    absent: str = ""
    """Why this project has nothing to prove here."""


ROWS: Mapping[int, Row] = {
    1: Row(
        "A run's process is killed, at any point",
        "SIGKILL before and after the work of every stage, within the record's transaction, between commit and answer",
        "the next run goes on from there; finished stages are not repeated; one transcript",
    ),
    2: Row(
        "A run's process is killed and leaves a helper process behind",
        "SIGKILL of the run while its media tool works",
        "the helper dies with it; one result",
    ),
    3: Row(
        "The machine is rebooted",
        "SIGKILL of daemon, code server and runs at once with 20 files in flight; the daemon is started again",
        "all complete within two recovery intervals, without a human; a queue full of dead runs is freed",
    ),
    4: Row(
        "The daemon is killed while it submits runs",
        "SIGKILL of the daemon in the midst of 200 requests",
        "after the restart 200 runs, none of them twice",
    ),
    5: Row(
        "A deployment stops the runs",
        "SIGTERM to a run that transcribes",
        "it ends as INTERRUPTED, which counts as no try; the next run goes on",
    ),
    6: Row(
        "A machine is frozen and thaws",
        "SIGSTOP beyond the lease, another run takes over, SIGCONT",
        "the thawed run writes nothing; one result",
    ),
    7: Row(
        "Clocks disagree",
        "run processes whose wall clock is two hours ahead, and behind",
        "leases are on the database's clock: nobody is taken for dead, no lease outlives its holder",
    ),
    8: Row(
        "The disk is full",
        "a small file system, a limit of file sizes",
        "DISK_FULL; temporary files are gone; the file recovers when there is space",
    ),
    9: Row(
        "The object store is in trouble",
        "503 and cut connections by a proxy; a server that is gone",
        "asked again, continued where it broke; STORE_UNAVAILABLE if it lasts, and recovered afterwards",
        also=("tests/resources/test_object_store.py::test_a_server_in_trouble_is_asked_again",),
    ),
    10: Row(
        "A body is cut, or a bit is flipped",
        "a proxy that ends a body early, or alters it",
        "a cut is continued; what was altered is not taken for the recording",
        also=(
            "tests/resources/test_object_store.py::test_a_cut_connection_is_continued_where_it_broke",
            "tests/resources/test_object_store.py::test_a_byte_that_was_altered_on_its_way_is_noticed",
        ),
    ),
    11: Row(
        "The object is gone between listing and reading",
        "deleted after the listing",
        "ORPHANED with SOURCE_GONE, never tried again; the row stays",
        also=("tests/resources/test_object_store.py::test_a_deleted_object_is_gone",),
    ),
    12: Row(
        "The object is overwritten while it is processed",
        "other bytes under the same name while the transcription runs",
        "the old run is stopped; what is published is of the new bytes",
        also=("tests/resources/test_object_store.py::test_an_object_overwritten_during_the_fetch_is_noticed",),
    ),
    13: Row(
        "An object is uploaded again, with identical bytes",
        "the same file once more",
        "noticed by its SHA-256: not transcribed again",
        also=("tests/e2e/test_dropped_file.py::test_identical_bytes_are_not_transcribed_again",),
    ),
    14: Row(
        "Listings come twice, late and in any order",
        "the same pages again, an older one after a newer",
        "one row, one run",
    ),
    15: Row("Two owners upload the same bytes", "a copy", "two files, each its owner's"),
    16: Row(
        "An upload is still growing",
        "a file that is written slowly; a multipart upload that is not complete",
        "not read before it has settled; not visible before it is complete",
    ),
    17: Row(
        "The database is down",
        "PostgreSQL stopped for 4 s, for 30 s, and for longer than anybody waits",
        "waited for; what was recognised is not lost; after the long one the file is recovered",
        also=("tests/ledger/test_database.py::test_a_database_restart_in_mid_use_is_waited_out",),
    ),
    18: Row(
        "The connection breaks between commit and answer",
        "a proxy that cuts after the server has committed",
        "the repeated transaction finds itself done; nothing is doubled",
        also=(
            "tests/ledger/test_leases.py::test_an_ending_whose_answer_was_lost_may_be_repeated_but_not_contradicted",
        ),
    ),
    19: Row(
        "Transactions collide",
        "deadlock, lock timeout, the same row by two at once",
        "repeated; one wins, nothing is doubled",
        also=(
            "tests/ledger/test_database.py::test_deadlocked_transactions_both_succeed",
            "tests/ledger/test_database.py::test_locked_sqlite_is_retried",
            "tests/ledger/test_leases.py::test_of_many_claimers_at_once_one_wins",
        ),
    ),
    20: Row(
        "The ledger's schema is older or newer than the program",
        "an empty database; one stamped by a newer program",
        "refused with the command that helps; nothing is changed",
        also=(
            "tests/ledger/test_database.py::test_unmigrated_database_is_refused_with_the_command",
            "tests/ledger/test_database.py::test_newer_database_is_refused_and_never_downgraded",
        ),
    ),
    21: Row(
        "The search index is down, busy, or refuses",
        "a closed port, 429, items refused in an accepted request, a flood-stage block",
        "the transcript is there, degraded; indexed by itself later",
        also=(
            "tests/search/test_opensearch.py::test_items_that_are_refused_for_now_are_sent_again_and_no_others",
            "tests/search/test_opensearch.py::test_a_server_that_stays_busy_is_unavailable",
            "tests/search/test_opensearch.py::test_a_blocked_index_is_unavailable_and_heals",
            "tests/search/test_opensearch.py::test_a_server_that_is_not_there_is_unavailable",
        ),
    ),
    22: Row("An id that the index refuses", "-", "-", absent="ids are short by construction (partition key, number)"),
    23: Row(
        "A language model or speech service is busy or silent",
        "429 with Retry-After, 500, 529, a connection that is never answered",
        "asked again as told, within a budget; then the next model, or the form without one",
        also=("tests/language_models/test_misbehaviour.py",),
    ),
    24: Row(
        "A language model answers 200 with an error, or with nothing",
        "scripted answers",
        "noticed, and asked again",
        also=("tests/language_models/test_misbehaviour.py",),
    ),
    25: Row(
        "A language model answers nonsense",
        "cut JSON, other schemas, invented segments and speakers",
        "repaired at most twice, then the form without a model",
        also=("tests/language_models/test_misbehaviour.py", "tests/insight/test_grounding.py"),
    ),
    26: Row(
        "A prompt is too long, or silently cut",
        "small contexts, false token counts",
        "chunks cover every segment; a cut is noticed",
        also=("tests/language_models/test_misbehaviour.py", "tests/insight/test_summary_by_model.py"),
    ),
    27: Row(
        "A model runs out of memory",
        "a limit on the process' memory; errors as engines raise them",
        "a smaller step each time, remembered; at the last one OUT_OF_MEMORY, and tried again later",
        also=(
            "tests/speech/test_hardware.py::test_real_lacks_of_memory",
            "tests/speech/test_hardware.py::test_work_goes_down_until_it_fits",
            "tests/speech/test_hardware.py::test_below_the_last_rung_is_an_error_for_people",
        ),
    ),
    28: Row(
        "A model is missing",
        "no weights, a hub that is switched off or does not answer",
        "MODEL_UNAVAILABLE names it; `transcribe doctor` finds it before",
    ),
    29: Row(
        "An empty file, a header alone",
        "0, 1, 43 and 44 bytes",
        "EMPTY_FILE, NOT_MEDIA or CORRUPT_MEDIA for less than a second of processor time, no recogniser asked",
    ),
    30: Row(
        "Something else, named like a recording",
        "text, bytes, HTML, ZIP in ZIP, playlists and scripts that name other files",
        "NOT_MEDIA, never tried again",
        also=("tests/media/test_malformed.py",),
    ),
    31: Row(
        "A recording that ends too early",
        "half an MP4, its index at the front and at the end",
        "what there is is transcribed, with how much that is; without an index CORRUPT_MEDIA",
    ),
    32: Row("A recording damaged in the middle", "flipped bits", "decoded to its end and in time, with a warning"),
    33: Row("No audio", "a silent film", "NO_AUDIO; what it says about itself is kept"),
    34: Row(
        "Many tracks and channels",
        "5.1, opposite phases, the same sound twice, a cover picture, two languages",
        "the documented choice, which is told; never silence",
        also=("tests/media/test_decode.py",),
    ),
    35: Row(
        "Absurd formats",
        "1 Hz for 500,000 s, 768 kHz, 4 GHz, 0, 65 and 65,535 channels, 4 GB claimed by 32 kB",
        "UNSUPPORTED_MEDIA before anything is decoded; of a wrong length, what there is",
    ),
    36: Row(
        "Nobody speaks",
        "silence and noise",
        "completed without a word; neither recogniser nor language model is asked",
        also=("tests/e2e/test_corpus.py::test_no_words_outside_speech",),
    ),
    37: Row("Ten hours", "3 s of speech in each hour, 10 h in all", "every word in its place, in bounded memory"),
    38: Row(
        "Hostile names",
        "options, shell commands, markup, emoji, right-to-left, composed and decomposed, 1,024 bytes; control"
        " characters and bytes that are not UTF-8; in a folder and on S3",
        "kept exactly, as data; never a path, an argument or a key; what a store cannot read back is counted",
        also=("tests/test_partitions.py",),
    ),
    39: Row(
        "Names that lead outside",
        "`../..`, absolute, empty parts, escaped, backslashes, links",
        "nothing is read or written outside the store and the file's own folders",
    ),
    40: Row(
        "NUL and control characters",
        "in a film's tags, in what a recogniser and a language model answer; SQLite and PostgreSQL",
        "cleaned once, at the boundary; every export can be written",
    ),
    41: Row("A backlog of 10,000 files", "that many objects", "bounded ticks and memory; fair"),
    42: Row("One owner floods", "1,000 files against two", "everybody progresses"),
    43: Row(
        "A webhook's receiver is down",
        "-",
        "-",
        absent="there are no webhooks yet; what is to be told waits in the outbox",
    ),
    44: Row("A WebSocket client drops", "-", "-", absent="there is no WebSocket yet"),
    45: Row(
        "Recovery, cleanup and deletion beside a run, and beside each other",
        "a file is forgotten while it is transcribed; two recoverers, two cleanups at once; cleanup beside a run",
        "refused until the run is cancelled, and then nothing is left or comes back; of two one acts",
        also=(
            "tests/operations/test_recovery.py::test_of_two_recoverers_at_once_one_acts",
            "tests/operations/cleanup/test_deep_cleanup.py::test_of_two_who_apply_one_does_it",
            "tests/operations/cleanup/test_deep_cleanup.py::test_a_file_at_work_and_one_under_legal_hold_are_left_alone",
            "tests/operations/cleanup/test_deep_cleanup.py::test_a_changed_world_refuses_the_whole_plan",
        ),
    ),
    46: Row(
        "Cleanup with a wrong prefix",
        "empty, foreign and overlapping prefixes, another installation's database",
        "refused; dry run is the default; what goes is capped and listed",
        also=(
            "tests/operations/cleanup/test_deep_cleanup.py::test_a_wrong_database_is_refused",
            "tests/operations/cleanup/test_deep_cleanup.py::test_a_plan_tells_what_would_go_and_deletes_nothing",
            "tests/operations/cleanup/test_deep_cleanup.py::test_a_large_plan_must_be_wanted",
        ),
    ),
    47: Row("Schedules missed for days", "a daemon that was off", "caught up once"),
    48: Row(
        "Wrong configuration",
        "wrong types, addresses, schedules, time zones and folders; missing secrets",
        "all problems at once, exit code 2, no traceback, no value repeated; what must be asked, the doctor finds",
        also=("tests/test_settings.py",),
    ),
}


def rows_of(test: str) -> tuple[int, ...]:
    """Rows that a test elsewhere proves, by its node id."""
    name = test.partition("[")[0]
    return tuple(
        number
        for number, row in ROWS.items()
        if any(name == known or name.startswith(f"{known}::") for known in row.also)
    )


if __name__ == "__main__":
    print("tests/faults", *dict.fromkeys(known for row in ROWS.values() for known in row.also))
