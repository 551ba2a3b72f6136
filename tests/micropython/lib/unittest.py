"""The part of CPython's unittest that our tests use, for MicroPython, which has none.

Only what runs the same on both: TestCase with setUp, tearDown and addCleanup, subTest, the assertions below,
and main(), which runs every test of the script that calls it and exits with 1 when one fails.
"""

import gc
import sys


class _Raises:
    """Context of assertRaises; `exception` is what was raised."""

    def __init__(self, expected: type) -> None:
        self.expected = expected
        self.exception = None

    def __enter__(self) -> object:
        return self

    def __exit__(self, kind: type, value: object, trace: object) -> bool:
        if kind is None:
            raise AssertionError("nothing raised, expected %r" % (self.expected,))
        if not issubclass(kind, self.expected):
            return False
        self.exception = value
        return True


class _SubTest:
    """Context of subTest: a failure inside is reported with its parameters and the test goes on."""

    def __init__(self, case: object, message: object, parameters: dict) -> None:
        self.case = case
        self.label = "%s%s" % (
            "" if message is None else "[%s] " % (message,),
            ", ".join("%s=%r" % (key, parameters[key]) for key in sorted(parameters)),
        )

    def __enter__(self) -> object:
        return self

    def __exit__(self, kind: type, value: object, trace: object) -> bool:
        if kind is None or not issubclass(kind, Exception):
            return False
        self.case.failures.append((self.label, value))
        return True


class TestCase:
    """One test's surroundings; a fresh instance runs each `test…` method."""

    def __init__(self) -> None:
        self.failures = []
        self._cleanups = []

    def setUp(self) -> None:
        pass

    def tearDown(self) -> None:
        pass

    def addCleanup(self, function: object, *arguments: object) -> None:
        self._cleanups.append((function, arguments))

    def doCleanups(self) -> None:
        while self._cleanups:
            function, arguments = self._cleanups.pop()
            function(*arguments)

    def subTest(self, message: object = None, **parameters: object) -> object:
        return _SubTest(self, message, parameters)

    def fail(self, message: object = None) -> None:
        raise AssertionError(message or "failed")

    def assertTrue(self, value: object, message: object = None) -> None:
        if not value:
            self.fail(message or "%r is not true" % (value,))

    def assertFalse(self, value: object, message: object = None) -> None:
        if value:
            self.fail(message or "%r is not false" % (value,))

    def assertEqual(self, first: object, second: object, message: object = None) -> None:
        if not first == second:
            self.fail(message or "%r != %r" % (first, second))

    def assertNotEqual(self, first: object, second: object, message: object = None) -> None:
        if first == second:
            self.fail(message or "%r == %r" % (first, second))

    def assertIs(self, first: object, second: object, message: object = None) -> None:
        if first is not second:
            self.fail(message or "%r is not %r" % (first, second))

    def assertIsNot(self, first: object, second: object, message: object = None) -> None:
        if first is second:
            self.fail(message or "both are %r" % (first,))

    def assertIsNone(self, value: object, message: object = None) -> None:
        if value is not None:
            self.fail(message or "%r is not None" % (value,))

    def assertIsNotNone(self, value: object, message: object = None) -> None:
        if value is None:
            self.fail(message or "None")

    def assertIn(self, member: object, container: object, message: object = None) -> None:
        if member not in container:
            self.fail(message or "%r not in %r" % (member, container))

    def assertNotIn(self, member: object, container: object, message: object = None) -> None:
        if member in container:
            self.fail(message or "%r in %r" % (member, container))

    def assertIsInstance(self, value: object, kind: object, message: object = None) -> None:
        if not isinstance(value, kind):
            self.fail(message or "%r is no %r" % (value, kind))

    def assertLess(self, first: object, second: object, message: object = None) -> None:
        if not first < second:
            self.fail(message or "%r is not less than %r" % (first, second))

    def assertLessEqual(self, first: object, second: object, message: object = None) -> None:
        if not first <= second:
            self.fail(message or "%r is greater than %r" % (first, second))

    def assertGreater(self, first: object, second: object, message: object = None) -> None:
        if not first > second:
            self.fail(message or "%r is not greater than %r" % (first, second))

    def assertGreaterEqual(self, first: object, second: object, message: object = None) -> None:
        if not first >= second:
            self.fail(message or "%r is less than %r" % (first, second))

    def assertAlmostEqual(self, first: float, second: float, places: int = 7) -> None:
        if round(abs(second - first), places) != 0:
            self.fail("%r and %r differ within %d places" % (first, second, places))

    def assertRaises(self, expected: object, function: object = None, *arguments: object) -> object:
        context = _Raises(expected)
        if function is None:
            return context
        with context:
            function(*arguments)
        return None


def _run_one(kind: type, name: str) -> list:
    """Run one test method; returns what went wrong as (label, exception)."""
    case = kind()
    problems = []
    try:
        case.setUp()
        try:
            getattr(case, name)()
        finally:
            case.tearDown()
    except Exception as error:
        problems.append(("", error))
    try:
        case.doCleanups()
    except Exception as error:
        problems.append(("cleanup", error))
    return case.failures + problems


def main(module: str = "__main__") -> None:
    """Run all tests of `module`; exits with 1 when one fails or when there is none."""
    found = __import__(module)
    ran = 0
    failed = 0
    for class_name in sorted(dir(found)):
        kind = getattr(found, class_name)
        if not isinstance(kind, type) or not issubclass(kind, TestCase) or kind is TestCase:
            continue
        for name in sorted(dir(kind)):
            if not name.startswith("test"):
                continue
            gc.collect()
            ran += 1
            problems = _run_one(kind, name)
            failed += 1 if problems else 0
            for label, error in problems:
                print("FAIL %s.%s %s" % (class_name, name, label))
                sys.print_exception(error)
    print("ran %d, failed %d" % (ran, failed))
    sys.exit(0 if ran and not failed else 1)
