"""Hugging Face's files: ``tokenizer.json`` and ``tokenizer_config.json``, written and read.

They are our own format, not an export: ``AutoTokenizer.from_pretrained(directory)`` and
``tokenizers.Tokenizer.from_file`` open them and give the same ids. In ``tokenizer.json``
bytes are written as characters of GPT-2's byte alphabet, where a space is "Ġ".
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hornbook.core.errors import UserError
from hornbook.core.files import read_json, write_json
from hornbook.tokenizer.base import Tokenizer
from hornbook.tokenizer.bpe import BPETokenizer, Vocabulary, check_ids
from hornbook.tokenizer.pretokenize import PATTERNS, pattern_regex

if TYPE_CHECKING:
    from hornbook.tokenizer.simple import PieceTokenizer


def byte_alphabet() -> list[str]:
    """GPT-2's printable character for each byte: itself where it is printable."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


ALPHABET = byte_alphabet()
BYTE_OF = {char: byte for byte, char in enumerate(ALPHABET)}


def to_characters(token: bytes) -> str:
    """``b" the"`` -> ``"Ġthe"``."""
    return "".join([ALPHABET[byte] for byte in token])


def to_bytes(token: str) -> bytes:
    """``"Ġthe"`` -> ``b" the"``; KeyError for a character outside the alphabet."""
    return bytes([BYTE_OF[char] for char in token])


def save_bpe(tokenizer: BPETokenizer, directory: Path) -> None:
    """Write a byte-level BPE tokenizer."""
    vocabulary = tokenizer.vocabulary
    names = [to_characters(token) for token in vocabulary.tokens]
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": {name: token for token, name in enumerate(names) if name},
        "merges": [[names[left], names[right]] for left, right in vocabulary.pairs],
    }
    splitting = {
        "type": "Sequence",
        "pretokenizers": [_split_rule(tokenizer.pattern), _byte_level()],
    }
    _save(tokenizer, directory, model, splitting, _byte_level(), {})


def save_pieces(tokenizer: "PieceTokenizer", directory: Path) -> None:
    """Write a character or word tokenizer."""
    from hornbook.tokenizer.simple import UNKNOWN

    vocab = {piece: token for token, piece in enumerate((*tokenizer.pieces, UNKNOWN))}
    model = {"type": "WordLevel", "vocab": vocab, "unk_token": UNKNOWN}
    splitting = _split_rule(tokenizer.pattern)
    _save(
        tokenizer, directory, model, splitting, {"type": "Fuse"}, {"unk_token": UNKNOWN}
    )


def _split_rule(pattern: str) -> dict[str, Any]:
    regex = {"Regex": pattern_regex(pattern)}
    return {"type": "Split", "pattern": regex, "behavior": "Isolated", "invert": False}


def _byte_level() -> dict[str, Any]:
    # use_regex must be off: it would split by GPT-2's pattern a second time
    return {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": False,
    }


def _save(
    tokenizer: Tokenizer,
    directory: Path,
    model: dict[str, Any],
    splitting: dict[str, Any],
    decoder: dict[str, Any],
    extra: dict[str, Any],
) -> None:
    from hornbook.tokenizer.chat import CHAT_TEMPLATE

    directory.mkdir(parents=True, exist_ok=True)
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    added = [
        {"id": token, "content": name, **flags, "special": True}
        for name, token in tokenizer.special.items()
    ]
    write_json(
        directory / "tokenizer.json",
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": added,
            "normalizer": None,
            "pre_tokenizer": splitting,
            "post_processor": None,
            "decoder": decoder,
            "model": model,
        },
    )
    roles = {"eos_token": "<|endoftext|>", "pad_token": "<|pad|>"}
    write_json(
        directory / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "clean_up_tokenization_spaces": False,
            **{key: name for key, name in roles.items() if name in tokenizer.special},
            **extra,
            "chat_template": CHAT_TEMPLATE,
            "hornbook": {
                "kind": tokenizer.kind,
                "pattern": tokenizer.pattern,
                "vocab_size": tokenizer.vocab_size,
            },
        },
    )


