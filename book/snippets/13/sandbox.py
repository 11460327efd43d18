from hornbook.sandbox.run import Limits, Program, run

TESTS = "assert double(4) == 8"
honest = "def double(x):\n    return 2 * x"
early = "import sys\nsys.exit(0)"
liar = """
class Equal:
    def __eq__(self, other):
        return True
def double(x):
    return Equal()
"""
for program in (honest, early, liar):
    outcome = run(Program(program, TESTS, ("double",)), Limits(seconds=20))
    print(outcome.passed, outcome.error or "-")
