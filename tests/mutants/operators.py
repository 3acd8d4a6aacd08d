"""Small changes of a source that a good suite notices: one change, one mutant.

The source is read with :mod:`ast` and changed as text, so that the rest of the file
keeps its form and a mutant can be shown as one line before and after. What a test need
not notice is left alone: annotations, docstrings, messages of exceptions, texts for
readers, ``__all__``, code for the type checker.
"""

from __future__ import annotations

import ast
import hashlib
import re
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate, zip_longest

__all__ = ["Mutant", "mutants_of"]

COMPARISONS: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: (r"is\s+not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: (r"not\s+in", "in"),
}
ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: (r"\+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: (r"\*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "/"),
    ast.Mod: ("%", "*"),
    ast.Pow: (r"\*\*", "*"),
}
# Where the order of the arguments makes no difference.
SYMMETRIC = {"max", "min", "maximum", "minimum"}
# Beyond so many words, a string is a sentence for a reader.
WORDS_OF_A_NAME = 4
# Conditions of blocks that no test runs.
NOT_RUN = {"TYPE_CHECKING", "typing.TYPE_CHECKING", "__name__ == '__main__'"}
EXACT = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)


@dataclass(frozen=True)
class Mutant:
    """One change of one file.

    Parameters
    ----------
    path : str
        The file, from the root of the repository.
    operator : str
        The kind of change.
    function : str
        The full name of the function or class around it, empty on the module's level.
    line : int
        The first line that changes.
    first, last : int
        The lines of the statement around it, or of its header.
    body : tuple of int
        The first and the last line of the function around it; zeros if there is none.
    before, after : str
        This line, without its indentation.
    start, end : int
        The bytes that are replaced.
    new : str
        What stands there instead.
    """

    path: str
    operator: str
    function: str
    line: int
    first: int
    last: int
    body: tuple[int, int]
    before: str
    after: str
    start: int
    end: int
    new: str

    def applied_to(self, source: str) -> str:
        """Return the source with the change."""
        return _replaced(source, self.start, self.end, self.new)

    def rank(self, seed: int, copy: int) -> str:
        """Return a random place in the order of all mutants.

        It depends on what the change is and not on where it stands: a sample stays the
        same when a file is moved or the code beside it changes. ``copy`` counts the
        mutants that are equal in all of this.
        """
        parts = (seed, self.operator, self.function, self.before, self.after, copy)
        return hashlib.sha256(repr(parts).encode()).hexdigest()


def mutants_of(source: str, path: str) -> list[Mutant]:
    """Return every mutant of a file, in the order of the text.

    Parameters
    ----------
    source : str
        Its text.
    path : str
        Its name from the root of the repository.
    """
    finder = _Finder(source, path)
    finder.visit(ast.parse(source))
    return sorted(finder.found, key=lambda m: (m.start, m.end, m.operator, m.new))


def _replaced(source: str, start: int, end: int, new: str) -> str:
    text = source.encode()
    return (text[:start] + new.encode() + text[end:]).decode()


