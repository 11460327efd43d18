"""Numba's compiler, less what these kernels do not need.

Three things are left out, by the classes that Numba offers for it:

* steps that find nothing here: closures, array expressions, literals, branches that types
  decide (:class:`Kernel`);
* asking some fifty rules, at every ``+``, what two integers add up to: the answer is
  remembered (:class:`Remembering`);
* in training, optimising and translating a function that only kernels call, which happens
  once more when it is part of them (:class:`Part`, :class:`Linked`).
"""

import operator
from typing import Any, ClassVar

from numba.core import codegen, typed_passes, types, untyped_passes
from numba.core.compiler import CompilerBase
from numba.core.compiler_machinery import PassManager, register_pass

BUILTIN = types.Function, type(operator.add)


class Remembering:
    """A typing context that looks up once what a built-in function makes of some types."""

    _answers: ClassVar[dict[Any, Any]] = {}

    def __init__(self, context: Any) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def resolve_function_type(self, function: Any, args: Any, kws: Any) -> Any:
        """The signature of a call, as the context itself gives it."""
        find = self._context.resolve_function_type
        builtin = isinstance(function, BUILTIN) and not kws
        return (
            self._known(find, function, args, kws)
            if builtin
            else find(function, args, kws)
        )

    def resolve_setitem(self, *types: Any) -> Any:
        """The signature of ``array[index] = value``, as the context itself gives it."""
        return self._known(self._context.resolve_setitem, *types)

    def _known(self, find: Any, *question: Any) -> Any:
        key = find.__name__, *map(_hashable, question)
        if (answer := self._answers.get(key)) is None:
            answer = self._answers[key] = find(*question)
        return answer


def _hashable(part: Any) -> Any:
    return tuple(part.items()) if isinstance(part, dict) else part


class Kernel(CompilerBase):
    """From bytecode to machine code."""

    lowering: Any = typed_passes.NativeLowering

    def __init__(self, typing_context: Any, *rest: Any) -> None:
        super().__init__(Remembering(typing_context), *rest)

    def define_pipelines(self) -> list[PassManager]:
        """The one way, in order."""
        passes = PassManager("kernel")
        for step in (
            untyped_passes.TranslateByteCode,
            untyped_passes.FixupArgs,
            untyped_passes.IRProcessing,
            untyped_passes.ReconstructSSA,
            typed_passes.NopythonTypeInference,
            typed_passes.PreLowerStripPhis,
            typed_passes.IRLegalization,
            typed_passes.AnnotateTypes,
            self.lowering,
            typed_passes.NoPythonBackend,
        ):
            passes.add_pass(step, step.__name__)
        passes.finalize()
        return [passes]


class Linked(codegen.JITCodeLibrary):
    """Code that is only ever part of other code, which is optimised as a whole."""

    def add_llvm_module(self, ll_module: Any) -> None:
        """Take the module as it is."""
        self._final_module.link_in(ll_module)

    def finalize(self) -> None:
        """Take in what this calls, and leave the rest to the caller's library."""
        for library in dict.fromkeys(self._linking_libraries):
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class LowerForLinking(typed_passes.NativeLowering):
    """Lowering that ends before machine code."""

    _name = "lower_for_linking"

    def run_pass(self, state: Any) -> bool:
        """As its base, into a :class:`Linked` library."""
        state.library = Linked(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        super().run_pass(state)
        # Python never calls this, but Numba knows code by a function that Python could.
        unique = [].append
        state.cr = state.cr._replace(cfunc=unique)
        state.targetctx.insert_user_function(unique, state.cr.fndesc, [state.library])
        return True


class Part(Kernel):
    """From bytecode to what kernels link."""

    lowering = LowerForLinking
