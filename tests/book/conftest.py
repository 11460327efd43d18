from dataclasses import dataclass

import msgspec
import pymupdf
import pytest
import typst

from book.press.build import compile_book, compiler


@dataclass(repr=False)
class Book:
    compiler: typst.Compiler
    pdf: bytes
    warnings: list[str]
    document: pymupdf.Document

    def marks(self, name):
        return [
            m["value"] for m in msgspec.json.decode(self.compiler.query(f"<{name}>"))
        ]


@pytest.fixture(scope="session")
def book():
    press = compiler()
    pdf, warnings = compile_book(press)
    return Book(press, pdf, warnings, pymupdf.open(stream=pdf))
