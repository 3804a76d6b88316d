"""What is built is what runs: the wheel has every file that the code reads beside itself."""

from pathlib import Path
from zipfile import ZipFile

from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]


def test_the_wheel_has_every_file_of_the_packages(tmp_path) -> None:
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    packed = set(ZipFile(wheel).namelist())
    wanted = {
        str(file.relative_to(ROOT))
        for package in ("leasing", "schemas", "jobs")
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert "leasing/http/examples.json" in wanted
    assert wanted - packed == set()
