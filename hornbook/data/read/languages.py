"""Which programming language a file is in: by its name, its ending, or its first line."""

import re
from pathlib import PurePosixPath

# Endings without the dot, in lower case unless the case tells two languages apart.
ENDINGS = {
    "ada": "adb ads",
    "assembly": "asm s S",
    "awk": "awk",
    "batch": "bat cmd",
    "c": "c h",
    "c#": "cs",
    "c++": "cc cpp cxx c++ hh hpp hxx h++ C ipp tpp",
    "clojure": "clj cljs cljc edn",
    "cmake": "cmake",
    "cobol": "cob cbl",
    "common-lisp": "lisp",
    "crystal": "cr",
    "css": "css",
    "cuda": "cu cuh",
    "cython": "pyx pxd pxi",
    "d": "d",
    "dart": "dart",
    "elixir": "ex exs",
    "elm": "elm",
    "emacs-lisp": "el",
    "erlang": "erl hrl",
    "f#": "fs fsi fsx",
    "fortran": "f for f77 f90 f95 f03 f08 F F90",
    "glsl": "glsl vert frag geom comp",
    "go": "go",
    "graphql": "graphql gql",
    "groovy": "groovy gradle",
    "haskell": "hs lhs",
    "hcl": "tf hcl tfvars",
    "html": "html htm xhtml",
    "java": "java",
    "javascript": "js mjs cjs jsx",
    "json": "json",
    "julia": "jl",
    "kotlin": "kt kts",
    "less": "less",
    "lua": "lua",
    "makefile": "mk mak",
    "markdown": "md markdown",
    "matlab": "m",
    "nim": "nim nims",
    "nix": "nix",
    "objective-c++": "mm",
    "ocaml": "ml mli",
    "pascal": "pas",
    "perl": "pl pm",
    "php": "php phtml",
    "powershell": "ps1 psm1 psd1",
    "protobuf": "proto",
    "puppet": "pp",
    "python": "py pyi pyw",
    "r": "r R",
    "racket": "rkt",
    "restructuredtext": "rst",
    "ruby": "rb gemspec rake",
    "rust": "rs",
    "sass": "sass scss",
    "scala": "scala sbt",
    "scheme": "scm ss",
    "shell": "sh bash zsh ksh",
    "smalltalk": "st",
    "solidity": "sol",
    "sql": "sql",
    "svelte": "svelte",
    "swift": "swift",
    "tcl": "tcl",
    "tex": "tex sty bib",
    "text": "txt",
    "toml": "toml",
    "typescript": "ts tsx mts cts",
    "typst": "typ",
    "verilog": "v vh sv svh",
    "vhdl": "vhd vhdl",
    "vim-script": "vim",
    "visual-basic": "vb",
    "vue": "vue",
    "webassembly": "wat",
    "xml": "xml xsl xslt xsd",
    "yaml": "yaml yml",
    "zig": "zig",
}
# Whole names of files, in lower case.
NAMES = {
    "cmake": "cmakelists.txt",
    "dockerfile": "dockerfile containerfile",
    "groovy": "jenkinsfile",
    "makefile": "makefile gnumakefile",
    "meson": "meson.build meson_options.txt",
    "python": "sconstruct sconscript",
    "ruby": "gemfile rakefile vagrantfile podfile",
    "shell": ".bashrc .bash_profile .profile .zshrc",
    "starlark": "build build.bazel workspace",
    "text": "readme license licence copying notice authors changelog changes news",
    "toml": "pipfile",
    "vim-script": ".vimrc",
}
# The program that a `#!` line names, without its version.
INTERPRETERS = {
    "awk": "awk gawk mawk",
    "javascript": "node nodejs deno bun",
    "julia": "julia",
    "lua": "lua luajit",
    "makefile": "make",
    "perl": "perl",
    "php": "php",
    "python": "python pypy uv",
    "r": "rscript",
    "ruby": "ruby",
    "shell": "sh bash dash zsh ksh ash",
    "tcl": "tclsh wish",
}

BY_ENDING = {e: language for language, all_ in ENDINGS.items() for e in all_.split()}
BY_NAME = {n: language for language, all_ in NAMES.items() for n in all_.split()}
BY_INTERPRETER = {i: name for name, all_ in INTERPRETERS.items() for i in all_.split()}
SHARED_ENDINGS = ("h", "m", "pl", "v")  # the text may say that it is another language
TOLD_APART = ("coq", "objective-c", "prolog")
LANGUAGES = frozenset({*ENDINGS, *NAMES, *INTERPRETERS, *TOLD_APART})

SHEBANG = re.compile(r"#!\s*(?:\S*/)?(?:env\s+(?:-\S+\s+|\w+=\S*\s+)*)?([\w.+-]+)")


def language_of(path: str, head: str = "") -> str:
    """The language of a file called ``path`` that begins with ``head``; '' when unknown.

    The name decides where it can. An ending that several languages share gives the most
    common of them, unless the text plainly is of the other.
    """
    name = PurePosixPath(path).name
    if found := BY_NAME.get(name.lower()):
        return found
    ending = name.rpartition(".")[2] if "." in name else ""
    found = BY_ENDING.get(ending) or BY_ENDING.get(ending.lower(), "")
    return _told_apart(ending, found, head) if found else of_first_line(head)


def of_first_line(head: str) -> str:
    """The language whose interpreter a ``#!`` line names; '' without such a line."""
    match = SHEBANG.match(head)
    if not match:
        return ""
    program = re.sub(r"[\d.]+$", "", match[1].lower())  # python3.11 -> python
    return BY_INTERPRETER.get(program, "")


def _told_apart(ending: str, found: str, head: str) -> str:
    if ending == "h" and re.search(
        r"^\s*(class \w|namespace\b|template\s*<)", head, re.M
    ):
        return "c++"
    if ending in ("m", "h") and re.search(r"^\s*[@#](import|interface)\b", head, re.M):
        return "objective-c"
    if ending == "pl" and re.search(r"^:- |^\w+\(.*\)\s*:-", head, re.M):
        return "prolog"
    if ending == "v" and re.search(r"^(Require|Theorem|Lemma)\b", head, re.M):
        return "coq"
    return found
