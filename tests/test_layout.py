"""One class object, however the package is reached: a checkout, an editable install, a wheel."""

import os
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

SAME_CLASS = """
import sys
import spert
from spert import SpertConfig, SpertModel, SpertProcessor
import spert.modeling_spert, spert.training.output, spert.evaluation.evaluator
assert spert.modeling_spert.SpertModel is SpertModel is spert.training.output.SpertModel
assert spert.evaluation.evaluator.SpertModel is SpertModel
assert "modeling_spert" not in sys.modules
print(spert.modeling_spert.__file__)
"""


def run(command, cwd, **environment):
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": "", **environment}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().split("\n")[-1]


def test_in_this_process():
    import spert.modeling_spert
    from spert import SpertModel
    from spert.training.output import SpertModel as WorkbenchModel

    assert spert.modeling_spert.SpertModel is SpertModel is WorkbenchModel


def test_checkout_without_install(root):
    place = run([sys.executable, "-c", SAME_CLASS], cwd=root)
    assert Path(place) == root / "modeling_spert.py"


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(root)], cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


def test_wheel_holds_package_and_shipped_files_once(wheel, root):
    import zipfile

    archive = zipfile.ZipFile(wheel)
    names = set(archive.namelist())
    package = {f"spert/{file.relative_to(root / 'spert')}" for file in (root / "spert").rglob("*.py")}
    shipped = {f"spert/{file.name}" for file in root.glob("*_spert.py")}
    script = {"spert/train_accelerate.py"}  # what `spert study` and `spert search` start
    assert {name for name in names if name.endswith(".py")} == package | shipped | script
    assert {"spert/py.typed", "spert/graphs/page.html"} <= names
    (entry_points,) = (name for name in names if name.endswith("entry_points.txt"))
    assert "[spacy_factories]\nspert = spert.spacy_component:make_spert" in archive.read(entry_points).decode()
    assert not any(name.startswith(("tests/", "benchmarks/", "examples/", "train")) for name in names)


def site_packages(environment: Path) -> Path:
    return next((environment / "lib").glob("python*")) / "site-packages"


def bare_environment(folder: Path) -> Path:
    """A virtual environment that sees this one's packages, but not this project."""
    venv.create(folder, with_pip=False)
    here = next(path for path in sys.path if path.endswith("site-packages"))
    # Plain path entries: `.pth` files inside (that of an editable install of this project) are not read.
    (site_packages(folder) / "_packages_of_the_test_run.pth").write_text(here + "\n")
    return folder / "bin" / "python"


def test_installed_wheel(wheel, root, tmp_path):
    python = bare_environment(tmp_path / "venv")
    target = site_packages(tmp_path / "venv")
    run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel)], tmp_path)
    place = run([str(python), "-c", SAME_CLASS], cwd=tmp_path)
    assert Path(place) == target / "spert" / "modeling_spert.py"


def test_editable_install(root, tmp_path):
    python = bare_environment(tmp_path / "venv")
    target = site_packages(tmp_path / "venv")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    # pip's --target does not read .pth files: they are moved to where a virtual environment has them.
    run([*command, "--target", str(target), "--editable", str(root)], tmp_path)
    assert not (target / "spert").exists(), "an editable install leaves no copy of the shipped files"
    place = run([str(python), "-c", SAME_CLASS], cwd=tmp_path)
    assert Path(place) == root / "modeling_spert.py"


def test_versions_are_ranges_and_the_setup_pins_torch(root):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert "transformers>=5.17" in project["dependencies"]
    assert "torch>=2.11" in project["dependencies"]
    assert "torch==2.13.0" in (root / "constraints.txt").read_text().split()