class _Finder(ast.NodeVisitor):
    """Walks the tree, and keeps what it finds as mutants."""

    def __init__(self, source: str, path: str) -> None:
        self.path = path
        self.bytes = source.encode()
        lengths = map(len, self.bytes.splitlines(keepends=True))
        self.offsets = list(accumulate(lengths, initial=0))
        self.found: list[Mutant] = []
        self.scopes: list[str] = []
        self.bound: set[str] | None = None
        self.statement, self.body = (1, 1), (0, 0)
        self.in_raise = False

    # What a change is made of

    def start(self, node: ast.expr | ast.stmt | ast.keyword) -> int:
        return self.offsets[node.lineno - 1] + node.col_offset

    def end(self, node: ast.expr | ast.stmt | ast.keyword) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.offsets[node.end_lineno - 1] + node.end_col_offset

    def text(self, node: ast.expr | ast.stmt | ast.keyword) -> str:
        return self.bytes[self.start(node) : self.end(node)].decode()

    def add(self, operator: str, start: int, end: int, new: str) -> None:
        line = bisect_right(self.offsets, start) - 1
        begins = self.offsets[line]
        ends = self.bytes.find(b"\n", end)
        old = self.bytes[begins : ends if ends >= 0 else None].decode()
        other = _replaced(old, start - begins, end - begins, new)
        lines = zip_longest(old.splitlines(), other.splitlines(), fillvalue="")
        # An exchange of two arguments may begin with a line that stays.
        more, before, after = next(
            (n, one, two) for n, (one, two) in enumerate(lines) if one != two
        )
        first, last = self.statement
        self.found.append(
            Mutant(
                path=self.path,
                operator=operator,
                function=".".join(self.scopes),
                line=line + more + 1,
                first=first,
                last=last,
                body=self.body,
                before=before.strip(),
                after=after.strip(),
                start=start,
                end=end,
                new=new,
            )
        )

    def add_between(
        self, operator: str, left: ast.expr, right: ast.expr, old: str, new: str
    ) -> None:
        """Change the sign between two operands, beside brackets and comments."""
        start, end = self.end(left), self.start(right)
        between = self.bytes[start:end].decode()
        code = re.sub(r"#[^\n]*", lambda comment: "#" * len(comment.group()), between)
        sign = re.search(old, code)
        if sign is not None:
            before = len(between[: sign.start()].encode())
            length = len(sign.group().encode())
            self.add(operator, start + before, start + before + length, new)

    # Statements

    def visit(self, node: ast.AST) -> None:
        """Note which statement's lines a change belongs to, then look at the node."""
        if not isinstance(node, ast.stmt):
            super().visit(node)
            return
        outer = self.statement
        body = getattr(node, "body", None) or getattr(node, "cases", None)
        decorators = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
        last = node.end_lineno or node.lineno
        if body:
            inner = getattr(body[0], "lineno", last)
            last = max(node.lineno, inner - 1)
        self.statement = (first, last)
        super().visit(node)
        self.statement = outer

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
        if decorators & {"overload", "typing.overload"}:
            return
        for decorator in node.decorator_list:
            self.visit(decorator)
        arguments = node.args
        self.scopes.append(node.name)
        around, self.body = self.body, (node.body[0].lineno, node.end_lineno or 0)
        for default in (*arguments.defaults, *arguments.kw_defaults):
            if default is not None:
                self.visit(default)
        outer = self.bound
        every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
        self.bound = {argument.arg for argument in every}
        self.visit_body(node.body)
        self.bound, self.body = outer, around
        self.scopes.pop()

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for part in (*node.decorator_list, *node.keywords):
            self.visit(part)
        self.scopes.append(node.name)
        outer, self.bound = self.bound, None
        self.visit_body(node.body)
        self.bound = outer
        self.scopes.pop()

    def visit_body(self, body: list[ast.stmt]) -> None:
        for statement in body:
            self.visit(statement)

    def visit_If(self, node: ast.If) -> None:
        test = ast.unparse(node.test)
        if test in NOT_RUN:
            self.visit_body(node.orelse)
            return
        self.condition(node.test)
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        self.condition(node.test)
        self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> None:
        self.condition(node.test)
        self.visit(node.test)

    def visit_Raise(self, node: ast.Raise) -> None:
        self.add("statement removed", self.start(node), self.end(node), "pass")
        self.in_raise = True
        self.generic_visit(node)
        self.in_raise = False

    def visit_Return(self, node: ast.Return) -> None:
        value = node.value
        if value is None:
            return
        if isinstance(value, ast.Compare | ast.BoolOp) or _is_not(value):
            new = f"not ({self.text(value)})"
        else:
            new = "None"
        if ast.unparse(value) != new:
            self.add("return value", self.start(value), self.end(value), new)
        self.visit(value)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant):
            return  # a docstring, or the description of an attribute
        if isinstance(node.value, ast.Call | ast.Yield | ast.YieldFrom):
            self.add("statement removed", self.start(node), self.end(node), "pass")
        self.visit(node.value)

    def visit_Continue(self, node: ast.Continue) -> None:
        self.add("statement removed", self.start(node), self.end(node), "pass")

    def visit_Break(self, node: ast.Break) -> None:
        self.add("statement removed", self.start(node), self.end(node), "pass")

    def visit_Assign(self, node: ast.Assign) -> None:
        names = {
            part.id
            for target in node.targets
            for part in ast.walk(target)
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
        }
        if "__all__" in names:
            return
        # Without its first assignment a name does not exist: everybody would notice.
        if self.bound is not None and names <= self.bound:
            self.add("statement removed", self.start(node), self.end(node), "pass")
        if self.bound is not None:
            self.bound |= names
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if isinstance(node.target, ast.Name):
            if self.bound is not None:
                self.bound.add(node.target.id)
        else:
            self.visit(node.target)
        if node.value is not None:
            self.visit(node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.add("statement removed", self.start(node), self.end(node), "pass")
        signs = ARITHMETIC.get(type(node.op))
        if signs is not None:
            old, new = signs
            self.add_between(
                "arithmetic", node.target, node.value, f"{old}=", f"{new}="
            )
        self.visit(node.target)
        self.visit(node.value)

    # Expressions

    def condition(self, test: ast.expr) -> None:
        exact = (
            isinstance(test, ast.Compare)
            and len(test.ops) == 1
            and isinstance(test.ops[0], EXACT)
        )
        # Of these, another operator makes the opposite.
        if not exact and not _is_not(test):
            new = f"not ({self.text(test)})"
            self.add("condition negated", self.start(test), self.end(test), new)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.condition(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self.condition(test)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        operands = [node.left, *node.comparators]
        for left, kind, right in zip(operands, node.ops, operands[1:], strict=False):
            old, new = COMPARISONS[type(kind)]
            self.add_between("comparison", left, right, old, new)
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in zip(node.values, node.values[1:], strict=False):
            self.add_between("boolean", left, right, old, new)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        signs = ARITHMETIC.get(type(node.op))
        if signs is not None:
            self.add_between("arithmetic", node.left, node.right, *signs)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        start = self.start(node)
        if isinstance(node.op, ast.Not):
            sign = re.match(rb"not\s*", self.bytes[start:])
            assert sign is not None
            self.add("boolean", start, start + len(sign.group()), "")
        elif isinstance(node.op, ast.USub):
            self.add("minus removed", start, start + 1, "")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if not self.in_raise:
            self.arguments(node)
        self.generic_visit(node)

    def arguments(self, node: ast.Call) -> None:
        name = ast.unparse(node.func).rpartition(".")[2]
        for one, two in zip(node.args, node.args[1:], strict=False):
            starred = isinstance(one, ast.Starred) or isinstance(two, ast.Starred)
            texts = self.text(one), self.text(two)
            if not starred and texts[0] != texts[1] and name not in SYMMETRIC:
                between = self.bytes[self.end(one) : self.start(two)].decode()
                new = f"{texts[1]}{between}{texts[0]}"
                self.add("argument", self.start(one), self.end(two), new)
        every: list[ast.expr | ast.keyword] = [*node.args, *node.keywords]
        every.sort(key=self.start)
        for place, argument in enumerate(every):
            if not isinstance(argument, ast.keyword) or argument.arg is None:
                continue
            if place:
                start, end = self.end(every[place - 1]), self.end(argument)
            elif len(every) > 1:
                start, end = self.start(argument), self.start(every[1])
            else:
                start, end = self.start(argument), self.end(argument)
            self.add("argument", start, end, "")

    def visit_JoinedStr(self, _: ast.JoinedStr) -> None:
        """Leave it alone: a message, and before Python 3.12 its parts have no place."""

    def visit_Constant(self, node: ast.Constant) -> None:
        value, new = node.value, None
        if isinstance(value, bool):
            new = str(not value)
        elif isinstance(value, int):
            new = "0" if value == 1 else str(value + 1)
        elif isinstance(value, float):
            new = repr(value * 1.05) if value else "1.0"
        elif isinstance(value, str) and not self.in_raise and _is_name(value):
            new = repr(value + "_")
        if new is not None:
            self.add("constant", self.start(node), self.end(node), new)


def _is_name(value: str) -> bool:
    return len(value.split()) <= WORDS_OF_A_NAME


def _is_not(node: ast.expr) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
