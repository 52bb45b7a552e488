"""Nothing that people upload, and nothing in the store, is ever run: no pickle, no eval, no shell.

And what is installed is what the hashed lock files name.
"""

import ast
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from tests.assets.test_ingest import run
from tests.test_architecture import PACKAGE
from tests.world import World, embedded_world
from transcribe_pipeline.definitions import build_defs
from transcribe_pipeline.stage import artifact_io_manager

ROOT = PACKAGE.parent

FORBIDDEN_MODULES = {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "code", "pty", "xmlrpc"}
FORBIDDEN_CALLS = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "tempfile.mktemp", "subprocess.getoutput"),
    *("yaml.load", "yaml.unsafe_load", "yaml.full_load", "torch.hub.load", "np.load", "pandas.read_pickle"),
    *("asyncio.create_subprocess_shell", "subprocess.getstatusoutput", "shutil.unpack_archive"),
}
ALLOWED = {("yaml.load", "text/plain_yaml.py"): "a SafeLoader, only stricter"}
"""A forbidden call that stands in one place, and why it may."""
FORBIDDEN_OPTIONS = {"shell", "allow_pickle", "trust_remote_code"}

TREES = {str(path.relative_to(PACKAGE)): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0]


CALLS = [
    (module, ast.unparse(node.func), {str(option.arg): ast.unparse(option.value) for option in node.keywords})
    for module, tree in TREES.items()
    for node in ast.walk(tree)
    if isinstance(node, ast.Call)
]


def test_no_module_can_run_data():
    found = {(module, name) for module, tree in TREES.items() for name in _imports(tree) if name in FORBIDDEN_MODULES}
    assert found == set()


def test_no_call_can_run_data():
    assert {(name, module) for module, name, _ in CALLS if name in FORBIDDEN_CALLS} == ALLOWED.keys()


def test_no_call_asks_for_a_shell_or_for_strangers_code():
    assert [
        call for call in CALLS if any(call[2].get(option, "False") != "False" for option in FORBIDDEN_OPTIONS)
    ] == []


def test_torch_loads_weights_only():
    loads = [options for _, name, options in CALLS if name == "torch.load"]
    assert loads
    assert all(options.get("weights_only") == "True" for options in loads)


def test_dagster_s_own_io_manager_which_pickles_is_never_used():
    """Dagster's default stores no output of type Nothing, and reads none."""
    definitions = build_defs()
    for key in definitions.resolve_asset_graph().materializable_asset_keys:
        asset = definitions.resolve_assets_def(key)
        if asset.get_io_manager_key_for_asset_key(key) == "artifacts":
            continue
        outputs = [output.dagster_type.is_nothing for output in asset.op.output_defs]
        inputs = [input_.dagster_type.is_nothing for input_ in asset.op.input_defs]
        assert all([*outputs, *inputs]), f"{key.to_user_string()} passes values through Dagster's default IO manager"
    resources = definitions.resolve_job_def("process_media").resource_defs
    assert resources["artifacts"] is artifact_io_manager


class Bomb:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[Path, str]]:
        return Path.write_text, (self.mark, "ran")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with embedded_world(tmp_path, monkeypatch, language="en") as made:
        yield made


@pytest.mark.parametrize("pack", [bytes, zstandard.compress], ids=["plain", "compressed"])
def test_a_planted_pickle_is_never_read(world: World, testdata: Path, pack):
    key = world.put("ann/jfk.flac", (testdata / "en_jfk/jfk.flac").read_bytes())
    assert run(world, key, "upload").success
    mark = world.home / "mark"
    bomb = pickle.dumps(Bomb(mark))
    artifacts = [path for path in (world.home / "store/artifacts").rglob("*") if path.is_file()]
    assert artifacts
    for path in artifacts:
        path.write_bytes(pack(bomb))
    storage = Path(world.instance.storage_directory()) / "upload" / key  # where Dagster's own would look
    storage.parent.mkdir(parents=True, exist_ok=True)
    storage.write_bytes(bomb)
    assert not run(world, key, "options", requested=False).success
    assert not mark.exists()
    pickle.loads(bomb)
    assert mark.exists(), "it would have run"


@pytest.mark.parametrize("lock", sorted((ROOT / "requirements").glob("*.lock")), ids=lambda path: path.name)
def test_what_is_installed_is_pinned_by_hash(lock):
    logical = lock.read_text().replace("\\\n", " ").splitlines()
    wanted = [line.strip() for line in logical if line.strip() and not line.strip().startswith("#")]
    assert wanted
    pinned = re.compile(r"[A-Za-z0-9._-]+(\[[^]]+\])?==\S+( *;[^#]*?)?( +--hash=sha256:[0-9a-f]{64})+")
    assert [line[:80] for line in wanted if not pinned.fullmatch(line)] == []
