"""Which page of the cache holds which tokens: bookkeeping only, no numbers.

The cache's memory is cut into pages of 16 tokens (arXiv 2309.06180). What a page holds
depends on the tokens before it, so pages form a tree: a page's parent holds the 16 tokens
before its own. A prompt that begins like one already read walks down the tree and takes
the pages it finds, whoever wrote them: a chat's history and a shared system prompt are
never computed twice (arXiv 2312.07104). Full pages are never written again and so may
have many holders; of a page that agrees only in its first tokens, those are copied.

A page nobody holds stays until its room is needed; the longest unused goes first. A row
gives its pages back from the last to the first, so a page is never dropped before those
that follow it.
"""

from collections import OrderedDict
from collections.abc import Hashable

PAGE = 16  # tokens
SCRATCH = 0  # a page that belongs to nobody: rows that only pad a batch write there


class NoRoomError(Exception):
    """Every page is held by a live sequence."""


class Page:
    """``number`` says where in memory; ``tokens`` what is there so far."""

    def __init__(self, number: int, parent: "Page | None"):
        self.number, self.parent = number, parent
        self.tokens: list[int] = []
        self.holders = 0
        self.children: dict[int, list[Page]] = {}  # by their first token

    def closest(self, ids: list[int]) -> tuple["Page | None", int]:
        """The child that begins most like ``ids``, and with how many tokens."""
        best, most = None, 0
        for child in self.children.get(ids[0], ()) if ids else ():
            common = common_prefix(child.tokens, ids)
            if common > most:
                best, most = child, common
        return best, most

    def write(self, token: int) -> None:
        """Take in the next token; with its first one a page can be found."""
        if not self.tokens and self.parent:
            self.parent.children.setdefault(token, []).append(self)
        self.tokens.append(token)

    def cut(self, length: int) -> None:
        """Forget all but the first ``length`` tokens."""
        if not length:
            self.leave()
        del self.tokens[length:]

    def leave(self) -> None:
        """Be found no more."""
        if self.parent and self.tokens:
            siblings = self.parent.children[self.tokens[0]]
            siblings.remove(self)
            if not siblings:
                del self.parent.children[self.tokens[0]]


class Pages:
    """All pages of a cache, and the trees they form: one for each ``key``.

    Sequences of different keys (adapters) share nothing. ``count`` pages may be held.
    """

    def __init__(self, count: int):
        self.count = count - 1
        self._roots: dict[Hashable, Page] = {}
        self._free = list(range(count - 1, SCRATCH, -1))
        self._idle: OrderedDict[Page, None] = OrderedDict()  # least recently used first

    def root(self, key: Hashable) -> Page:
        """Where the tree of ``key`` begins; holds nothing itself."""
        return self._roots.setdefault(key, Page(-1, None))

    def room(self) -> int:
        """How many pages could be taken now."""
        return len(self._free) + len(self._idle)

    def take(self, parent: Page) -> Page:
        """An empty page after ``parent``, held once. Raises :class:`NoRoomError`."""
        if self._free:
            number = self._free.pop()
        elif self._idle:
            oldest, _ = self._idle.popitem(last=False)
            oldest.leave()
            number = oldest.number
        else:
            raise NoRoomError
        page = Page(number, parent)
        page.holders = 1
        return page

    def hold(self, page: Page) -> None:
        """Keep a page from being dropped."""
        page.holders += 1
        self._idle.pop(page, None)

    def release(self, page: Page) -> None:
        """The opposite of :meth:`hold`; a page without holders may be dropped."""
        page.holders -= 1
        if page.holders:
            return
        if page.tokens:
            self._idle[page] = None
        else:
            self._free.append(page.number)


def common_prefix(a: list[int], b: list[int]) -> int:
    """How many tokens two sequences share at their start."""
    pairs = enumerate(zip(a, b, strict=False))
    return next((i for i, (x, y) in pairs if x != y), min(len(a), len(b)))