def load_directory(directory: Path) -> Tokenizer:
    """Read what :meth:`Tokenizer.save` wrote, or any byte-level BPE ``tokenizer.json``.

    Raises :class:`UserError` for missing or damaged files and for other kinds of tokenizer.
    """
    from hornbook.tokenizer.simple import PieceTokenizer

    directory = Path(directory)
    path = directory / "tokenizer.json"
    table = read_json(path)
    config_path = directory / "tokenizer_config.json"
    config = read_json(config_path) if config_path.exists() else {}
    ours = config.get("hornbook", {}) if isinstance(config, dict) else {}
    try:
        if ours.get("kind") in ("char", "word"):
            vocab = table["model"]["vocab"]
            pieces = sorted(vocab, key=vocab.__getitem__)[:-1]  # the last is <|unk|>
            return PieceTokenizer(ours["kind"], pieces, ours["pattern"])
        return read_bpe(table, ours.get("vocab_size", 0), ours.get("kind", "bpe"))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise UserError(
            f"{path} is not a complete byte-level BPE tokenizer "
            f"({type(error).__name__}: {error}); it may be damaged."
        ) from None


def read_bpe(
    table: dict[str, Any], vocab_size: int = 0, kind: str = "bpe"
) -> BPETokenizer:
    """The tokenizer that the contents of a ``tokenizer.json`` describe."""
    model = table["model"]
    if model.get("type", "BPE") != "BPE" or model.get("byte_fallback"):
        raise UserError(
            f"its model is {model.get('type')}"
            f"{' with byte fallback' if model.get('byte_fallback') else ''}; "
            "only byte-level BPE can be read."
        )
    for key in ("continuing_subword_prefix", "end_of_word_suffix", "dropout"):
        if model.get(key):
            raise UserError(f"its model sets {key}, which is not byte-level BPE.")
    if table.get("normalizer"):
        raise UserError("it normalizes text first, so that bytes would be lost.")
    special = {token["content"]: token["id"] for token in table["added_tokens"]}
    vocab = {
        name: token for name, token in model["vocab"].items() if name not in special
    }
    check_ids([*vocab.values(), *special.values()])
    byte_ids = [vocab[char] for char in ALPHABET]
    merges = [m if isinstance(m, list) else m.split(" ") for m in model["merges"]]
    if not merges and len(vocab) > 256:
        raise UserError("its list of merges is empty; the file was written wrongly.")
    pairs = [(vocab[left], vocab[right]) for left, right in merges]
    made = [vocab[left + right] for left, right in merges]
    vocabulary = Vocabulary(byte_ids, pairs, made)
    _check(vocabulary, vocab)
    return BPETokenizer(vocabulary, _pattern_of(table), special, vocab_size, kind)


def _check(vocabulary: Vocabulary, vocab: dict[str, int]) -> None:
    """Every token must spell what its merge makes; tampering and damage end here."""
    for name, token in vocab.items():
        if token >= len(vocabulary.tokens) or vocabulary.tokens[token] != to_bytes(
            name
        ):
            raise UserError(f"no merge makes its token '{name}' ({token}).")


def _pattern_of(table: dict[str, Any]) -> str:
    """The split pattern of a ``pre_tokenizer``, by name where it has one."""
    rule = table["pre_tokenizer"]
    rules = rule["pretokenizers"] if rule["type"] == "Sequence" else [rule]
    if len(rules) == 1 and rules[0]["type"] == "ByteLevel":
        if rules[0].get("add_prefix_space"):
            raise UserError("it puts a space before each text, which loses bytes.")
        return "gpt2" if rules[0].get("use_regex", True) else r"[\s\S]+"
    kinds = [rule["type"] for rule in rules]
    if kinds != ["Split", "ByteLevel"] or rules[1].get("use_regex", True):
        raise UserError(f"its pre-tokenizer ({', '.join(kinds)}) is not known here.")
    if rules[0]["behavior"] != "Isolated" or rules[0].get("invert"):
        raise UserError("its pre-tokenizer drops or joins pieces.")
    regex = rules[0]["pattern"]["Regex"]
    return next((name for name, known in PATTERNS.items() if known == regex), regex)
