"""The tool that samples small faults."""

import ast

from tests import mutants

SOURCE = '''
def double(number: int = 2, *, least: float = 0.5) -> "int | None":
    """Twice 2."""
    assert number is not None
    if number < 3 and not least:
        raise ValueError(f"expected {3 + 1}, got {number}")
    print(number)
    return (
        max(number, 0) * 2
    )
'''


def test_every_change_of_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    (tmp_path / "a.py").write_text(SOURCE)
    found = mutants.mutants_of("a.py")
    assert [str(mutant).removeprefix("a.py:") for mutant in found] == [
        "2  0.5  ->  (1.0)",
        "2  2  ->  (3)",
        "2  2  ->  (1)",
        "5  number < 3 and (not least)  ->  (True)",
        "5  number < 3 and (not least)  ->  (False)",
        "5  number < 3 and (not least)  ->  (number < 3 or not least)",
        "5  number < 3  ->  (number <= 3)",
        "5  3  ->  (4)",
        "5  3  ->  (2)",
        "5  not least  ->  (least)",
        "7  print(number)  ->  pass",
        "9  max(number, 0) * 2  ->  (max(number, 0) + 2)",
        "9  max(number, 0)  ->  (min(number, 0))",
        "9  0  ->  (1)",
        "9  2  ->  (3)",
        "9  2  ->  (1)",
    ]
    changed = set()
    for mutant in found:
        (tmp_path / "a.py").write_text(SOURCE)
        mutant.apply(tmp_path)
        changed.add(ast.unparse(ast.parse((tmp_path / "a.py").read_text())))
    assert len(changed) == len(found)
    assert ast.unparse(ast.parse(SOURCE)) not in changed
    assert mutants.sample(3, 0, ["a.py"]) == mutants.sample(3, 0, ["a.py"]) != mutants.sample(3, 1, ["a.py"])


def test_every_file_has_tests(root):
    for file in mutants.TESTS:
        assert (root / file).is_file()
        assert all((root / test.partition("::")[0]).is_file() for test in mutants.tests_of(file))
