"""Each kind of change, on a line or two."""

from __future__ import annotations

import ast
from collections import Counter
from textwrap import dedent

import pytest

from tests.mutants.__main__ import EQUIVALENT, ROOT, change, equivalents, sample
from tests.mutants.operators import mutants_of


def changes(source: str, operator: str | None = None) -> list[str]:
    """Return the lines that mutants of a source have in the place of the first one."""
    found = mutants_of(dedent(source), "file.py")
    return [m.after for m in found if operator in (None, m.operator)]


OPERATORS: dict[str, tuple[str, str, list[str]]] = {
    "comparison": (
        "comparison",
        "x = a < b <= c",
        ["x = a <= b <= c", "x = a < b < c"],
    ),
    "equality": ("comparison", "x = a == b", ["x = a != b"]),
    "identity": ("comparison", "x = a is  not b", ["x = a is b"]),
    "membership": ("comparison", "x = (a) not in (b)", ["x = (a) in (b)"]),
    "sum": ("arithmetic", "x = a + b - c", ["x = a - b - c", "x = a + b + c"]),
    "product": (
        "arithmetic",
        "x = (a * b) / c",
        ["x = (a / b) / c", "x = (a * b) * c"],
    ),
    "power": ("arithmetic", "x = a ** 2 // b", ["x = a * 2 // b", "x = a ** 2 / b"]),
    "update": ("arithmetic", "x *= a", ["x /= a"]),
    "unions are not sums": ("arithmetic", "x = a | b", []),
    "zero and one": (
        "constant",
        "f(0, 1, 7)",
        ["f(1, 1, 7)", "f(0, 0, 7)", "f(0, 1, 8)"],
    ),
    "float": ("constant", "x = 0.5", ["x = 0.525"]),
    "truth": ("constant", "x = True", ["x = False"]),
    "name": ("constant", "x = 'a key'", ["x = 'a key_'"]),
    "text for readers": ("constant", "x = 'this is a whole sentence'", []),
    "formatted text": ("constant", "x = f'a {b + 1}'", []),
    "docstring": ("constant", "'''Say it.'''", []),
    "what is public": ("constant", "__all__ = ['a']", []),
    "and": ("boolean", "x = a and b", ["x = a or b"]),
    "or": ("boolean", "x = a or (b)", ["x = a and (b)"]),
    "not": ("boolean", "x = not a", ["x = a"]),
    "minus": ("minus removed", "x = -a ** -1", ["x = a ** -1", "x = -a ** 1"]),
    "call": ("statement removed", "a.append(b)", ["pass"]),
    "yield": ("statement removed", "yield a", ["pass"]),
    "target in an object": ("statement removed", "x.y = a", []),
    "exchange": ("argument", "f(a, b, b)", ["f(b, a, b)"]),
    "exchange that changes nothing": ("argument", "np.maximum(a, b)", []),
    "keyword": ("argument", "f(a, b=c, d=e)", ["f(a, d=e)", "f(a, b=c)"]),
    "only keyword": ("argument", "f(b=c)", ["f()"]),
    "keyword on a line of its own": ("argument", "f(\n    a,\n    b=c,\n)", [""]),
    "first of the keywords": ("argument", "f(b=c, **d)", ["f(**d)"]),
    "choice": (
        "condition negated",
        "x = a if b > c else d",
        ["x = a if not (b > c) else d"],
    ),
    "filter": (
        "condition negated",
        "x = [a for a in b if a]",
        ["x = [a for a in b if not (a)]"],
    ),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operator_makes_these_changes_and_no_others(name: str) -> None:
    operator, source, expected = OPERATORS[name]
    assert changes(source, operator) == expected


def test_condition_is_negated_where_no_other_operator_does_it() -> None:
    source = """
    if a < b:
        pass
    elif not a:
        pass
    elif a is None:
        pass
    while a:
        pass
    """
    assert changes(source, "condition negated") == [
        "if not (a < b):",
        "while not (a):",
    ]


def test_statement_is_removed_unless_everybody_would_miss_it() -> None:
    source = """
    def f(a):
        b = a
        a = 2
        b, a = a, b
        c, a = a, b
        b += 1
        for _ in a:
            continue
        a.b = c
        raise ValueError("no")
    """
    removed = [
        mutant.before
        for mutant in mutants_of(dedent(source), "file.py")
        if mutant.operator == "statement removed"
    ]
    assert removed == [
        "a = 2",
        "b, a = a, b",
        "b += 1",
        "continue",
        "a.b = c",
        'raise ValueError("no")',
    ]


def test_returned_value_is_lost_or_negated() -> None:
    source = """
    def f(a):
        if a: return
        if a: return None
        if a: return a < 1
        return [
            a,
        ]
    """
    assert changes(source, "return value") == [
        "if a: return not (a < 1)",
        "return None",
    ]


def test_messages_of_exceptions_are_left_alone_and_their_numbers_are_not() -> None:
    assert changes("raise ValueError('no', max(1, a=2), 'b')", "constant") == [
        "raise ValueError('no', max(0, a=2), 'b')",
        "raise ValueError('no', max(1, a=3), 'b')",
    ]
    assert changes("raise ValueError(a, b)", "argument") == []


def test_what_is_for_the_type_checker_is_left_alone() -> None:
    source = """
    if TYPE_CHECKING:
        x = 1
    if __name__ == "__main__":
        f(2)
    @overload
    def f(a: Literal["b"] = 1): ...
    def g(a: Literal["b"]) -> Literal["c"]:
        d: Literal["e"]
    """
    assert changes(source) == []


def test_decorated_functions_their_defaults_and_decorators_are_seen() -> None:
    source = """
    @rule(order=1)
    def f(a, *, b=2):
        return a + 3
    """
    assert changes(source, "constant") == [
        "@rule(order=0)",
        "def f(a, *, b=3):",
        "return a + 4",
    ]


def test_sign_is_not_looked_for_in_a_comment() -> None:
    source = "x = (a  # + and -\n     + b)"
    (mutant,) = mutants_of(source, "file.py")
    assert mutant.applied_to(source) == "x = (a  # + and -\n     - b)"
    assert (mutant.line, mutant.before, mutant.after) == (2, "+ b)", "- b)")


def test_mutant_knows_its_function_statement_and_lines() -> None:
    source = dedent("""
    class A:
        def f(self, a):
            return max(
                a,
                1,
            )
    """)
    number = next(m for m in mutants_of(source, "file.py") if m.operator == "constant")
    assert number.function == "A.f"
    assert number.line == 6
    assert (number.first, number.last) == (4, 7)
    assert number.body == (4, 7)


def test_letters_of_more_than_a_byte_do_not_shift_a_change() -> None:
    source = 'x = {"β": a + b, "ε": 1}\n'
    assert changes(source, "arithmetic") == ['x = {"β": a - b, "ε": 1}']


def test_every_mutant_of_a_whole_file_is_another_program() -> None:
    source = (ROOT / "tests/mutants/recorder.py").read_text(encoding="utf-8")
    original = ast.dump(ast.parse(source))
    mutants = mutants_of(source, "file.py")
    assert len(mutants) >= 20
    for mutant in mutants:
        assert ast.dump(ast.parse(mutant.applied_to(source))) != original, mutant


# Samples


MANY = "\n".join(f"def f{n}(a):\n    return a + {n}" for n in range(40))


def test_sample_is_the_same_for_one_seed_and_another_for_another() -> None:
    mutants = mutants_of(MANY, "file.py")
    one, same, other = (sample(mutants, 10, seed) for seed in (0, 0, 1))
    assert one == same
    assert len(set(one)) == 10
    assert set(one) != set(other)


def test_sample_hardly_changes_when_code_moves_or_is_added() -> None:
    one = sample(mutants_of(MANY, "file.py"), 20, 0)
    more = "x = 1\n\n" + MANY + "\n\ndef g(b):\n    return b - 1\n"
    other = sample(mutants_of(more, "elsewhere.py"), 20, 0)
    both = Counter(map(change, one)) & Counter(map(change, other))
    assert both.total() >= 17


def test_sample_may_hold_several_changes_that_read_the_same() -> None:
    source = "def f(a):\n    a += 1\n    a += 1\n    a += 1\n"
    mutants = mutants_of(source, "file.py")
    assert len(set(sample(mutants, 100, 0))) == len(mutants)


def test_every_change_in_the_list_of_equivalents_can_be_made_and_has_a_reason() -> None:
    argued = equivalents(EQUIVALENT)
    functions = {function.rpartition(".")[2] for function, _, _ in argued}
    possible = set()
    for folder in ("adam_tutorial", "book"):
        for file in ROOT.joinpath(folder).rglob("*.py"):
            text = file.read_text(encoding="utf-8")
            if any(name in text for name in functions):
                possible |= set(map(change, mutants_of(text, "file.py")))
    assert set(argued) <= possible
    assert all(len(reason) > 20 for reason in argued.values())
